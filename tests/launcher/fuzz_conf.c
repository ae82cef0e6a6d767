/* launch.conf: whatever stands in it, it is parsed or refused with a message, never worse. */
#include <stdlib.h>
#include <string.h>

#include "launch/conf.h"
#include "fuzz.h"

const char *const fuzz_seeds[] = {
    "format 1\n# comment\nname a/1\nprefix /s/a/1\nruntime native\nmount prefix\n"
    "image img.sqfs\nimage_size 4096\nidle 60\nidle_step 10\nserver /usr/bin/squashfuse_ll\n"
    "need /s/b/1\nset A b c\nprepend PATH /s/a/1/bin\nappend X y\nunset Z\n",
    "format 1\nname a/1\nprefix /s/a/1\nruntime auto\nmount path /LOCAL/a\nimage img.sqfs\n"
    "image_size 4096\nroot /s/base.sif\nroot_offset 40960\nroot_size 99999\nhost_roots yes\n"
    "bind $HOME/my\\040data /data\ntry_bind /a /b\ncommand sh /usr/bin/sh\n"
    "other_stacks refuse\ninsert A b\nexpand C ${HOME}/x\ndefault D 3\nactivate set E 1\n"
    "container /s/base.sif\napptainer /usr/bin/apptainer\noption --nv\n",
    "format 1\nname\n",
    "format 2\n",
    "",
    NULL,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem problem = {0};
    struct conf conf;
    char *text = malloc(size ? size : 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    if (conf_parse(&conf, "launch.conf", text, size, &problem)) {
        if (!conf.name || !conf.prefix || conf.prefix[0] != '/')
            abort();
    } else if (!problem.cause[0] || !problem.remedy[0] || strchr(problem.cause, '\n')) {
        abort();
    }
    conf_free(&conf);
    return 0;
}

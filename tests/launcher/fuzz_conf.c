/* launch.conf: whatever stands in it, it is parsed or refused with a message, never worse. */
#include <stdlib.h>
#include <string.h>

#include "common/common.h"
#include "fuzz.h"
#include "launch/conf.h"

const char *const fuzz_seeds[] = {
    "format 2\n# comment\nname a/1\nprefix /s/a/1\ngeneration 7\nruntime native\n"
    "need /s/b/1 3\nneed /s/c/1 3 a.sqfs,b.sqfs\nimage img.sqfs 4096 /s/a/1\nidle 60\nidle_step 10\n"
    "server /usr/bin/squashfuse_ll\nset A b c\nprepend PATH /s/a/1/bin\nappend X y\nunset Z\n",
    "format 2\nname a/1\nprefix /s/a/1\ngeneration 12\nruntime auto\nrelocatable yes\n"
    "root $PREFIX/.tykky/base.sif 40960 99999\nbind /around /LOCAL\n"
    "image img.sqfs 4096 /LOCAL/a\nlayer more.sqfs 1 /LOCAL/a\nimage x 1 $PREFIX/more\n"
    "layer y.sqfs 2 $PREFIX/more\nhost_roots yes\n"
    "bind $HOME/my\\040data /data\ntry_bind $PWD $PWD\nbind $GENERATION/bin $PREFIX/bin\n"
    "command sh /usr/bin/sh\nother_stacks refuse\ninsert A $PREFIX/b\nexpand C ${HOME}/x\n"
    "default D 3\nactivate set E 1\ncontainer $GENERATION/host\napptainer /usr/bin/apptainer\n"
    "extends x.sqfs\ngpu nvidia\noption --nv\n",
    "format 2\nname\n",
    "format 2\nname a/1\nprefix /s/a/1\ngeneration 7\nruntime native\nneed /s/b/1 3\n"
    "layer 0.sqfs 4096 /s/b/1\n",
    "format 3\nwhatever x\n",
    "",
    NULL,
};

/* What the rest of the launcher takes for granted. */
static void check(const struct conf *conf)
{
    if (!conf->name || conf->prefix[0] != '/' || !is_generation(conf->generation) ||
        !(conf->root || conf->container || conf_has_image(conf, NULL)))
        abort();
    for (size_t i = 0; i < conf->mount_count; i++) {
        const struct mount *mount = &conf->mounts[i];
        bool image = is_image(mount);
        if (image ? !is_file_name(mount->source) || !mount->size
                  : mount->source[0] != '/' && mount->source[0] != '$')
            abort();
        if (mount->kind == MOUNT_NEED ? !is_generation(mount->target)
            : image                   ? mount->target[0] != '/'
                                      : mount->target[0] != '/' && mount->target[0] != '$')
            abort();
        if (after_token(mount->source, GENERATION_TOKEN) ||
            after_token(mount->target, GENERATION_TOKEN))
            abort();
    }
}

static void release(struct conf *conf)
{
    void *parts[] = {conf->text,         conf->env,           conf->mounts,
                     conf->commands,     conf->servers.items, conf->apptainers.items,
                     conf->options.items};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        free(parts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf conf;
    char *text = malloc(size ? size : 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    problem = (struct problem){0};
    if (conf_parse(&conf, "launch.conf", text, size)) {
        conf_relocate(&conf, "/else/where", size % 2 ? "new-1a2b" : NULL);
        check(&conf);
    } else if (!problem.cause[0] || !problem.remedy[0] || strchr(problem.cause, '\n')) {
        abort();
    }
    release(&conf);
    return 0;
}

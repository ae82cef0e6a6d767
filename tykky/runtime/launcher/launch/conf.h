/* launch.conf: what a command of an install has to know.
 *
 * Plain text: `format 1` first, then one `key value` per line; empty lines and lines that begin
 * with # are ignored. A key that is not known here is refused, because leaving out what it asks
 * for would run the program in another environment than the one that was tested. Where a value
 * has several words, a space in a word is written \040, as in /etc/fstab.
 *
 *     name python-data/26.11       how messages call it
 *     prefix /s/python-data/1a2b   where the install is
 *     runtime native               or apptainer; or auto: apptainer where native cannot be
 *     relocatable yes              it may be moved: $PREFIX is where it lies (see relocate.h)
 *     mount prefix                 the image covers the prefix; or `mount path /LOCAL/x`
 *     image img-0123abcd.sqfs      in <prefix>/.tykky
 *     image_size 81234567          of the file, in bytes
 *     root /s/bases/debian.sif     a squashfs, SIF or directory that is entered as /
 *     root_offset 40960            where the squashfs begins in the file
 *     root_size 88000000
 *     host_roots yes               with a root or container: and what else the host has in /
 *     bind /appl /appl             source on the host, target inside; $HOME/x is understood
 *     try_bind /scratch /scratch   the same, if the source exists; for $PWD, if the target does not
 *     need /s/other/5e6f           another install, mounted together with this one
 *     command samtools /usr/bin/samtools     the program of a command, if it is not its own path
 *     other_stacks refuse          when called from inside another stack; default: allow
 *     set OMP_NUM_THREADS 1        also: prepend, append (joined by :) and unset
 *     insert PATH /s/x/bin         prepend, unless it is somewhere in the list
 *     expand CACHE ${HOME}/.cache  set; ${NAME} is a variable of whoever calls, $$ a dollar
 *     default LEVEL 3              the same, if it is not set
 *     activate set CONDA_SHLVL 1   any of these, if calling a command activates the stack
 *     idle 60, idle_step 10        seconds that an unused mount is kept; inside a Slurm job
 *     server /usr/bin/squashfuse_ll          the image server; default: the usual places
 *     container /s/bases/debian.sif          for apptainer: the container
 *     apptainer /usr/bin/apptainer           for apptainer: the program
 *     gpu nvidia                   or amd: says so on a terminal if the node has none
 *     option --nv                            for apptainer: one more word for `exec`
 */
#ifndef TYKKY_CONF_H
#define TYKKY_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "../common/problem.h"

#define CONF_DIRECTORY ".tykky"
#define CONF_NAME "launch.conf"
#define LAUNCHER_NAME "launch"

enum env_action {
    ENV_SET,
    ENV_PREPEND,
    ENV_APPEND,
    ENV_UNSET,
    ENV_INSERT,
    ENV_EXPAND,
    ENV_DEFAULT,
};

struct env_op {
    enum env_action action;
    const char *name;
    const char *value; /* NULL for ENV_UNSET */
    bool activates;    /* left out where the stack is not activated */
};

struct bind {
    const char *source, *target;
    bool optional;
    bool if_missing; /* not over what is there inside: the working directory */
    bool read_only;
    bool wished; /* by a variable of the user's */
};

struct command {
    const char *name, *program;
};

enum runtime { RUNTIME_NATIVE, RUNTIME_APPTAINER, RUNTIME_AUTO };

struct list {
    const char **items;
    size_t count;
};

struct conf {
    const char *file; /* where it was read from, for messages */
    char *text;       /* the strings below point into it */

    uint64_t digest; /* of the whole text */

    const char *name;
    const char *prefix;
    enum runtime runtime;
    const char *target; /* where the image is mounted */
    const char *image;  /* NULL if the root is all there is */
    uint64_t image_size;
    const char *root; /* NULL: that of the host */
    uint64_t root_size, root_offset;
    bool host_roots;
    bool relocatable;
    bool refuse_other_stacks;
    unsigned idle, idle_step;
    const char *container;
    int gpu; /* of gpu_names; -1: none */

    struct env_op *env;
    size_t env_count;
    struct bind *binds;
    size_t bind_count;
    struct command *commands;
    size_t command_count;
    struct list servers, needs, apptainers, options;
};

/* Reads and parses a file; `file` must stay valid as long as conf is used. */
bool conf_read(struct conf *conf, const char *file, struct problem *problem);

/* Parses `size` bytes at `text`, which was malloc'ed and belongs to conf from now on. */
bool conf_parse(struct conf *conf, const char *file, char *text, size_t size,
                struct problem *problem);

void conf_free(struct conf *conf);

#endif

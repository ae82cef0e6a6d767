/* launch.conf: what a command of an install has to know. Each generation has one.
 *
 * Plain text: `format 2` first, then one `key value` per line; empty lines and lines that begin
 * with # are ignored. A key that is not known here is refused, because leaving out what it asks
 * for would run the program in another environment than the one that was tested. Where a value
 * has several words, a space in a word is written \040, as in /etc/fstab.
 *
 *     name python-data/26.11       how messages call it
 *     prefix /s/python-data/26.11  where the install is
 *     generation 7                 its number
 *     runtime native               or apptainer; or auto: apptainer where native cannot be
 *     relocatable yes              it may be moved: $PREFIX is where it lies
 *     host_roots yes               with a root or container: and what else the host has in /
 *     command samtools /usr/bin/samtools     the program of a command, if it is not its own path
 *     extends 0123abcd.sqfs        the image of what it needs that its layer was made to lie on
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
 *     mpi openmpi                  what has to start its MPI programs: openmpi (mpirun of Open MPI
 *                                  up to 4, which tells by itself what srun lacks), pmix (the same
 *                                  from 5 on), pmi (MPICH and its kin), slurm (these with a client
 *                                  of Slurm); rank 0 says so if it was something else
 *     mpi_library /usr/lib64/libmpi.so.40    or if the node has no such file
 *     option --nv                            for apptainer: one more word for `exec`
 *
 * The mounts are made in the order in which they stand here, later ones over earlier ones:
 *
 *     root /s/bases/debian.sif 40960 88000000     what is entered as /: a squashfs that begins at
 *                                  a byte of a file of that size, or a directory (0 0); before all
 *     need /s/other/5.1 3 0123abcd.sqfs         what another install mounts, of exactly this
 *                                  generation; its images, joined by commas, since a number may be
 *                                  given anew where all of an install was deleted
 *     image 0123abcd.sqfs 81234567 /s/python-data/26.11     in <prefix>/.tykky/images; its size in
 *                                  bytes; what it covers, mostly the prefix
 *     layer 89abcdef.sqfs 4096 /s/python-data/26.11         the same, laid over what covers that path
 *                                  already: all of both is there, and of one name the layer's
 *     bind /appl /appl             source on the host, target inside; $HOME/x is understood
 *     try_bind /scratch /scratch   the same, if the source exists; for $PWD, if the target does not
 *
 * $GENERATION at the beginning of a root, a container or the source of a bind is the directory
 * that the file belongs to.
 */
#ifndef TYKKY_CONF_H
#define TYKKY_CONF_H

#include <stdint.h>

#include "../common/common.h"

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

enum mount_kind { MOUNT_BIND, MOUNT_TRY_BIND, MOUNT_IMAGE, MOUNT_LAYER, MOUNT_NEED };

struct mount {
    enum mount_kind kind;
    const char *source; /* of a bind; the file's name of an image or layer; the place of a need */
    const char *target; /* the generation of a need */
    const char *images; /* of a need; NULL: an earlier Tykky did not say which */
    uint64_t size;      /* of the file */
    size_t image;       /* which one of the stack's */
    uint64_t offset;    /* in the carrier of the stack, if it has one */
    bool if_missing;    /* not over what is there inside: the working directory */
    bool read_only;
};

static inline bool is_bind(const struct mount *mount)
{
    return mount->kind == MOUNT_BIND || mount->kind == MOUNT_TRY_BIND;
}

static inline bool is_image(const struct mount *mount)
{
    return mount->kind == MOUNT_IMAGE || mount->kind == MOUNT_LAYER;
}

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
    size_t size;      /* of the text */
    int error;        /* why it could not be read, or 0 */

    const char *name;
    const char *prefix;
    const char *generation; /* as its directory is named */
    int runtime;
    const char *root; /* NULL: that of the host */
    uint64_t root_size, root_offset;
    int host_roots; /* these three are 0 or 1 */
    int relocatable;
    int refuse_other_stacks;
    unsigned idle, idle_step;
    const char *container;
    const char *extends;
    int gpu; /* of gpu_names; -1: none */
    int mpi; /* of mpi_names, in the order of enum mpi; -1: none */
    const char *mpi_library;

    struct mount *mounts;
    size_t mount_count;
    struct env_op *env;
    size_t env_count;
    struct command *commands;
    size_t command_count;
    struct list servers, apptainers, options;
};

/* Reads and parses a file; `file` must stay valid as long as conf is used. */
bool conf_read(struct conf *conf, const char *file);

/* Parses `size` bytes at `text`, which was malloc'ed and belongs to conf from now on. */
bool conf_parse(struct conf *conf, const char *file, char *text, size_t size);

/* Puts directories in the places of what stands for them at the beginning of values: `prefix` for
 * $PREFIX, if the install may be moved, and for what the file names as its own; and for $GENERATION
 * the directory that is called `generation` (NULL: the number in the file). */
void conf_relocate(struct conf *conf, const char *prefix, const char *generation);

/* Whether it has an image or a layer, or with `target` one that covers just that path. */
bool conf_has_image(const struct conf *conf, const char *target);

/* <prefix>/.tykky/<directory>/<name> */
char *install_file(const char *prefix, const char *directory, const char *name);

/* --- the kinds of values that it has ---------------------------------------------------------- */

/* In the order of enum runtime; ends with NULL. */
extern const char *const runtime_names[];
extern const char *const gpu_names[];
extern const char *const mpi_names[];

/* Where a name stands among names that end with NULL; -1 if it does not. */
int position(const char *const *names, const char *name);

/* A path that stays what it is: from / on, without empty names, . and .. */
bool is_absolute_path(const char *path);

/* Whether a path is that of `directory`, which is not /, or lies below it. */
bool path_is_in(const char *path, const char *directory);

/* $NAME or $NAME/more: below the directory that a variable names when the command starts. */
bool is_variable_path(const char *path);

/* The directories that stand for themselves at the beginning of a path: where the install lies, and
 * the one of its generation. */
#define PREFIX_TOKEN "$PREFIX"
#define GENERATION_TOKEN "$GENERATION"

/* What follows the token, a list or path of its own; NULL if the value does not begin with it. */
const char *after_token(const char *value, const char *token);

/* TOKEN or TOKEN/more. */
bool is_path_after(const char *path, const char *token);

/* What the directory of a generation can be called: letters, digits and -. */
bool is_generation(const char *word);

/* A name without slash that is not hidden. */
bool is_file_name(const char *name);

bool parse_number(const char *text, uint64_t most, uint64_t *number);

/* Splits at single spaces into exactly `count` words, in which \ooo becomes a byte. */
bool split_words(char *value, char **words, size_t count);

#endif

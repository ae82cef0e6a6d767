/* launch.conf: what a command of an install has to know.
 *
 * Plain text: `format 1` first, then one `key value` per line; empty lines and lines that begin
 * with # are ignored. A key that is not known here is refused, because leaving out what it asks
 * for would run the program in another environment than the one that was tested.
 *
 *     format 1
 *     name python-data/26.11
 *     prefix /appl/store/python-data/26.11-1a2b3c4d
 *     runtime native
 *     mount prefix
 *     image img-0123456789abcdef.sqfs
 *     image_size 81234567
 *     set OMP_NUM_THREADS 1
 */
#ifndef TYKKY_CONF_H
#define TYKKY_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "problem.h"

#define CONF_DIRECTORY ".tykky"
#define CONF_NAME "launch.conf"

enum env_action { ENV_SET, ENV_PREPEND, ENV_APPEND, ENV_UNSET };

struct env_op {
    enum env_action action;
    const char *name;
    const char *value; /* NULL for ENV_UNSET */
};

struct conf {
    const char *file; /* where it was read from, for messages */
    char *text;       /* the strings below point into it */

    const char *name;
    const char *prefix;
    const char *image; /* a file name in <prefix>/.tykky */
    uint64_t image_size;
    uint64_t digest;    /* of the whole text */
    unsigned idle;      /* seconds that an unused mount is kept */
    unsigned idle_step; /* the same, inside a Slurm job */

    struct env_op *env;
    size_t env_count;
    const char **servers; /* candidates for squashfuse_ll, in order */
    size_t server_count;
    const char **needs; /* prefixes of installs that are mounted together with this one */
    size_t need_count;
};

/* Reads and parses a file; `file` must stay valid as long as conf is used. */
bool conf_read(struct conf *conf, const char *file, struct problem *problem);

/* Parses `size` bytes at `text`, which was malloc'ed and belongs to conf from now on. */
bool conf_parse(struct conf *conf, const char *file, char *text, size_t size,
                struct problem *problem);

void conf_free(struct conf *conf);

#endif

/* What is appended to the program: the parts of a runnable file, each at a page of its own.
 *
 * Behind the parts comes a table of them, a line for each: name, offset and size, as words of
 * launch.conf are written. Behind that comes the end, of a fixed length, which says where the table
 * begins and how long the file is: "tykky-runnable 1 OFFSET SIZE\n", in 16 hexadecimal digits each.
 *
 *     launch.conf              of all that the stack mounts, as one install without needs
 *     images/0123abcd.sqfs     by the names that it has
 *     root.sqfs                what is entered as /, if it has a root
 *     server/squashfuse_ll     the image server, with its libraries; and server/loader, what it is
 *                              loaded by, unless it is static
 */
#ifndef TYKKY_RUNNABLE_H
#define TYKKY_RUNNABLE_H

#include "../launch/stack.h"

struct part {
    const char *name;
    uint64_t offset, size;
};

/* The file that this process was executed from. */
struct parts {
    struct carrier carrier;
    struct part *items;
    size_t count;
};

bool parts_read(struct parts *parts);

/* NULL if there is none of that name. */
const struct part *parts_find(const struct parts *parts, const char *name);

/* Its text, with a NUL behind; or NULL. */
char *part_text(const struct parts *parts, const struct part *part);

#endif

/* What a box sees: the host, read-only if asked, with some directories bound over others. */
#ifndef TYKKY_BOX_MOUNTS_H
#define TYKKY_BOX_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/problem.h"

enum box_mount_kind { BOX_BIND, BOX_RO_BIND, BOX_TMPFS };

struct box_mount {
    enum box_mount_kind kind;
    const char *source; /* NULL for a tmpfs */
    const char *target;
    int fd; /* of the source, opened before anything covers it */
};

/* Makes every mount read-only that is there now, except /proc. */
bool box_read_only(void);

/* Opens the sources, which must be done before any mount is made. */
bool box_open_sources(struct box_mount *mounts, size_t count);

/* Mounts all, outer targets before inner ones, and makes mount points where that is allowed. */
bool box_mount_all(struct box_mount *mounts, size_t count);

/* A /proc of the box's own PID namespace. False where the node forbids it (/proc is partly
 * hidden, as in some containers); the host's stays then. */
bool box_mount_proc(void);

/* A /dev/shm of its own, so that a build leaves no segment behind. */
bool box_mount_shm(void);

#endif

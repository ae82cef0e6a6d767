/* What a box sees. */
#ifndef TYKKY_BOX_H
#define TYKKY_BOX_H

#include "../common/common.h"

enum box_mount_kind { BOX_BIND, BOX_RO_BIND, BOX_TMPFS };

struct box_mount {
    enum box_mount_kind kind;
    const char *source; /* NULL for a tmpfs */
    const char *target;
    int fd; /* of the source, opened before anything covers it */
};

/* Mounts all, outer targets before inner ones, and makes mount points where that is allowed. With
 * `read_only` the host can only be read: every mount that is there now, except /proc. */
bool box_mount(struct box_mount *mounts, size_t count, bool read_only);

#endif

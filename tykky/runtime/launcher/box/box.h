/* What a box sees, and what it may do. */
#ifndef TYKKY_BOX_H
#define TYKKY_BOX_H

#include "../common/common.h"

/* --- mounts.c --------------------------------------------------------------------------------- */

enum box_mount_kind { BOX_BIND, BOX_RO_BIND, BOX_TMPFS };

struct box_mount {
    enum box_mount_kind kind;
    const char *source; /* NULL for a tmpfs */
    const char *target;
    int fd; /* of the source, opened before anything covers it */
};

/* Mounts all, outer targets before inner ones, and makes mount points where that is allowed. With
 * `read_only` the host can only be read: every mount that is there now, except /proc; and has
 * devices of its own. `user_namespace` tells whether the box is in one: if it is not, the user is
 * root, and what others may not read is hidden. */
bool box_mount(struct box_mount *mounts, size_t count, bool read_only, bool user_namespace);

bool mount_tmpfs(const char *target);

/* Lets a mount have devices, where the others were told to have none. */
void allow_devices(const char *path);

/* --- system.c --------------------------------------------------------------------------------- */

/* Lays a /dev over the host's that has what programs count on, and terminals of its own. */
bool box_own_devices(void);

/* Covers what only root may read. */
bool box_hide_from_root(void);

/* Makes those files of /proc read-only that root may write without any capability, and covers
 * those that root alone may read. */
void box_protect_kernel(void);

/* --- confine.c -------------------------------------------------------------------------------- */

/* Enters a network of its own, where nobody else is. False where the node forbids that. */
bool box_leave_network(void);

/* Lets nothing but the writable mounts, /proc and /dev be written, if the kernel can (Landlock);
 * nor can anything be mounted any more, so no stack can be entered. */
void box_restrict(const struct box_mount *mounts, size_t count);

/* What of the host's should have been left, and could not be. */
enum { BOX_NETWORK = 1, BOX_SHARED_MEMORY = 2 };

/* Gives up all capabilities, any way to get them again, and system calls that reach out of the
 * box: into a terminal, a key ring, a control group; and those to what is still `open`. */
bool box_give_up_power(unsigned open);

#endif

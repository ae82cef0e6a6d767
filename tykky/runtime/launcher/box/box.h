/* The parts of a box: what it sees, its first process, and the one that waits for it outside. */
#ifndef TYKKY_BOX_H
#define TYKKY_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

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

/* Blocks the signals that box_wait passes on; before the first process is made. */
void box_hold_signals(void);

/* As process 1 of the PID namespace: starts the command, collects orphans, and writes the
 * command's wait status to `report` when it ends. The kernel then kills whatever it left. */
_Noreturn void box_init(char **command, int report);

/* Outside: passes signals on to `init`'s command, and ends as the command ended. */
_Noreturn void box_wait(pid_t init, int report);

#endif

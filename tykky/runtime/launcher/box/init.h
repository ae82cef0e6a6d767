/* The first process of a box, and the one that waits for it outside. */
#ifndef TYKKY_BOX_INIT_H
#define TYKKY_BOX_INIT_H

#include <sys/types.h>

/* As process 1 of the PID namespace: starts the command, collects orphans, and writes the
 * command's wait status to `report` when it ends. The kernel then kills whatever it left. */
_Noreturn void box_init(char **command, int report);

/* Outside: passes signals on to `init`'s command, and ends as the command ended. */
_Noreturn void box_wait(pid_t init, int report);

/* Blocks the signals that box_wait passes on; before the first process is made. */
void box_hold_signals(void);

#endif

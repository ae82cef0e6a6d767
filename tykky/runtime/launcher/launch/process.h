/* What /proc tells of processes, and those that outlive the command which needs them. */
#ifndef TYKKY_PROCESS_H
#define TYKKY_PROCESS_H

#include <stdint.h>

#include "../common/common.h"

/* The number of this process, as /proc names it and others will look for it; 0 if it cannot. */
pid_t process_self(void);

/* The number of a namespace of this process, "user" or "mnt"; 0 if it cannot be told. */
uint64_t process_namespace(const char *kind);

/* When a process started, in clock ticks since the boot; 0 if there is none, or a zombie. */
uint64_t process_start(pid_t pid);

/* A process, other than this one, that is in this mount namespace; 0 if there is none. An image
 * server of ours does not count: it is there for a namespace inside this one. */
pid_t process_beside(void);

/* Waits until that process has ended, or `seconds` have passed on a kernel that cannot tell. */
void process_wait(pid_t pid, unsigned seconds);

/* --- daemons: the keeper and the image server ------------------------------------------------- */

/* Starts `run(argument)` in a process that is nobody's child: the program that is executed later
 * does not get one that it does not expect, nor a signal when it ends. */
bool daemon_start(void (*run)(void *argument), void *argument);

/* In such a process: lets go of all that belongs to the caller. The terminal and its session, the
 * working directory, every descriptor but `fds` (which become 3, 4, ... in that order, closed on
 * exec), the binding to a CPU, and limits set for a program. It stays in the caller's cgroup: a
 * batch system may end it with the job.
 *
 * Signals for a job or a terminal are blocked: ranks that write a checkpoint after SIGTERM still
 * need their files. Ignoring would not do, since newer squashfuse sets handlers of its own. */
void daemon_detach(int *fds, int count);

/* Notes where the kernel put the words of the command line, which are what ps reads. */
void title_remember(char **argv);

/* Calls this process `name`, of at most 15 characters, and has ps show `subject` after it: not one
 * more copy of some command. */
void title_set(const char *name, const char *subject);

#endif

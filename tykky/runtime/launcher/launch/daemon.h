/* Processes that outlive the command which needs them: the keeper and the image server. */
#ifndef TYKKY_DAEMON_H
#define TYKKY_DAEMON_H

#include "../common/problem.h"

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

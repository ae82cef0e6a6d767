/* What /proc tells of processes, and of the mount namespace they are in. */
#ifndef TYKKY_PROCESS_H
#define TYKKY_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

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

#endif

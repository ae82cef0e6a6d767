/* Who is in the keeper's mount namespace? */
#ifndef TYKKY_MEMBERS_H
#define TYKKY_MEMBERS_H

#include <sys/types.h>

/* The pid of a process, other than this one, that is in this mount namespace; 0 if there is none.
 * An image server of ours does not count: it is there for a namespace inside this one. */
pid_t members_find(void);

/* Waits until that process has ended, or `seconds` have passed on a kernel that cannot tell. */
void members_wait(pid_t member, unsigned seconds);

#endif

/* The scope in which a mount is shared.
 *
 * A batch system ends all processes of a step together, and so does a login session; a keeper
 * that lived in one must not serve another. The scope is that of Slurm's job and step, else the
 * cgroup that the process is in.
 */
#ifndef TYKKY_SCOPE_H
#define TYKKY_SCOPE_H

#include <stdbool.h>

struct scope {
    const char *text;
    bool in_job; /* mounts are kept for a shorter time */
};

void scope_find(struct scope *scope);

/* The scope that the text of /proc/self/cgroup tells, which is cut to pieces. */
void scope_of_cgroup(struct scope *scope, char *text);

#endif

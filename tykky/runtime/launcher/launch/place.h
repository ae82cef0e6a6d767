/* Where this command lies, and which path it has to execute.
 *
 * The same path means the real program once the image is mounted over the prefix, so the path
 * that was invoked is kept as it was: Python finds a virtual environment by it.
 */
#ifndef TYKKY_PLACE_H
#define TYKKY_PLACE_H

#include <limits.h>
#include <sys/stat.h>

#include "../common/problem.h"

struct place {
    char exe[PATH_MAX];    /* <prefix>/bin/NAME, without symbolic links */
    char prefix[PATH_MAX]; /* as found from exe */
    struct stat launcher;  /* of exe: the inode of every command of this install */
    const char *invoked;   /* the path to execute again */
};

bool place_find(struct place *place, char **argv);

/* Whether `prefix`, as launch.conf names it, is the directory that the command lies in. */
bool place_check(const struct place *place, const char *prefix);

#endif

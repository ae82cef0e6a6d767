/* Where this command lies, which path it has to execute, and which generation it goes on with.
 *
 * By its own name, <prefix>/.tykky/launch PROGRAM ARGUMENTS... runs any program inside.
 *
 * The same path means the real program once the image is mounted over the prefix, so the path
 * that was invoked is kept as it was: Python finds a virtual environment by it.
 *
 * A session goes on with the generations that it is pinned to, whatever becomes the current one.
 * TYKKY_PINS has PLACE=GENERATION, with colons between them; the first for a place counts.
 */
#ifndef TYKKY_PLACE_H
#define TYKKY_PLACE_H

#include "../common/common.h"

struct place {
    char exe[PATH_MAX];    /* <prefix>/bin/NAME, without symbolic links */
    char prefix[PATH_MAX]; /* as found from exe */
    struct stat launcher;  /* of exe: the inode of every command of this install */
    const char *invoked;   /* the path to execute again */
    bool runs_any;         /* it is <prefix>/.tykky/launch, which runs the program that it is given */
};

bool place_find(struct place *place, char **argv);

/* Whether `prefix`, as launch.conf names it, is the directory that the command lies in. */
bool place_check(const struct place *place, const char *prefix);

/* What follows the = for the install at `place`, whatever it is; NULL if nothing names it. */
const char *pins_find(const char *place);

/* Pins the install at `place` for the program that will be executed, before all others. */
void pins_add(const char *place, const char *generation);

#endif

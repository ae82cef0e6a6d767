/* Where this command lies, which path it has to execute, and which generation it goes on with.
 *
 * The same path means the real program once the image is mounted over the prefix, so the path
 * that was invoked is kept as it was: Python finds a virtual environment by it.
 *
 * A session goes on with the generations that it is pinned to, whatever becomes the current one.
 * TYKKY_PINS has PLACE=GENERATION, with colons between them; the first for a place counts.
 */
#ifndef TYKKY_PLACE_H
#define TYKKY_PLACE_H

#include "conf.h"

struct place {
    char exe[PATH_MAX];    /* <prefix>/bin/NAME, without symbolic links */
    char prefix[PATH_MAX]; /* as found from exe */
    struct stat launcher;  /* of exe: the inode of every command of this install */
    const char *invoked;   /* the path to execute again */
};

bool place_find(struct place *place, char **argv);

/* Whether `prefix`, as launch.conf names it, is the directory that the command lies in. */
bool place_check(const struct place *place, const char *prefix);

/* What follows the = for the install at `place`, whatever it is; NULL if nothing names it. */
const char *pins_find(const char *place);

/* Pins the install at `place` for the program that will be executed, before all others. */
void pins_add(const char *place, const char *generation);

/* --- programs --------------------------------------------------------------------------------- */

/* The path to execute: the one that launch.conf gives for this command, else the invoked one. */
const char *program_path(const struct place *place, const struct conf *conf);

/* Executes the invoked path with the same arguments. Returns (false) only on failure; it never
 * executes a launcher, so no mistake can make an endless loop. */
bool program_execute(const struct place *place, const struct conf *conf, char **argv);

/* Finds program `name`: what the site named in launch.conf, and nothing else if it named any; else
 * in the `usual` directories (ends with NULL); else along PATH, which comes last because in a
 * module environment anything may be there. NULL: it is not found. */
const char *search_program(const char *name, const struct list *named, const char *const *usual);

#endif

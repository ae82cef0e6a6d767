/* What stands for a directory at the beginning of a value: $PREFIX is where an install lies that may
 * be moved, and $GENERATION the directory of the generation that the file belongs to. */
#ifndef TYKKY_RELOCATE_H
#define TYKKY_RELOCATE_H

#include "conf.h"

/* Puts in their places: `prefix`, which must stay valid, for $PREFIX and for what the file names as
 * its own, if it may be moved; and for $GENERATION the directory that is called `generation`, which
 * must stay valid too (NULL: the number in the file). */
bool relocate(struct conf *conf, const char *prefix, const char *generation,
              struct problem *problem);

#endif

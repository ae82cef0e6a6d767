/* Installs that may be moved: $PREFIX at the beginning of a value is where the install lies now. */
#ifndef TYKKY_RELOCATE_H
#define TYKKY_RELOCATE_H

#include "conf.h"

/* Whether a path is below the install, wherever that lies. */
bool is_prefix_path(const char *path);

/* Puts `prefix`, which must stay valid, in the place of the one that the file names, and of $PREFIX
 * in variables, binds, root and container. Does nothing for an install that is bound to its place. */
bool relocate(struct conf *conf, const char *prefix, struct problem *problem);

#endif

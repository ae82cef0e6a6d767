/* Making mount points in a tree that cannot be written.
 *
 * A directory in which a name is missing is covered by one in memory, which has all its entries
 * bound into it, and the missing one as well. Nothing on the disk changes.
 */
#ifndef TYKKY_TREE_H
#define TYKKY_TREE_H

#include <stdbool.h>

#include "../common/problem.h"

/* Makes sure that there is a directory, or anything, at `path`. */
bool tree_make(const char *path, bool directory);

/* Mounts a new, empty directory in memory over `path`; mountinfo shows `name` as its source. */
bool tree_mount_empty(const char *path, const char *name);

/* Binds all entries of the directory that `source` is open on into `path`, which must be one of
 * ours; names that are there already are left alone. */
bool tree_fill(const char *path, int source);

#endif

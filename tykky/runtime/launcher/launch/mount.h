/* The namespace of a stack: its images, its binds, and if need be its root. */
#ifndef TYKKY_MOUNT_H
#define TYKKY_MOUNT_H

#include "server.h"
#include "stack.h"

/* Checks the images and starts a server for each, in the present namespaces: `servers` are those of
 * the stack's images, in the same order, with room for MAX_IMAGES. */
bool mount_prepare(struct server *servers, const struct stack *stack);

/* Enters a new mount namespace (see namespace_enter) and mounts all there. */
bool mount_enter(struct server *servers, const struct stack *stack, bool *user_namespace);

/* Whether the stack asks for a root image, or for a path whose first name the host does not have. */
bool root_is_needed(const struct stack *stack);

/* Makes another root directory that of this process and its namespace: that of an image, which
 * `server` serves, or of a directory, or that of the host with new names in it. */
bool root_make(const struct stack *stack, struct server *server);

/* --- mount points in a tree that cannot be written --------------------------------------------
 *
 * A directory in which a name is missing is covered by one in memory, which has all its entries
 * bound into it, and the missing one as well. Nothing on the disk changes. */

/* Makes sure that there is a directory, or anything, at `path`. */
bool tree_make(const char *path, bool directory);

/* Mounts a new, empty directory in memory over `path`; mountinfo shows `name` as its source. */
bool tree_mount_empty(const char *path, const char *name);

/* Binds all entries of the directory that `source` is open on into `path`, which must be one of
 * ours; names that are there already are left alone. */
bool tree_fill(const char *path, int source);

#endif

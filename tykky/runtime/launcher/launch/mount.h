/* The namespace of a stack: its images, its binds, and if need be its root. */
#ifndef TYKKY_MOUNT_H
#define TYKKY_MOUNT_H

#include "../common/problem.h"
#include "server.h"
#include "stack.h"

struct mounts {
    struct server servers[MAX_IMAGES]; /* of the stack's images, in the same order */
    int roots[MAX_IMAGES];             /* each is open on the root of an image */
};

/* Checks the images and starts a server for each, in the present namespaces. */
bool mount_prepare(struct mounts *mounts, const struct stack *stack);

/* Enters a new mount namespace (see namespace_enter) and mounts all there. */
bool mount_enter(struct mounts *mounts, const struct stack *stack, bool *user_namespace);

#endif

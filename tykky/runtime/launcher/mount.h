/* Mounting the images of a stack, in a namespace made for them. */
#ifndef TYKKY_MOUNT_H
#define TYKKY_MOUNT_H

#include "problem.h"
#include "server.h"
#include "stack.h"

struct servers {
    struct server of[MAX_INSTALLS];
};

/* Checks the images and starts a server for each, in the present namespaces. */
bool mount_prepare(struct servers *servers, const struct stack *stack, struct problem *problem);

/* Enters a new mount namespace (see namespace_enter) and mounts all there. */
bool mount_enter(struct servers *servers, const struct stack *stack, bool *user_namespace,
                 struct problem *problem);

#endif

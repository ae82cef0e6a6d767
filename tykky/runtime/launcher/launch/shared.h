/* The mount that all commands of a user on this node share. */
#ifndef TYKKY_SHARED_H
#define TYKKY_SHARED_H

#include "../common/problem.h"
#include "stack.h"

enum shared_result {
    SHARED_ENTERED,
    SHARED_IMPOSSIBLE, /* here; a mount of the command's own still may work */
    SHARED_FAILED,     /* and so would any other way; `problem` says why */
};

/* Enters the namespace of the keeper for this stack; starts one if there is none. */
enum shared_result shared_enter(const struct stack *stack, bool *user_namespace,
                                struct problem *problem);

#endif

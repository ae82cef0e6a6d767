/* The mount that all commands of a user on this node share. */
#ifndef TYKKY_SHARED_H
#define TYKKY_SHARED_H

#include "registry.h"
#include "stack.h"

/* Enters the namespace of the keeper for this stack; starts one if there is none. */
enum outcome shared_enter(const struct stack *stack, bool *user_namespace);

#endif

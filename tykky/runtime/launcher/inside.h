/* Is this process inside a stack already? */
#ifndef TYKKY_INSIDE_H
#define TYKKY_INSIDE_H

#include "problem.h"
#include "stack.h"

/* Whether this stack's own image is mounted: the command was called from inside and stayed a
 * launcher, because its prefix is not covered. */
bool inside_this_stack(const struct stack *stack);

/* For a stack that refuses it: false, with a problem, if another stack's image is mounted. */
bool inside_check_others(const struct stack *stack, struct problem *problem);

/* Says that a command was called from inside the stack of `other`, an image or a prefix. Returns
 * false. */
bool inside_refuse(const struct stack *stack, const char *other, struct problem *problem);

#endif

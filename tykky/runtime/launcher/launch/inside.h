/* Is this process inside a stack already? */
#ifndef TYKKY_INSIDE_H
#define TYKKY_INSIDE_H

#include "../common/problem.h"
#include "stack.h"

/* Whether the command was called from inside this stack: its own image is mounted, and it stayed a
 * launcher because its prefix is not covered; or a command of it has started the container. */
bool inside_this_stack(const struct stack *stack);

/* The stack around this process, by its image or its prefix, if it is inside another one; or NULL. */
const char *inside_other(const struct stack *stack);

/* For a stack that refuses it: false, with a problem, if this is inside another stack, or in a
 * container that a command of another one has started. */
bool inside_check_others(const struct stack *stack);

/* Says, if something that is needed was out of sight, that this may be because of the stack around
 * this process. Returns false. */
bool inside_explain(const struct stack *stack);

#endif

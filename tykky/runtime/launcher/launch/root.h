/* Another root directory: that of an image, or that of the host with new names in it. */
#ifndef TYKKY_ROOT_H
#define TYKKY_ROOT_H

#include "../common/problem.h"
#include "server.h"
#include "stack.h"

/* Whether the stack asks for a root image, or for a path whose first name the host does not have.
 */
bool root_is_needed(const struct stack *stack);

/* Makes it the root of this process and its namespace. `server` serves the root image, if there
 * is one; `*image` is then open on that image's root. */
bool root_make(const struct stack *stack, struct server *server, int *image);

#endif

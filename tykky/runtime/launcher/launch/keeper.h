/* The keeper: a process whose only task is to be in the namespace that commands share.
 *
 * It makes the namespace, enters itself in the registry, and leaves when nobody else has been in
 * there for some time. The mount goes with the last process that sees it, which need not be the
 * keeper: if it is killed, running programs notice nothing.
 */
#ifndef TYKKY_KEEPER_H
#define TYKKY_KEEPER_H

#include "../common/problem.h"
#include "registry.h"
#include "stack.h"

/* The keeper holds the root of image number i open with this descriptor plus i, so that others
 * can look at the mount without being inside. */
enum { KEEPER_ROOTS = 16 };

struct keeper {
    const struct stack *stack;
    struct registry registry;
    unsigned idle;       /* seconds */
    bool user_namespace; /* the caller has entered that of an earlier keeper */
    int lock;            /* of the registry's key; the keeper lets go of it when it can be found */
    int report;
};

/* Starts a keeper and waits until it is ready. IMPOSSIBLE: the registry takes no entry. */
enum outcome keeper_start(struct keeper *keeper);

#endif

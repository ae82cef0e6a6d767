/* A mount namespace of one's own, which an ordinary user gets inside a user namespace. */
#ifndef TYKKY_NAMESPACE_H
#define TYKKY_NAMESPACE_H

#include "problem.h"

/* Enters a new mount namespace that still receives the host's mounts and sends none back.
 *
 * Root gets only a mount namespace, so that it keeps its power over other users' files. Everyone
 * else gets a user namespace too, in which the user and the group are mapped to themselves; but
 * not again if `*user_namespace` says that the process has already entered one of ours. Afterwards
 * it says whether the process is in one. `more` are further CLONE_NEW* flags (the box asks for a
 * PID namespace). */
bool namespace_enter(int more, bool *user_namespace);

#endif

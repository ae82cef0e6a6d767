/* A mount namespace of one's own, which an ordinary user gets inside a user namespace, and what is
 * mounted there. */
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

/* Binds what a descriptor is open on over `target`, with all that is mounted below it. */
bool bind_descriptor(int fd, const char *target);

/* Makes a mount read-only or writable. Its other flags stay: who made it may have locked them. */
bool remount(const char *path, bool read_only);

/* Makes a directory or an empty file, and the directories above it. */
bool make_mount_point(const char *path, bool directory);

#endif

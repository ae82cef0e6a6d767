/* Mounting one image. */
#ifndef TYKKY_FUSE_H
#define TYKKY_FUSE_H

#include "../common/problem.h"
#include "server.h"
#include "stack.h"

/* Mounts `image` on the directory `target`, in the present namespace, and has `server` serve it.
 * `*root` is then open on the root of the image. Lets go of the server in any case. */
bool fuse_mount(struct server *server, const struct image *image, const char *target, int *root);

#endif

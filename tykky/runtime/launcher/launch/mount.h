/* The namespace of a stack: its images, its binds, and if need be its root. */
#ifndef TYKKY_MOUNT_H
#define TYKKY_MOUNT_H

#include "stack.h"

/* --- the image server: squashfuse_ll, running outside the namespace that it serves ---------------
 *
 * Were it inside, it would itself keep the namespace alive, and never end. Outside, it ends by
 * itself when the last process that sees the mount has gone: the kernel closes the connection. */

/* The first variable of a server's environment, by which a keeper knows it. */
#define SERVER_MARK "TYKKY_SERVER=1"
#define SERVER_NAME "squashfuse_ll"

struct server {
    const char *program;
    const struct image *image;
    const struct carrier *carrier; /* which has the program, or NULL */
    int channel; /* to the process that will be the server; -1 if there is none */
    int other_end;
    int root; /* open on the root of the image, when that is mounted */
};

/* Finds the program: what launch.conf names, else the usual places, else PATH. */
bool server_find(struct server *server, const struct conf *conf);

/* Starts a process that waits, in the present namespaces, for a FUSE descriptor. */
bool server_start(struct server *server, const struct image *image);

/* Lets go of a process that still waits. */
void server_hang_up(struct server *server);

/* Mounts the image on the directory `target`, in the present namespace, and has it served. */
bool server_mount(struct server *server, const char *target);

/* Checks the images and starts a server for each, in the present namespaces: `servers` are those of
 * the stack's images, in the same order, with room for MAX_IMAGES. */
bool mount_prepare(struct server *servers, const struct stack *stack);

/* Enters a new mount namespace (see namespace_enter) and mounts all there. */
bool mount_enter(struct server *servers, const struct stack *stack, bool *user_namespace);

/* Lets ssh accept the configuration files of the system, in a user namespace of this process. */
void mount_for_ssh(void);

#endif

/* The image server: squashfuse_ll, running outside the namespace that it serves.
 *
 * Were it inside, it would itself keep the namespace alive, and never end. Outside, it ends by
 * itself when the last process that sees the mount has gone: the kernel closes the connection.
 */
#ifndef TYKKY_SERVER_H
#define TYKKY_SERVER_H

#include "../common/problem.h"
#include "conf.h"

/* The first variable of a server's environment, by which a keeper knows it. */
#define SERVER_MARK "TYKKY_SERVER=1"
#define SERVER_NAME "squashfuse_ll"

struct server {
    const char *program;
    const char *image;
    uint64_t offset; /* of the squashfs in that file */
    int channel;     /* to the process that will be the server; -1 if there is none */
    int other_end;
};

/* Finds the program: what launch.conf names, else the usual places, else PATH. */
bool server_find(struct server *server, const struct conf *conf);

/* Starts a process that waits, in the present namespaces, for a FUSE descriptor. */
bool server_start(struct server *server, const char *image, uint64_t offset);

/* Lets go of a process that still waits. */
void server_hang_up(struct server *server);

/* Gives it the descriptor (which is closed here) and waits until it runs. */
bool server_serve(struct server *server, int fuse);

#endif

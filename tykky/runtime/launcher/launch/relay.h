/* The relay: between the kernel and the image server, it answers what needs no image.
 *
 * squashfuse_ll wants to hear of every open and close, lets the kernel keep neither links nor
 * directories, and is asked for attributes that no image of ours has. All of that costs a command
 * a round trip each, also when the page cache holds everything it reads. The relay tells the
 * kernel that opens need not be reported (FUSE answers ENOSYS to mean that), opens files towards
 * the server itself when they are first read, and lets the kernel cache links and directories. So
 * it works with every squashfuse_ll, and a warm start asks for next to nothing.
 */
#ifndef TYKKY_RELAY_H
#define TYKKY_RELAY_H

#include <stdbool.h>

#define RELAY_NAME "tykky-relay"

/* How another server is started, if one is lost: `start` returns the socket to it, or -1. */
struct relay_source {
    int (*start)(void *argument);
    void *argument;
};

/* Serves the connection `fuse`, which the kernel has just made, with the help of the server at the
 * other end of the socket `server` (SOCK_SEQPACKET, a message each). `attributes` says whether
 * the image has extended attributes. Returns when the kernel's side has gone, or no server is left to
 * be had from `source` (which may be NULL). */
void relay_run(int fuse, int server, bool attributes, const struct relay_source *source);

#endif

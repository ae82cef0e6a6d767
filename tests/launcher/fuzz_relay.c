/* The relay between a kernel and an image server that say anything in any order.
 *
 * A line of an input is a message: k OPCODE NODE NUMBER LENGTH from the kernel, or
 * s NUMBER ERROR BODY LENGTH from the server. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "launch/relay.h"
#include "launch/relay_protocol.h"

const char *const fuzz_seeds[] = {
    "k 26 255 2 104\ns 1 0 255 80\nk 1 1 4 48\ns 1 0 1 144\nk 15 7 6 80\ns 1 0 3 32\ns 2 0 3 64\n"
    "k 15 7 8 80\nk 2 7 0 48\ns 2 0 0 16\ns 1 0 0 16\n",
    "k 26 255 2 56\nk 14 5 4 48\nk 28 5 6 80\nk 28 5 8 80\ns 1 0 255 40\ns 2 0 1 32\n"
    "s 1 0 1 99\ns 2 0 1 16\nk 42 5 0 88\nk 28 5 8 80\n",
    "k 26 255 2 104\nk 17 1 4 40\nk 39 1 6 72\nk 22 1 8 60\nk 3 1 10 56\ns 2 0 4 96\nk 17 1 12 40\n"
    "s 3 5 0 16\nk 36 0 3 48\nk 38 0 14 40\n",
    "k 26 255 2 104\nk 15 9 2 80\nk 15 9 4 80\ns 2 24 0 16\nk 15 9 6 80\ns 1 0 1 17\nk 2 9 0 48\n",
    NULL,
};

enum { LONGEST = 8192 };

static void from_kernel(int fd, const unsigned numbers[4])
{
    static char message[LONGEST];
    struct fuse_request *request = (struct fuse_request *)message;
    memset(message, (int)numbers[1], sizeof message);
    *request = (struct fuse_request){.length = numbers[3] % LONGEST,
                                     .opcode = numbers[0],
                                     .node = numbers[1],
                                     .unique = numbers[2]};
    send(fd, message, request->length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void from_server(int fd, const unsigned numbers[4])
{
    static char message[LONGEST];
    struct fuse_answer *header = (struct fuse_answer *)message;
    memset(message, (int)numbers[2], sizeof message);
    *header = (struct fuse_answer){
        .length = numbers[3] % LONGEST, .error = -(int)(numbers[1] % 512), .unique = numbers[0]};
    if (header->length >= sizeof *header) /* a shorter one ends the relay */
        send(fd, message, header->length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Another server, which has gone when it is spoken to. */
static int start(void *argument)
{
    int ends[2];
    (void)argument;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
        abort();
    close(ends[1]);
    return ends[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int kernel[2], server[2], read = 0;
    static const unsigned no_answer[4] = {0, 0, 0, sizeof(struct fuse_answer)};
    static const unsigned no_request[4] = {FUSE_INTERRUPT, 0, 0, sizeof(struct fuse_request)};
    const int little = 4608;
    char *text = malloc(size + 1);
    if (!text || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, kernel) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, server) != 0)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    char side;
    unsigned numbers[4];
    for (const char *at = text; sscanf(at, " %c %u %u %u %u%n", &side, &numbers[0], &numbers[1],
                                       &numbers[2], &numbers[3], &read) == 5;
         at += read) {
        /* The relay reads of each in turn: so one without effect stands beside every message. */
        from_kernel(kernel[0], side == 'k' ? numbers : no_request);
        from_server(server[0], side == 'k' ? no_answer : numbers);
    }
    shutdown(kernel[0], SHUT_WR);
    shutdown(server[0], SHUT_WR);
    signal(SIGPIPE, SIG_IGN);
    if (size % 3 == 0) /* a server that takes little */
        setsockopt(server[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    const struct relay_source source = {start, NULL};
    relay_run(kernel[1], server[1], size % 2, size % 5 ? &source : NULL);
    close(kernel[0]);
    close(kernel[1]);
    close(server[0]);
    free(text);
    return 0;
}

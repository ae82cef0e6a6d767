/* What a relay knows, for its two halves: relay.c and relay_server.c. */
#ifndef TYKKY_RELAY_STATE_H
#define TYKKY_RELAY_STATE_H

#include <stddef.h>

#include "relay.h"
#include "relay_protocol.h"

/* More than a read's answer of 32 pages of 4 KiB, the most that the kernel asks for at once. */
enum { BUFFER = 256 * 1024, HANDLE_LISTS = 4096 };

/* So often, a server may be lost before one has answered anything. */
enum { MAX_LOSSES = 3 };

/* A message that has to wait, or that may have to be sent again. */
struct message {
    struct message *next;
    size_t length;
    bool again; /* a server was lost with it already */
    _Alignas(8) char data[];
};

/* What the relay has opened towards the server: one for each file that is read. */
struct handle {
    uint64_t node;   /* the kernel's number of the file */
    uint64_t number; /* the server's of the open file */
    uint32_t uses;   /* reads that the server has not answered */
    bool is_open, is_directory;
    bool is_forgotten;       /* by the kernel: to be closed when it is not used */
    struct message *waiting; /* reads, until it is open */
    struct handle *next;
};

/* A request that the server has and has not answered. Its place in the table is what the server
 * knows it by. */
struct pending {
    uint64_t unique; /* what the kernel knows it by */
    uint32_t opcode; /* 0: this place is free */
    uint32_t next_free;
    bool is_own;           /* of the relay, not of the kernel */
    struct handle *handle; /* of a read, and of the relay's opens */
    struct message *copy;  /* of the kernel's */
};

struct relay {
    int fuse, server;
    const struct relay_source *source; /* of another server, if this one is lost */
    struct message *init;              /* the first request that a server wants */
    bool ready;                        /* the kernel has the answer to that */
    unsigned losses;                   /* of servers, since one has answered the kernel */
    bool attributes;
    bool opens_here, opendirs_here; /* what the kernel need not report */
    uint32_t offered;               /* the kernel's flags */
    struct pending *pending;
    uint32_t places, first_free; /* a free place is known by its number + 1 */
    struct handle *handles[HANDLE_LISTS];
    struct message *unsent, **last_unsent;
    struct {
        struct fuse_answer header;
        char body[112];
    } statfs; /* the server's answer, which never changes; no length: not asked yet */
    bool lost;  /* the server */
    bool again; /* what is asked now is asked for the second time */
    bool ended; /* the kernel's side, or all hope */
    _Alignas(8) char buffer[BUFFER];
};

/* Does what the kernel asks. */
void relay_request(struct relay *relay, struct fuse_request *request);

/* Answers the kernel. */
void relay_answer(struct relay *relay, void *data, size_t length);
void relay_answer_error(struct relay *relay, uint64_t unique, int error);

/* --- towards the server ------------------------------------------------------------------------ */

struct message *message_copy(const void *data, size_t length);

/* Sends what had to wait, as far as the server takes it. */
void send_unsent(struct relay *relay);

/* Sends what is never answered. */
void send_request(struct relay *relay, const void *data, size_t length);

/* Sends a request of the kernel, and notes by which number that knows it. */
void pass_on(struct relay *relay, struct fuse_request *request, struct handle *handle);

/* Reads a file or directory, which is opened first if it is not open. */
void read_opened(struct relay *relay, struct fuse_request *request);

/* Does what waits for an open, which has ended so. */
void serve_waiting(struct relay *relay, struct handle *handle, int error);

/* Closes what is open towards the server. */
void let_go(struct relay *relay, struct handle *handle);

/* The kernel has forgotten a file. */
void forget(struct relay *relay, uint64_t node);

/* Takes another server instead of one that was lost (killed, since memory was short), and asks that
 * what the old one had not answered. It knows files by the same numbers, their places in the
 * image. What has lost two servers ends in an I/O error. */
void replace_server(struct relay *relay);

#endif

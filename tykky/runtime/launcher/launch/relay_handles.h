/* What the relay has opened towards the image server: one handle for each file that is read. */
#ifndef TYKKY_RELAY_HANDLES_H
#define TYKKY_RELAY_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message of the FUSE protocol that has to wait. */
struct message {
    struct message *next;
    size_t length;
    _Alignas(8) char data[];
};

/* NULL if there is no memory. */
struct message *message_copy(const void *data, size_t length);

struct handle {
    uint64_t node;   /* the kernel's number of the file */
    uint64_t number; /* the server's of the open file */
    uint32_t uses;   /* reads that the server has not answered */
    bool is_open, is_directory;
    bool is_forgotten;       /* by the kernel: to be closed when it is not used */
    struct message *waiting; /* reads, until it is open */
    struct handle *next;
};

enum { HANDLE_LISTS = 4096 };

struct handles {
    struct handle *lists[HANDLE_LISTS];
};

/* NULL if there is none. */
struct handle *handles_find(struct handles *handles, uint64_t node);

/* For a node that has none yet; NULL if there is no memory. */
struct handle *handles_add(struct handles *handles, uint64_t node);

void handles_remove(struct handles *handles, struct handle *handle);

#endif

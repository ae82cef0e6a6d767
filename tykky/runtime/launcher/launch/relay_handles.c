#define _GNU_SOURCE
#include "relay_handles.h"

#include <stdlib.h>
#include <string.h>

struct message *message_copy(const void *data, size_t length)
{
    struct message *message = malloc(sizeof *message + length);
    if (message) {
        message->next = NULL;
        message->length = length;
        memcpy(message->data, data, length);
    }
    return message;
}

static struct handle **list_of(struct handles *handles, uint64_t node)
{
    /* squashfuse numbers files by where they stand in the image: neighbours differ in low bits,
     * whole blocks in bits above the 16th. */
    return &handles->lists[(node ^ node >> 16 ^ node >> 28) % HANDLE_LISTS];
}

struct handle *handles_find(struct handles *handles, uint64_t node)
{
    struct handle *handle = *list_of(handles, node);
    while (handle && handle->node != node)
        handle = handle->next;
    return handle;
}

struct handle *handles_add(struct handles *handles, uint64_t node)
{
    struct handle *handle = calloc(1, sizeof *handle);
    if (handle) {
        struct handle **list = list_of(handles, node);
        handle->node = node;
        handle->next = *list;
        *list = handle;
    }
    return handle;
}

void handles_remove(struct handles *handles, struct handle *handle)
{
    struct handle **link = list_of(handles, handle->node);
    while (*link != handle)
        link = &(*link)->next;
    *link = handle->next;
    free(handle);
}

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay_state.h"

/* --- what is open ----------------------------------------------------------------------------- */

static struct handle **list_of(struct relay *relay, uint64_t node)
{
    /* squashfuse numbers files by where they stand in the image: neighbours differ in low bits,
     * whole blocks in bits above the 16th. */
    return &relay->handles[(node ^ node >> 16 ^ node >> 28) % HANDLE_LISTS];
}

static struct handle *handle_find(struct relay *relay, uint64_t node)
{
    struct handle *handle = *list_of(relay, node);
    while (handle && handle->node != node)
        handle = handle->next;
    return handle;
}

/* For a node that has none yet. */
static struct handle *handle_add(struct relay *relay, uint64_t node)
{
    struct handle **list = list_of(relay, node), *handle = malloc(sizeof *handle);
    if (!handle)
        return NULL;
    *handle = (struct handle){.node = node, .next = *list};
    return *list = handle;
}

static void handle_remove(struct relay *relay, struct handle *handle)
{
    struct handle **link = list_of(relay, handle->node);
    while (*link != handle)
        link = &(*link)->next;
    *link = handle->next;
    free(handle);
}

/* --- towards the server ----------------------------------------------------------------------- */

struct message *message_copy(const void *data, size_t length)
{
    struct message *message = malloc(sizeof *message + length);
    if (message) {
        *message = (struct message){.length = length};
        memcpy(message->data, data, length);
    }
    return message;
}

void send_unsent(struct relay *relay)
{
    while (relay->unsent) {
        struct message *message = relay->unsent;
        if (send(relay->server, message->data, message->length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            relay->lost = errno != EAGAIN && errno != ENOBUFS && errno != EINTR;
            return;
        }
        if (!(relay->unsent = message->next))
            relay->last_unsent = &relay->unsent;
        free(message);
    }
}

void send_request(struct relay *relay, const void *data, size_t length)
{
    if (!relay->unsent &&
        send(relay->server, data, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
        return;
    struct message *copy = message_copy(data, length);
    if (!copy) {
        relay->ended = true;
        return;
    }
    *relay->last_unsent = copy;
    relay->last_unsent = &copy->next;
    send_unsent(relay);
}

static struct pending *take_place(struct relay *relay, uint64_t *number)
{
    if (!relay->first_free) {
        uint32_t places = relay->places ? 2 * relay->places : 64;
        struct pending *more = realloc(relay->pending, places * sizeof *more);
        if (!more)
            return NULL;
        for (uint32_t i = relay->places; i < places; i++)
            more[i] = (struct pending){.next_free = i + 1 < places ? i + 2 : 0};
        relay->first_free = relay->places + 1;
        relay->pending = more;
        relay->places = places;
    }
    /* Never 0, which in FUSE means that no answer is wanted. */
    *number = relay->first_free;
    struct pending *place = &relay->pending[relay->first_free - 1];
    relay->first_free = place->next_free;
    return place;
}

/* Sends a request, and notes by which number the kernel knows it; false if there is no memory. */
static bool ask(struct relay *relay, struct fuse_request *request, struct handle *handle, bool own)
{
    struct message *copy = own ? NULL : message_copy(request, request->length);
    struct pending noted = {request->unique, request->opcode, 0, own, handle, copy};
    struct pending *place = own || copy ? take_place(relay, &request->unique) : NULL;
    if (!place) {
        free(copy);
        return false;
    }
    if (copy)
        copy->again = relay->again;
    *place = noted;
    send_request(relay, request, request->length);
    return true;
}

/* The kernel's request. */
void pass_on(struct relay *relay, struct fuse_request *request, struct handle *handle)
{
    if (ask(relay, request, handle, false))
        return;
    relay_answer_error(relay, request->unique, ENOMEM);
    if (handle)
        handle->uses--;
}

static bool ask_open(struct relay *relay, const struct fuse_request *reader, struct handle *handle)
{
    struct {
        struct fuse_request request;
        struct fuse_open open;
    } message = {.request = *reader, .open = {.flags = O_RDONLY}};
    message.request.length = sizeof message;
    message.request.opcode = reader->opcode == FUSE_READ ? FUSE_OPEN : FUSE_OPENDIR;
    handle->is_directory = reader->opcode != FUSE_READ;
    return ask(relay, &message.request, handle, true);
}

void let_go(struct relay *relay, struct handle *handle)
{
    struct {
        struct fuse_request request;
        struct fuse_release release;
    } message = {
        .request = {.length = sizeof message,
                    .opcode = handle->is_directory ? FUSE_RELEASEDIR : FUSE_RELEASE,
                    .node = handle->node},
        .release = {.handle = handle->number},
    };
    ask(relay, &message.request, NULL, true);
    handle_remove(relay, handle);
}

static void read_with(struct relay *relay, struct fuse_request *request, struct handle *handle)
{
    struct fuse_read *body = (struct fuse_read *)(request + 1);
    body->handle = handle->number;
    handle->uses++;
    pass_on(relay, request, handle);
}

/* When it is open, or cannot be opened. */
void serve_waiting(struct relay *relay, struct handle *handle, int error)
{
    struct message *waiting = handle->waiting;
    bool again = relay->again;
    handle->waiting = NULL;
    while (waiting) {
        struct message *next = waiting->next;
        struct fuse_request *request = (struct fuse_request *)waiting->data;
        relay->again = waiting->again;
        if (error)
            relay_answer_error(relay, request->unique, error);
        else
            read_with(relay, request, handle);
        free(waiting);
        waiting = next;
    }
    relay->again = again;
    if (error)
        handle_remove(relay, handle);
    else if (handle->is_forgotten && !handle->uses)
        let_go(relay, handle);
}

void forget(struct relay *relay, uint64_t node)
{
    struct handle *handle = handle_find(relay, node);
    if (!handle)
        return;
    handle->is_forgotten = true;
    if (handle->is_open && !handle->uses)
        let_go(relay, handle);
}

void read_opened(struct relay *relay, struct fuse_request *request)
{
    struct handle *handle = handle_find(relay, request->node);
    if (handle)
        handle->is_forgotten = false;
    if (handle && handle->is_open) {
        read_with(relay, request, handle);
        return;
    }
    struct message *waiting = message_copy(request, request->length);
    bool is_new = !handle;
    if (waiting && is_new)
        handle = handle_add(relay, request->node);
    if (!waiting || !handle) {
        free(waiting);
        relay_answer_error(relay, request->unique, ENOMEM);
        return;
    }
    waiting->again = relay->again;
    waiting->next = handle->waiting;
    handle->waiting = waiting;
    if (is_new && !ask_open(relay, request, handle))
        serve_waiting(relay, handle, ENOMEM);
}

/* --- another server ---------------------------------------------------------------------------- */

static void drop_unsent(struct relay *relay)
{
    for (struct message *next; relay->unsent; relay->unsent = next) {
        next = relay->unsent->next;
        free(relay->unsent);
    }
    relay->last_unsent = &relay->unsent;
}

/* Puts a request at the end of those that are to be sent again. */
static struct message **keep(struct relay *relay, struct message **last, struct message *message)
{
    if (message->again) {
        relay_answer_error(relay, ((struct fuse_request *)message->data)->unique, EIO);
        free(message);
        return last;
    }
    message->again = true;
    message->next = NULL;
    *last = message;
    return &message->next;
}

/* What the server had and what waited for an open; what is open is not any more. */
static struct message *take_requests(struct relay *relay)
{
    struct message *first = NULL, **last = &first;
    for (uint32_t i = 0; i < relay->places; i++)
        if (relay->pending[i].opcode && relay->pending[i].copy)
            last = keep(relay, last, relay->pending[i].copy);
    free(relay->pending);
    relay->pending = NULL;
    relay->places = relay->first_free = 0;
    for (size_t i = 0; i < HANDLE_LISTS; i++)
        while (relay->handles[i]) {
            for (struct message *next, *waiting = relay->handles[i]->waiting; waiting;
                 waiting = next) {
                next = waiting->next;
                last = keep(relay, last, waiting);
            }
            handle_remove(relay, relay->handles[i]);
        }
    return first;
}

static bool start_server(struct relay *relay)
{
    /* A kernel that has handles of its own would go on with those of the old server. */
    bool can = relay->source && relay->init && relay->ready && relay->opens_here &&
               relay->opendirs_here;
    close(relay->server);
    relay->server = can && relay->losses++ < MAX_LOSSES
                        ? relay->source->start(relay->source->argument)
                        : -1;
    struct message *init =
        relay->server >= 0 ? message_copy(relay->init->data, relay->init->length) : NULL;
    bool started = init && ask(relay, (struct fuse_request *)init->data, NULL, true);
    free(init);
    return started;
}

void replace_server(struct relay *relay)
{
    relay->lost = false;
    drop_unsent(relay);
    struct message *requests = take_requests(relay);
    relay->ended = !start_server(relay);
    relay->again = true;
    for (struct message *next; requests; requests = next) {
        next = requests->next;
        if (!relay->ended)
            relay_request(relay, (struct fuse_request *)requests->data);
        free(requests);
    }
    relay->again = false;
}

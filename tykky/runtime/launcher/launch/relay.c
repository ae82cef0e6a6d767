#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"
#include "relay_protocol.h"

/* More than a read's answer of 32 pages of 4 KiB, the most that the kernel asks for at once. */
enum { BUFFER = 256 * 1024, HANDLE_LISTS = 4096 };

/* A message that has to wait. */
struct message {
    struct message *next;
    size_t length;
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
};

struct relay {
    int fuse, server;
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
    bool ended;
    _Alignas(8) char buffer[BUFFER];
};

static void answer(struct relay *relay, void *data, size_t length)
{
    const struct fuse_answer *header = data;
    struct fuse_answer instead = {
        .length = sizeof instead, .error = -EIO, .unique = header->unique};
    /* ENOENT: the process that asked was killed. EINVAL: the server's answer makes no sense. */
    ssize_t written = write(relay->fuse, data, length);
    if (written < 0 && errno == EINVAL)
        written = write(relay->fuse, &instead, sizeof instead);
    if (written < 0 && errno == ENODEV)
        relay->ended = true;
}

static void answer_error(struct relay *relay, uint64_t unique, int error)
{
    struct fuse_answer header = {.length = sizeof header, .error = -error, .unique = unique};
    answer(relay, &header, sizeof header);
}

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

static struct message *message_copy(const void *data, size_t length)
{
    struct message *message = malloc(sizeof *message + length);
    if (message) {
        *message = (struct message){.length = length};
        memcpy(message->data, data, length);
    }
    return message;
}

static void send_unsent(struct relay *relay)
{
    while (relay->unsent) {
        struct message *message = relay->unsent;
        if (send(relay->server, message->data, message->length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            relay->ended = errno != EAGAIN && errno != ENOBUFS && errno != EINTR;
            return;
        }
        if (!(relay->unsent = message->next))
            relay->last_unsent = &relay->unsent;
        free(message);
    }
}

static void send_request(struct relay *relay, const void *data, size_t length)
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
    struct pending noted = {request->unique, request->opcode, 0, own, handle};
    struct pending *place = take_place(relay, &request->unique);
    if (!place)
        return false;
    *place = noted;
    send_request(relay, request, request->length);
    return true;
}

/* The kernel's request. */
static void pass_on(struct relay *relay, struct fuse_request *request, struct handle *handle)
{
    if (ask(relay, request, handle, false))
        return;
    answer_error(relay, request->unique, ENOMEM);
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

static void let_go(struct relay *relay, struct handle *handle)
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
static void serve_waiting(struct relay *relay, struct handle *handle, int error)
{
    struct message *waiting = handle->waiting;
    handle->waiting = NULL;
    while (waiting) {
        struct message *next = waiting->next;
        struct fuse_request *request = (struct fuse_request *)waiting->data;
        if (error)
            answer_error(relay, request->unique, error);
        else
            read_with(relay, request, handle);
        free(waiting);
        waiting = next;
    }
    if (error)
        handle_remove(relay, handle);
    else if (handle->is_forgotten && !handle->uses)
        let_go(relay, handle);
}

static void forget(struct relay *relay, uint64_t node)
{
    struct handle *handle = handle_find(relay, node);
    if (!handle)
        return;
    handle->is_forgotten = true;
    if (handle->is_open && !handle->uses)
        let_go(relay, handle);
}

/* --- from the kernel -------------------------------------------------------------------------- */

static void on_read(struct relay *relay, struct fuse_request *request)
{
    bool here = request->opcode == FUSE_READ ? relay->opens_here : relay->opendirs_here;
    if (!here || request->length < sizeof *request + sizeof(struct fuse_read)) {
        pass_on(relay, request, NULL);
        return;
    }
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
        answer_error(relay, request->unique, ENOMEM);
        return;
    }
    waiting->next = handle->waiting;
    handle->waiting = waiting;
    if (is_new && !ask_open(relay, request, handle))
        serve_waiting(relay, handle, ENOMEM);
}

static void on_init(struct relay *relay, struct fuse_request *request)
{
    struct fuse_init *init = (struct fuse_init *)(request + 1);
    if (request->length >= sizeof *request + 16) {
        relay->offered = init->flags;
        relay->opens_here = init->flags & FUSE_NO_OPEN_SUPPORT;
        relay->opendirs_here = init->flags & FUSE_NO_OPENDIR_SUPPORT;
        init->flags &= ~(uint32_t)(FUSE_MAX_PAGES | FUSE_INIT_EXT);
    }
    pass_on(relay, request, NULL);
}

static void on_batch_forget(struct relay *relay, struct fuse_request *request)
{
    const struct fuse_batch_forget *batch = (const void *)(request + 1);
    const struct fuse_forget_one *one = (const void *)(batch + 1);
    const char *end = (const char *)request + request->length;
    for (; (const char *)(one + 1) <= end; one++)
        forget(relay, one->node);
    send_request(relay, request, request->length);
}

static void on_request(struct relay *relay, struct fuse_request *request)
{
    bool has = true; /* the server has it, or says what is wrong */
    switch (request->opcode) {
    case FUSE_INIT: on_init(relay, request); return;
    case FUSE_FORGET:
        forget(relay, request->node);
        send_request(relay, request, request->length); /* is never answered */
        return;
    case FUSE_BATCH_FORGET: on_batch_forget(relay, request); return;
    case FUSE_INTERRUPT: /* no request takes long */ return;
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: on_read(relay, request); return;
    case FUSE_OPEN: has = !relay->opens_here; break;
    case FUSE_OPENDIR: has = !relay->opendirs_here; break;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR: has = relay->attributes; break;
    case FUSE_GETATTR: /* by number, not by handle */
        memset(request + 1, 0, request->length - sizeof *request);
        break;
    case FUSE_STATFS: /* by which every command looks whether the mount is alive */
        if (!relay->statfs.header.length)
            break;
        relay->statfs.header.unique = request->unique;
        answer(relay, &relay->statfs, relay->statfs.header.length);
        return;
    case FUSE_LOOKUP:
    case FUSE_READLINK:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_DESTROY: break;
    default: has = false; /* ioctl (isatty), lseek, poll, ...: the kernel does what is usual */
    }
    if (has)
        pass_on(relay, request, NULL);
    else
        answer_error(relay, request->unique, ENOSYS);
}

static void from_kernel(struct relay *relay)
{
    struct fuse_request *request = (struct fuse_request *)relay->buffer;
    ssize_t length = read(relay->fuse, relay->buffer, sizeof relay->buffer);
    if (length <= 0)
        relay->ended = !length || (errno != EAGAIN && errno != EINTR && errno != ENOENT);
    else if ((size_t)length >= sizeof *request && request->length == (size_t)length)
        on_request(relay, request);
}

/* --- from the server -------------------------------------------------------------------------- */

static void on_opened(struct relay *relay, struct handle *handle, const struct fuse_answer *header)
{
    const struct fuse_opened *opened = (const void *)(header + 1);
    int error = -header->error;
    if (!error && header->length < sizeof *header + sizeof *opened)
        error = EIO;
    handle->is_open = !error;
    handle->number = error ? 0 : opened->handle;
    serve_waiting(relay, handle, error);
}

static void on_init_answer(struct relay *relay, struct fuse_answer *header)
{
    struct fuse_init *init = (struct fuse_init *)(header + 1);
    if (header->length < sizeof *header + sizeof *init)
        return;
    init->flags |= relay->offered & FUSE_CACHE_SYMLINKS;
    init->max_write = 4096;
}

static void on_answer(struct relay *relay, struct fuse_answer *header)
{
    uint64_t number = header->unique;
    if (!number || number > relay->places || !relay->pending[number - 1].opcode)
        return;
    struct pending request = relay->pending[number - 1];
    relay->pending[number - 1] = (struct pending){.next_free = relay->first_free};
    relay->first_free = (uint32_t)number;
    header->unique = request.unique;
    if (request.is_own) {
        if (request.handle)
            on_opened(relay, request.handle, header);
        return;
    }
    if (request.opcode == FUSE_INIT)
        on_init_answer(relay, header);
    if (request.opcode == FUSE_STATFS && !header->error && header->length <= sizeof relay->statfs)
        memcpy(&relay->statfs, header, header->length);
    answer(relay, header, header->length);
    if (request.handle && --request.handle->uses == 0 && request.handle->is_forgotten)
        let_go(relay, request.handle);
}

static void from_server(struct relay *relay)
{
    struct fuse_answer *header = (struct fuse_answer *)relay->buffer;
    ssize_t length = recv(relay->server, relay->buffer, sizeof relay->buffer, MSG_DONTWAIT);
    if (length < 0)
        relay->ended = errno != EAGAIN && errno != EINTR;
    else if ((size_t)length < sizeof *header || header->length != (size_t)length)
        relay->ended = true; /* it has gone, or talks nonsense */
    else
        on_answer(relay, header);
}

void relay_run(int fuse, int server, bool attributes)
{
    static struct relay relay;
    relay = (struct relay){0};
    relay.fuse = fuse;
    relay.server = server;
    relay.attributes = attributes;
    relay.last_unsent = &relay.unsent;
    fcntl(fuse, F_SETFL, O_RDWR | O_NONBLOCK);
    while (!relay.ended) {
        /* As long as the server takes nothing more, nothing more is taken from the kernel. */
        struct pollfd ends[] = {
            {.fd = server, .events = (short)(POLLIN | (relay.unsent ? POLLOUT : 0))},
            {.fd = relay.unsent ? -1 : fuse, .events = POLLIN},
        };
        if (poll(ends, 2, -1) < 0)
            continue;
        if (ends[0].revents & POLLOUT)
            send_unsent(&relay);
        if (ends[0].revents & (POLLIN | POLLHUP | POLLERR))
            from_server(&relay);
        if (!relay.ended && ends[1].revents) /* and says nothing for a server that is dead */
            from_kernel(&relay);
    }
}

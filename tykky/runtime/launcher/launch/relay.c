#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay_state.h"

void relay_answer(struct relay *relay, void *data, size_t length)
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

void relay_answer_error(struct relay *relay, uint64_t unique, int error)
{
    struct fuse_answer header = {.length = sizeof header, .error = -error, .unique = unique};
    relay_answer(relay, &header, sizeof header);
}

/* --- from the kernel -------------------------------------------------------------------------- */

static void on_read(struct relay *relay, struct fuse_request *request)
{
    bool here = request->opcode == FUSE_READ ? relay->opens_here : relay->opendirs_here;
    if (!here || request->length < sizeof *request + sizeof(struct fuse_read)) {
        pass_on(relay, request, NULL);
        return;
    }
    read_opened(relay, request);
}

static void on_init(struct relay *relay, struct fuse_request *request)
{
    struct fuse_init *init = (struct fuse_init *)(request + 1);
    if (request->length >= sizeof *request + 16) {
        relay->offered = init->flags;
        relay->opens_here = init->flags & FUSE_NO_OPEN_SUPPORT;
        relay->opendirs_here = init->flags & FUSE_NO_OPENDIR_SUPPORT;
        init->flags &= ~(uint32_t)(FUSE_MAX_PAGES | FUSE_INIT_EXT);
        relay->init = message_copy(request, request->length);
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

void relay_request(struct relay *relay, struct fuse_request *request)
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
        relay_answer(relay, &relay->statfs, relay->statfs.header.length);
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
        relay_answer_error(relay, request->unique, ENOSYS);
}

static void from_kernel(struct relay *relay)
{
    struct fuse_request *request = (struct fuse_request *)relay->buffer;
    ssize_t length = read(relay->fuse, relay->buffer, sizeof relay->buffer);
    if (length <= 0)
        relay->ended = !length || (errno != EAGAIN && errno != EINTR && errno != ENOENT);
    else if ((size_t)length >= sizeof *request && request->length == (size_t)length)
        relay_request(relay, request);
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
    free(request.copy);
    header->unique = request.unique;
    if (request.is_own) {
        if (request.handle)
            on_opened(relay, request.handle, header);
        return;
    }
    if (request.opcode == FUSE_INIT)
        on_init_answer(relay, header);
    relay->ready = relay->ready || request.opcode == FUSE_INIT;
    if (request.opcode == FUSE_STATFS && !header->error && header->length <= sizeof relay->statfs)
        memcpy(&relay->statfs, header, header->length);
    relay_answer(relay, header, header->length);
    relay->losses = 0;
    if (request.handle && --request.handle->uses == 0 && request.handle->is_forgotten)
        let_go(relay, request.handle);
}

static void from_server(struct relay *relay)
{
    struct fuse_answer *header = (struct fuse_answer *)relay->buffer;
    ssize_t length = recv(relay->server, relay->buffer, sizeof relay->buffer, MSG_DONTWAIT);
    if (length <= 0)
        relay->lost = !length || (errno != EAGAIN && errno != EINTR);
    else if ((size_t)length < sizeof *header || header->length != (size_t)length)
        relay->ended = true; /* it talks nonsense */
    else
        on_answer(relay, header);
}

void relay_run(int fuse, int server, bool attributes, const struct relay_source *source)
{
    static struct relay relay;
    relay = (struct relay){0};
    relay.fuse = fuse;
    relay.server = server;
    relay.attributes = attributes;
    relay.source = source;
    relay.last_unsent = &relay.unsent;
    fcntl(fuse, F_SETFL, O_RDWR | O_NONBLOCK);
    fcntl(fuse, F_SETFD, FD_CLOEXEC); /* another server must not hold it */
    while (!relay.ended) {
        /* As long as the server takes nothing more, nothing more is taken from the kernel. */
        struct pollfd ends[] = {
            {.fd = relay.server, .events = (short)(POLLIN | (relay.unsent ? POLLOUT : 0))},
            {.fd = relay.unsent ? -1 : fuse, .events = POLLIN},
        };
        if (poll(ends, 2, -1) < 0)
            continue;
        if (ends[0].revents & POLLOUT)
            send_unsent(&relay);
        if (ends[0].revents & (POLLIN | POLLHUP | POLLERR))
            from_server(&relay);
        if (!relay.ended && !relay.lost && ends[1].revents)
            from_kernel(&relay);
        if (!relay.ended && relay.lost)
            replace_server(&relay);
    }
    if (relay.server >= 0)
        close(relay.server);
}

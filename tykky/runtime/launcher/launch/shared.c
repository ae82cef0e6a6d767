#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "process.h"
#include "shared.h"

enum { FUSE_MAGIC = 0x65735546, RETRIES = 20 };

enum join { JOINED, NO_KEEPER, SERVER_DIED, NOT_ALLOWED };

/* stat would not do: after the death of a server it is still answered from the cache. */
static bool mounts_are_healthy(const struct entry *entry, size_t count)
{
    char path[64];
    struct statfs mounted;
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/proc/%ld/fd/%zu", (long)entry->pid, KEEPER_ROOTS + i);
        if (statfs(path, &mounted) != 0 || mounted.f_type != FUSE_MAGIC)
            return false;
    }
    return true;
}

static int open_namespace(const struct entry *entry, const char *kind, uint64_t number)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%ld/ns/%s", (long)entry->pid, kind);
    int fd = open_file(path, O_RDONLY);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_ino == number)
        return fd;
    close(fd);
    return -1;
}

/* Enters the keeper's user namespace. `inside` is the one entered by an earlier attempt: a process
 * cannot go back, and need not, because the next keeper may be inside that one as well. */
static bool enter_user_namespace(const struct entry *entry, uint64_t *inside)
{
    if (entry->user_namespace == *inside)
        return true;
    int fd = open_namespace(entry, "user", entry->user_namespace);
    if (fd >= 0 && setns(fd, CLONE_NEWUSER) == 0) {
        *inside = entry->user_namespace;
        return true; /* exec closes it at no cost */
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/* No lock is held: once its descriptor is open, the namespace stays, whatever the keeper does.
 * From outside of the user namespace, the kernel would not ask the server for its health. */
static enum join join(const struct registry *registry, const struct stack *stack, uint64_t *inside)
{
    struct entry entry;
    if (!registry_read(registry, &entry) || !entry_is_alive(&entry))
        return NO_KEEPER;
    int mount = open_namespace(&entry, "mnt", entry.mount_namespace);
    if (mount < 0)
        return NO_KEEPER;
    enum join result = NOT_ALLOWED;
    if (enter_user_namespace(&entry, inside)) {
        if (!mounts_are_healthy(&entry, stack->image_count))
            result = SERVER_DIED;
        else if (setns(mount, CLONE_NEWNS) == 0)
            return JOINED; /* and what is open is closed by exec, at no cost */
    }
    close(mount);
    return result;
}

/* Holding the lock: looks again, and starts a keeper if there still is none. */
static enum outcome start_and_join(struct keeper *keeper, uint64_t *inside)
{
    enum join state = join(&keeper->registry, keeper->stack, inside);
    if (state == SERVER_DIED)
        warn("the image server of %s had died (out of memory?); it is started again",
             keeper->stack->confs[0].name);
    if (state == NO_KEEPER || state == SERVER_DIED) {
        keeper->user_namespace = *inside != 0;
        enum outcome started = keeper_start(keeper);
        if (started != DONE) {
            registry_forget(&keeper->registry);
            return started;
        }
        state = join(&keeper->registry, keeper->stack, inside);
    }
    return state == JOINED ? DONE : IMPOSSIBLE;
}

static enum outcome create(struct keeper *keeper, uint64_t *inside)
{
    for (int attempt = 0; attempt < RETRIES; attempt++) {
        enum outcome result = registry_open(&keeper->registry, true);
        if (result != DONE)
            return result;
        keeper->lock = registry_lock(&keeper->registry, true);
        bool removed = keeper->lock < 0 && errno == ENOENT; /* by the last keeper, just now */
        result = keeper->lock < 0 ? IMPOSSIBLE : start_and_join(keeper, inside);
        close(keeper->lock);
        close(keeper->registry.fd);
        if (!removed)
            return result;
    }
    return IMPOSSIBLE;
}

static enum outcome find_or_create(struct keeper *keeper, uint64_t *inside)
{
    enum outcome opened = registry_open(&keeper->registry, false);
    if (opened == FAILED)
        return FAILED;
    if (opened == DONE) {
        enum join state = join(&keeper->registry, keeper->stack, inside);
        if (state == JOINED)
            return DONE;
        close(keeper->registry.fd);
        if (state == NOT_ALLOWED)
            return IMPOSSIBLE;
    }
    /* In a PID namespace whose /proc is that of another, a keeper could not be named in the
     * registry so that it stays true when the namespace ends and takes the keeper along. */
    return process_self() == getpid() ? create(keeper, inside) : IMPOSSIBLE;
}

enum outcome shared_enter(const struct stack *stack, bool *user_namespace)
{
    static struct keeper keeper;
    struct scope scope = {0};
    uint64_t inside = 0;
    scope_find(&scope);
    keeper.stack = stack;
    keeper.idle = scope.in_job ? stack->confs[0].idle_step : stack->confs[0].idle;
    if (!registry_key(&keeper.registry, stack, &scope))
        return IMPOSSIBLE;
    enum outcome result = find_or_create(&keeper, &inside);
    *user_namespace = inside != 0;
    return result;
}

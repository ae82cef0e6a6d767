#define _GNU_SOURCE
#include <unistd.h>

#include "mount.h"

static bool hang_up(struct server *servers)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        server_hang_up(&servers[i]);
    return false;
}

bool mount_prepare(struct server *servers, const struct stack *stack)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        servers[i].channel = -1;
    if (!stack_check_images(stack) ||
        (stack->image_count && !server_find(&servers[0], &stack->confs[0])))
        return false;
    for (size_t i = 0; i < stack->image_count; i++) {
        servers[i].program = servers[0].program;
        if (!server_start(&servers[i], &stack->images[i]))
            return hang_up(servers);
    }
    return true;
}

/* The sources of binds, opened while the host's paths still lead there; -1 if there is none. */
static bool open_sources(const struct stack *stack, int *sources)
{
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        sources[i] = is_bind(mount) ? open(mount->source, O_PATH | O_CLOEXEC) : -1;
        if (sources[i] < 0 && mount->kind == MOUNT_BIND)
            return fail("the stack %s asks for %s, which is not there: %m\n"
                        "is a file system of this node not mounted? Else correct the binds",
                        stack->confs[0].name, mount->source);
    }
    return true;
}

static bool mount_bind(const struct mount *bind, int source)
{
    struct stat status;
    if (source < 0 || (bind->if_missing && stat(bind->target, &status) == 0))
        return true;
    if (!tree_make(bind->target, fstat(source, &status) == 0 && S_ISDIR(status.st_mode)))
        return false;
    if (!bind_descriptor(source, bind->target))
        return fail("cannot bind %s over %s: %m\n"
                    "is one a directory and the other a file?",
                    bind->source, bind->target);
    return !bind->read_only || remount(bind->target, true) ||
           fail("cannot make %s read-only: %m\n"
                "leave out ':ro' of this bind",
                bind->target);
}

static bool mount_all(struct server *servers, const struct stack *stack, const int *sources)
{
    if (root_is_needed(stack) && !root_make(stack, &servers[0]))
        return false;
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        if (is_bind(mount) ? !mount_bind(mount, sources[i])
                           : !tree_make(mount->target, true) ||
                                 !server_mount(&servers[mount->image], mount->target))
            return false;
    }
    return true;
}

bool mount_enter(struct server *servers, const struct stack *stack, bool *user_namespace)
{
    int *sources = allocate(stack->mount_count, sizeof *sources);
    if (!namespace_enter(0, user_namespace) || !open_sources(stack, sources) ||
        !mount_all(servers, stack, sources))
        return hang_up(servers);
    for (size_t i = 0; i < stack->mount_count; i++)
        if (sources[i] >= 0)
            close(sources[i]);
    return true;
}

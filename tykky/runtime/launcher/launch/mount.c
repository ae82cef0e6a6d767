#define _GNU_SOURCE
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fuse.h"
#include "../common/namespace.h"
#include "root.h"
#include "tree.h"

static void hang_up(struct mounts *mounts, size_t first, size_t count)
{
    for (size_t i = first; i < count; i++)
        close(mounts->servers[i].channel);
}

bool mount_prepare(struct mounts *mounts, const struct stack *stack, struct problem *problem)
{
    struct server *servers = mounts->servers;
    if (!stack_check_images(stack, problem) ||
        (stack->image_count && !server_find(&servers[0], &stack->confs[0], problem)))
        return false;
    for (size_t i = 0; i < stack->image_count; i++) {
        const struct image *image = &stack->images[i];
        if (i > 0)
            memcpy(servers[i].program, servers[0].program, sizeof servers[0].program);
        if (!server_start(&servers[i], image->file, image->offset, problem)) {
            hang_up(mounts, 0, i);
            return false;
        }
    }
    return true;
}

/* The sources of binds, opened while the host's paths still lead there. */
struct source {
    const struct bind *bind;
    int fd;
    bool is_directory;
};

struct sources {
    struct source *items;
    size_t count;
};

static bool open_source(struct source *source, const struct conf *conf, struct problem *problem)
{
    struct stat status;
    source->fd = open(source->bind->source, O_PATH | O_CLOEXEC);
    if (source->fd >= 0 && fstat(source->fd, &status) == 0) {
        source->is_directory = S_ISDIR(status.st_mode);
        return true;
    }
    int error = errno;
    close(source->fd);
    source->fd = -1;
    if (source->bind->optional)
        return true;
    cause(problem, "the stack %s asks for %s, which is not there: %s", conf->name,
          source->bind->source, strerror(error));
    return remedy(problem, "is a file system of this node not mounted? Else correct the binds");
}

static bool open_sources(struct sources *sources, const struct stack *stack,
                         struct problem *problem)
{
    size_t count = 0;
    for (size_t i = 0; i < stack->count; i++)
        count += stack->confs[i].bind_count;
    *sources = (struct sources){.items = calloc(count + 1, sizeof *sources->items)};
    if (!sources->items) {
        cause(problem, "no memory for the binds of %s", stack->confs[0].name);
        return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
    }
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].bind_count; k++) {
            struct source *source = &sources->items[sources->count++];
            source->bind = &stack->confs[i].binds[k];
            if (!open_source(source, &stack->confs[i], problem))
                return false;
        }
    return true;
}

/* Whether an image is mounted somewhere below: the bind must not cover it. */
static bool holds_image(const char *target, const struct stack *stack)
{
    size_t length = strlen(target);
    for (size_t i = 0; i < stack->image_count; i++)
        if (strncmp(stack->images[i].target, target, length) == 0 &&
            stack->images[i].target[length] == '/')
            return true;
    return false;
}

/* The other flags must stay: who made the mount may have locked them. */
static bool protect(const char *target, struct problem *problem)
{
    struct statvfs status;
    unsigned long kept = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (statvfs(target, &status) == 0 &&
        mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | (status.f_flag & kept),
              NULL) == 0)
        return true;
    cause(problem, "cannot make %s read-only: %s", target, strerror(errno));
    return remedy(problem, "leave out ':ro' of this bind");
}

/* Either those that images lie below, or all others. */
static bool bind_sources(const struct sources *sources, const struct stack *stack, bool holders,
                         struct problem *problem)
{
    struct stat status;
    for (size_t i = 0; i < sources->count; i++) {
        const struct source *source = &sources->items[i];
        const char *target = source->bind->target;
        char path[32];
        if (source->fd < 0 || holds_image(target, stack) != holders ||
            (source->bind->if_missing && stat(target, &status) == 0))
            continue;
        if (!(source->is_directory ? tree_make_directory : tree_make_file)(target, problem))
            return false;
        snprintf(path, sizeof path, "/proc/self/fd/%d", source->fd);
        if (mount(path, target, NULL, MS_BIND | MS_REC, NULL) != 0) {
            cause(problem, "cannot bind %s over %s: %s", source->bind->source, target,
                  strerror(errno));
            return remedy(problem, "is one a directory and the other a file?");
        }
        if (source->bind->read_only && !protect(target, problem))
            return false;
    }
    return true;
}

static void close_sources(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        if (sources->items[i].fd >= 0)
            close(sources->items[i].fd);
    free(sources->items);
}

static bool mount_all(struct mounts *mounts, const struct stack *stack,
                      const struct sources *sources, size_t *served, struct problem *problem)
{
    if (root_is_needed(stack)) {
        bool root_image = stack->image_count && strcmp(stack->images[0].target, "/") == 0;
        *served = root_image;
        if (!root_make(stack, &mounts->servers[0], &mounts->roots[0], problem))
            return false;
    }
    if (!bind_sources(sources, stack, true, problem))
        return false;
    while (*served < stack->image_count) {
        size_t i = *served;
        const struct image *image = &stack->images[i];
        if (!tree_make_directory(image->target, problem))
            return false;
        ++*served;
        if (!fuse_mount(&mounts->servers[i], image, image->target, &mounts->roots[i], problem))
            return false;
    }
    return bind_sources(sources, stack, false, problem);
}

bool mount_enter(struct mounts *mounts, const struct stack *stack, bool *user_namespace,
                 struct problem *problem)
{
    struct sources sources = {0};
    size_t served = 0; /* servers that have been given their task, or have been let go */
    bool entered = namespace_enter(0, user_namespace, problem) &&
                   open_sources(&sources, stack, problem) &&
                   mount_all(mounts, stack, &sources, &served, problem);
    if (!entered)
        hang_up(mounts, served, stack->image_count);
    close_sources(&sources);
    return entered;
}

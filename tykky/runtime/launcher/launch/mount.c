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

#include "../common/namespace.h"
#include "fuse.h"
#include "root.h"
#include "tree.h"

static void hang_up(struct mounts *mounts)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        server_hang_up(&mounts->servers[i]);
}

bool mount_prepare(struct mounts *mounts, const struct stack *stack, struct problem *problem)
{
    struct server *servers = mounts->servers;
    for (size_t i = 0; i < MAX_IMAGES; i++)
        servers[i].channel = -1;
    if (!stack_check_images(stack, problem) ||
        (stack->image_count && !server_find(&servers[0], &stack->confs[0], problem)))
        return false;
    for (size_t i = 0; i < stack->image_count; i++) {
        const struct image *image = &stack->images[i];
        if (i > 0)
            memcpy(servers[i].program, servers[0].program, sizeof servers[0].program);
        if (!server_start(&servers[i], image->file, image->offset, problem)) {
            hang_up(mounts);
            return false;
        }
    }
    return true;
}

/* The source of a bind, opened while the host's paths still lead there; -1 if there is none. */
struct source {
    int fd;
    bool is_directory;
};

static bool open_source(struct source *source, const struct mount *bind, const char *name,
                        struct problem *problem)
{
    struct stat status;
    source->fd = open(bind->source, O_PATH | O_CLOEXEC);
    if (source->fd >= 0 && fstat(source->fd, &status) == 0) {
        source->is_directory = S_ISDIR(status.st_mode);
        return true;
    }
    int error = errno;
    close(source->fd);
    source->fd = -1;
    if (bind->kind == MOUNT_TRY_BIND)
        return true;
    cause(problem, "the stack %s asks for %s, which is not there: %s", name, bind->source,
          strerror(error));
    return remedy(problem, "is a file system of this node not mounted? Else correct the binds");
}

/* One for each mount of the stack; NULL on failure. */
static struct source *open_sources(const struct stack *stack, struct problem *problem)
{
    struct source *sources = calloc(stack->mount_count + 1, sizeof *sources);
    if (!sources) {
        cause(problem, "no memory for the binds of %s", stack->confs[0].name);
        remedy(problem, "free some memory, or raise the limit (ulimit -v)");
        return NULL;
    }
    for (size_t i = 0; i < stack->mount_count; i++) {
        sources[i].fd = -1;
        if (is_bind(&stack->mounts[i]) &&
            !open_source(&sources[i], &stack->mounts[i], stack->confs[0].name, problem)) {
            free(sources);
            return NULL;
        }
    }
    return sources;
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

static bool mount_bind(const struct mount *bind, const struct source *source,
                       struct problem *problem)
{
    struct stat status;
    char path[32];
    if (source->fd < 0 || (bind->if_missing && stat(bind->target, &status) == 0))
        return true;
    if (!(source->is_directory ? tree_make_directory : tree_make_file)(bind->target, problem))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", source->fd);
    if (mount(path, bind->target, NULL, MS_BIND | MS_REC, NULL) != 0) {
        cause(problem, "cannot bind %s over %s: %s", bind->source, bind->target, strerror(errno));
        return remedy(problem, "is one a directory and the other a file?");
    }
    return !bind->read_only || protect(bind->target, problem);
}

static bool mount_all(struct mounts *mounts, const struct stack *stack,
                      const struct source *sources, struct problem *problem)
{
    if (root_is_needed(stack) && !root_make(stack, &mounts->servers[0], &mounts->roots[0], problem))
        return false;
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        size_t k = mount->image;
        if (is_bind(mount) ? !mount_bind(mount, &sources[i], problem)
                           : !tree_make_directory(mount->target, problem) ||
                                 !fuse_mount(&mounts->servers[k], &stack->images[k], mount->target,
                                             &mounts->roots[k], problem))
            return false;
    }
    return true;
}

bool mount_enter(struct mounts *mounts, const struct stack *stack, bool *user_namespace,
                 struct problem *problem)
{
    struct source *sources = NULL;
    bool entered = namespace_enter(0, user_namespace, problem) &&
                   (sources = open_sources(stack, problem)) &&
                   mount_all(mounts, stack, sources, problem);
    if (!entered)
        hang_up(mounts);
    for (size_t i = 0; sources && i < stack->mount_count; i++)
        if (sources[i].fd >= 0)
            close(sources[i].fd);
    free(sources);
    return entered;
}

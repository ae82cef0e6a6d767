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

bool mount_prepare(struct mounts *mounts, const struct stack *stack)
{
    struct server *servers = mounts->servers;
    for (size_t i = 0; i < MAX_IMAGES; i++)
        servers[i].channel = -1;
    if (!stack_check_images(stack) ||
        (stack->image_count && !server_find(&servers[0], &stack->confs[0])))
        return false;
    for (size_t i = 0; i < stack->image_count; i++) {
        const struct image *image = &stack->images[i];
        servers[i].program = servers[0].program;
        if (!server_start(&servers[i], image->file, image->offset)) {
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

static bool open_source(struct source *source, const struct mount *bind, const char *name)
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
    return fail("the stack %s asks for %s, which is not there: %s\n"
                "is a file system of this node not mounted? Else correct the binds",
                name, bind->source, strerror(error));
}

/* One for each mount of the stack; NULL on failure. */
static struct source *open_sources(const struct stack *stack)
{
    struct source *sources = calloc(stack->mount_count + 1, sizeof *sources);
    if (!sources) {
        fail("no memory for the binds of %s\n"
             "free some memory, or raise the limit (ulimit -v)",
             stack->confs[0].name);
        return NULL;
    }
    for (size_t i = 0; i < stack->mount_count; i++) {
        sources[i].fd = -1;
        if (is_bind(&stack->mounts[i]) &&
            !open_source(&sources[i], &stack->mounts[i], stack->confs[0].name)) {
            free(sources);
            return NULL;
        }
    }
    return sources;
}

/* The other flags must stay: who made the mount may have locked them. */
static bool protect(const char *target)
{
    struct statvfs status;
    unsigned long kept = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (statvfs(target, &status) == 0 &&
        mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | (status.f_flag & kept),
              NULL) == 0)
        return true;
    return fail("cannot make %s read-only: %s\n"
                "leave out ':ro' of this bind",
                target, strerror(errno));
}

static bool mount_bind(const struct mount *bind, const struct source *source)
{
    struct stat status;
    char path[32];
    if (source->fd < 0 || (bind->if_missing && stat(bind->target, &status) == 0))
        return true;
    if (!(source->is_directory ? tree_make_directory : tree_make_file)(bind->target))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", source->fd);
    if (mount(path, bind->target, NULL, MS_BIND | MS_REC, NULL) != 0)
        return fail("cannot bind %s over %s: %s\n"
                    "is one a directory and the other a file?",
                    bind->source, bind->target, strerror(errno));
    return !bind->read_only || protect(bind->target);
}

static bool mount_all(struct mounts *mounts, const struct stack *stack,
                      const struct source *sources)
{
    if (root_is_needed(stack) && !root_make(stack, &mounts->servers[0], &mounts->roots[0]))
        return false;
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        size_t k = mount->image;
        if (is_bind(mount) ? !mount_bind(mount, &sources[i])
                           : !tree_make_directory(mount->target) ||
                                 !fuse_mount(&mounts->servers[k], &stack->images[k], mount->target,
                                             &mounts->roots[k]))
            return false;
    }
    return true;
}

bool mount_enter(struct mounts *mounts, const struct stack *stack, bool *user_namespace)
{
    struct source *sources = NULL;
    bool entered = namespace_enter(0, user_namespace) && (sources = open_sources(stack)) &&
                   mount_all(mounts, stack, sources);
    if (!entered)
        hang_up(mounts);
    for (size_t i = 0; sources && i < stack->mount_count; i++)
        if (sources[i].fd >= 0)
            close(sources[i].fd);
    free(sources);
    return entered;
}

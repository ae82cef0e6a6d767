#define _GNU_SOURCE
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse.h"
#include "tree.h"

#define ROOT_IMAGE "/.root-image" /* while the root is being made */

/* Calls `visit` for every path at which something will be mounted; ends with its first `true`. */
static bool any_target(const struct stack *stack, bool (*visit)(const char *path, void *argument),
                       void *argument)
{
    for (size_t i = 0; i < stack->mount_count; i++)
        if (visit(stack->mounts[i].target, argument))
            return true;
    return false;
}

static void first_name(const char *path, char *name, size_t size)
{
    snprintf(name, size, "%.*s", (int)strcspn(path + 1, "/"), path + 1);
}

static bool misses_first_name(const char *path, void *argument)
{
    char name[NAME_MAX + 1], first[NAME_MAX + 2];
    struct stat status;
    (void)argument;
    first_name(path, name, sizeof name);
    snprintf(first, sizeof first, "/%s", name);
    return name[0] && lstat(first, &status) != 0 && errno == ENOENT;
}

bool root_is_needed(const struct stack *stack)
{
    return stack->confs[0].root || any_target(stack, misses_first_name, NULL);
}

static bool failed(const char *what)
{
    return fail("cannot %s: %s\n"
                "'tykky doctor' tells what this node can do",
                what, strerror(errno));
}

struct stage {
    const char *path;
    int fd;
};

static bool make_first_name(const char *path, void *argument)
{
    const struct stage *stage = argument;
    char name[NAME_MAX + 1];
    first_name(path, name, sizeof name);
    /* A name that is there is good, whatever it is. */
    return name[0] && mkdirat(stage->fd, name, 0755) != 0 && errno != EEXIST;
}

static bool join_path(char *path, const char *directory, const char *name)
{
    return snprintf(path, PATH_MAX, "%s%s", directory, name) < PATH_MAX;
}

/* The kernel's file systems are the host's in any root. */
static bool bind_kernel(const struct stage *stage)
{
    static const char *const names[] = {"/proc", "/sys", "/dev"};
    char target[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!join_path(target, stage->path, names[i]) ||
            (mkdir(target, 0755) != 0 && errno != EEXIST) ||
            mount(names[i], target, NULL, MS_BIND | MS_REC, NULL) != 0)
            return failed("bind the host's /proc, /sys and /dev");
    return true;
}

/* Mounts the root image below the stage, from where its entries are bound. */
static bool fill_from_image(const struct stack *stack, const struct stage *stage,
                            struct server *server, int *image)
{
    char path[PATH_MAX];
    if (!join_path(path, stage->path, ROOT_IMAGE) || mkdir(path, 0755) != 0)
        return failed("make a directory in the new root");
    return fuse_mount(server, &stack->images[0], path, image) && tree_fill(stage->path, *image);
}

/* First what belongs to the kernel, then the root that is asked for, then what else the host has:
 * what is there already is not replaced. */
static bool fill(const struct stack *stack, struct stage *stage, int host, int directory,
                 struct server *server, int *image)
{
    const struct conf *conf = &stack->confs[0];
    if (conf->root && !bind_kernel(stage))
        return false;
    if (!conf->root             ? !tree_fill(stage->path, host)
        : stack->root_directory ? !tree_fill(stage->path, directory)
                                : !fill_from_image(stack, stage, server, image))
        return false;
    if (conf->root && conf->host_roots && !tree_fill(stage->path, host))
        return false;
    return !any_target(stack, make_first_name, stage) || failed("make a directory in the new root");
}

/* The new root covers the old one; moving it works also where / is the kernel's first root, from
 * which pivot_root cannot lead away. */
static bool enter(struct stage *stage, const char *prefix)
{
    struct stat new, clone;
    if (fstat(stage->fd, &new) != 0 || mount(stage->path, "/", NULL, MS_MOVE, NULL) != 0 ||
        fchdir(stage->fd) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return failed("enter the new root directory");
    /* The entries of the host were bound with all that was mounted below, this root too. */
    if (stat(prefix, &clone) == 0 && clone.st_dev == new.st_dev && clone.st_ino == new.st_ino)
        umount2(prefix, MNT_DETACH);
    umount2(ROOT_IMAGE, MNT_DETACH);
    rmdir(ROOT_IMAGE);
    return true;
}

bool root_make(const struct stack *stack, struct server *server, int *image)
{
    /* Made on top of the prefix: a directory that is there for certain. By its name, commands that
     * are called inside know the root again. */
    struct stage stage = {.path = stack->confs[0].prefix, .fd = -1};
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), directory = -1;
    if (stack->root_directory)
        directory = open(stack->root_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (host < 0 || (stack->root_directory && directory < 0))
        return failed("open the root directory");
    bool entered = tree_mount_empty(stage.path, stage.path) &&
                   (stage.fd = open(stage.path, O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0 &&
                   fill(stack, &stage, host, directory, server, image) &&
                   enter(&stage, stack->confs[0].prefix);
    int opened[] = {host, directory, stage.fd};
    for (size_t i = 0; i < sizeof opened / sizeof opened[0]; i++)
        if (opened[i] >= 0)
            close(opened[i]);
    return entered;
}

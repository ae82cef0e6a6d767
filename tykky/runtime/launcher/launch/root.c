#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount.h"

#define ROOT_IMAGE "/.root-image" /* while the root is being made */

/* /s, of /s/x. */
static const char *first_name(const struct mount *mount)
{
    return format("%.*s", 1 + (int)strcspn(mount->target + 1, "/"), mount->target);
}

bool root_is_needed(const struct stack *stack)
{
    struct stat status;
    for (size_t i = 0; i < stack->mount_count; i++)
        if (lstat(first_name(&stack->mounts[i]), &status) != 0 && errno == ENOENT)
            return true;
    return stack->confs[0].root;
}

static bool failed(const char *what)
{
    return fail("cannot %s: %m\n"
                "'tykky doctor' tells what this node can do",
                what);
}

/* The kernel's file systems are the host's in any root. */
static bool bind_kernel(const char *stage)
{
    static const char *const names[] = {"/proc", "/sys", "/dev"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *target = format("%s%s", stage, names[i]);
        if ((mkdir(target, 0755) != 0 && errno != EEXIST) ||
            mount(names[i], target, NULL, MS_BIND | MS_REC, NULL) != 0)
            return failed("bind the host's /proc, /sys and /dev");
    }
    return true;
}

/* Mounts the root image below the stage, from where its entries are bound. */
static bool fill_from_image(const char *stage, struct server *server)
{
    const char *path = format("%s" ROOT_IMAGE, stage);
    if (mkdir(path, 0755) != 0)
        return failed("make a directory in the new root");
    return server_mount(server, path) && tree_fill(stage, server->root);
}

/* First what belongs to the kernel, then the root that is asked for, then what else the host has:
 * what is there already is not replaced. */
static bool fill(const struct stack *stack, const char *stage, int host, int directory,
                 struct server *server)
{
    const struct conf *conf = &stack->confs[0];
    if (conf->root && (!bind_kernel(stage) || !(directory >= 0 ? tree_fill(stage, directory)
                                                               : fill_from_image(stage, server))))
        return false;
    if ((!conf->root || conf->host_roots) && !tree_fill(stage, host))
        return false;
    for (size_t i = 0; i < stack->mount_count; i++) {
        /* A name that is there is good, whatever it is. */
        const char *path = format("%s%s", stage, first_name(&stack->mounts[i]));
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return failed("make a directory in the new root");
    }
    return true;
}

/* The new root covers the old one; moving it works also where / is the kernel's first root, from
 * which pivot_root cannot lead away. */
static bool enter(const char *stage, int new_root)
{
    struct stat new, clone;
    if (fstat(new_root, &new) != 0 || mount(stage, "/", NULL, MS_MOVE, NULL) != 0 ||
        fchdir(new_root) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return failed("enter the new root directory");
    /* The entries of the host were bound with all that was mounted below, this root too. */
    if (stat(stage, &clone) == 0 && is_same_file(&clone, &new))
        umount2(stage, MNT_DETACH);
    umount2(ROOT_IMAGE, MNT_DETACH);
    rmdir(ROOT_IMAGE);
    return true;
}

bool root_make(const struct stack *stack, struct server *server)
{
    /* Made on top of the prefix: a directory that is there for certain. By its name, commands that
     * are called inside know the root again. */
    const char *stage = stack->confs[0].prefix;
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), directory = -1;
    if (stack->root_directory)
        directory = open(stack->root_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (host < 0 || (stack->root_directory && directory < 0))
        return failed("open the root directory");
    if (!tree_mount_empty(stage, stage))
        return false;
    int new_root = open(stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool entered = fill(stack, stage, host, directory, server) && enter(stage, new_root);
    close(host);
    close(directory);
    close(new_root);
    return entered;
}

#define _GNU_SOURCE
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "namespace.h"

/* Opens /dev/fuse and mounts it on `target`. It must be opened in the namespace that mounts.
 *
 * default_permissions: the kernel judges by the modes in the image, and overlays work on it.
 * allow_other: programs of the stack that make user namespaces themselves may still read it. */
static int mount_fuse(const char *source, const char *target, struct problem *problem)
{
    char options[128];
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        cause(problem, "cannot open /dev/fuse: %s", strerror(errno));
        remedy(problem, "ask the administrator of this node to load the module 'fuse' and to set "
                        "/dev/fuse to mode 0666");
        return -1;
    }
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", fuse,
             (unsigned)geteuid(), (unsigned)getegid());
    if (mount(source, target, "fuse.squashfuse", MS_NOSUID | MS_NODEV | MS_RDONLY, options) == 0)
        return fuse;
    cause(problem, "cannot mount the image on %s: %s", target, strerror(errno));
    if (errno == ENOENT || errno == ENOTDIR)
        remedy(problem, "the directory is gone; install the stack again");
    else
        remedy(problem, "mounting FUSE in a user namespace needs Linux 4.18 or newer, and a node "
                        "that does not forbid it; 'tykky doctor' tells more");
    close(fuse);
    return -1;
}

static void hang_up(struct servers *servers, size_t first, size_t count)
{
    for (size_t i = first; i < count; i++)
        close(servers->of[i].channel);
}

bool mount_prepare(struct servers *servers, const struct stack *stack, struct problem *problem)
{
    if (!stack_check_images(stack, problem) ||
        !server_find(&servers->of[0], &stack->confs[0], problem))
        return false;
    for (size_t i = 0; i < stack->count; i++) {
        if (i > 0)
            memcpy(servers->of[i].program, servers->of[0].program, sizeof servers->of[0].program);
        if (!server_start(&servers->of[i], stack->images[i].file, problem)) {
            hang_up(servers, 0, i);
            return false;
        }
    }
    return true;
}

static bool mount_image(struct server *server, const struct image *image, struct problem *problem)
{
    struct statfs mounted;
    int fuse = mount_fuse(image->file, image->target, problem);
    if (fuse < 0) {
        close(server->channel);
        return false;
    }
    if (!server_serve(server, fuse, problem))
        return false;
    /* Waits for the server's first answer; stat would not do, it may come from a cache. */
    if (statfs(image->target, &mounted) == 0)
        return true;
    cause(problem, "the image server %s gave up on %s", server->program, image->file);
    return remedy(problem, "run '%s -f %s DIR' on an empty directory to see why (too old for this "
                           "compression?)",
                  server->program, image->file);
}

bool mount_enter(struct servers *servers, const struct stack *stack, bool *user_namespace,
                 struct problem *problem)
{
    if (!namespace_enter(0, user_namespace, problem)) {
        hang_up(servers, 0, stack->count);
        return false;
    }
    for (size_t i = 0; i < stack->count; i++)
        if (!mount_image(&servers->of[i], &stack->images[i], problem)) {
            hang_up(servers, i + 1, stack->count);
            return false;
        }
    return true;
}

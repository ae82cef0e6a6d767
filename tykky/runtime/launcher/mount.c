#define _GNU_SOURCE
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "image.h"
#include "namespace.h"
#include "server.h"

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

bool mount_privately(const struct conf *conf, bool *user_namespace, struct problem *problem)
{
    struct server server;
    struct statfs mounted;
    char image[PATH_MAX];
    if (snprintf(image, sizeof image, "%s/" CONF_DIRECTORY "/%s", conf->prefix, conf->image) >=
        (int)sizeof image) {
        cause(problem, "the path of the image in %s is too long", conf->prefix);
        return remedy(problem, "install the stack at a shorter path");
    }
    if (!image_check(image, conf->image_size, problem) || !server_find(&server, conf, problem) ||
        !server_start(&server, image, problem))
        return false;
    int fuse = -1;
    if (!namespace_enter(0, user_namespace, problem) ||
        (fuse = mount_fuse(image, conf->prefix, problem)) < 0) {
        close(server.channel);
        return false;
    }
    if (!server_serve(&server, fuse, problem))
        return false;
    /* Waits for the server's first answer; stat would not do, it may come from a cache. */
    if (statfs(conf->prefix, &mounted) != 0) {
        cause(problem, "the image server %s gave up on %s", server.program, image);
        return remedy(problem, "run '%s -f %s DIR' on an empty directory to see why (too old for "
                               "this compression?)",
                      server.program, image);
    }
    return true;
}

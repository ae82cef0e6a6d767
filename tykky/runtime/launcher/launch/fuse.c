#define _GNU_SOURCE
#include "fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Opens /dev/fuse and mounts it on `target`. It must be opened in the namespace that mounts.
 *
 * default_permissions: the kernel judges by the modes in the image, and overlays work on it.
 * allow_other: programs of the stack that make user namespaces themselves may still read it. */
static int mount_device(const char *source, const char *target)
{
    char options[128];
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        fail("cannot open /dev/fuse: %s\n"
             "ask the administrator of this node to load the module 'fuse' and to set /dev/fuse to "
             "mode 0666",
             strerror(errno));
        return -1;
    }
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", fuse,
             (unsigned)geteuid(), (unsigned)getegid());
    if (mount(source, target, "fuse.squashfuse", MS_NOSUID | MS_NODEV | MS_RDONLY, options) == 0)
        return fuse;
    int error = errno;
    fail("cannot mount the image on %s: %s", target, strerror(error));
    if (error == ENOENT || error == ENOTDIR)
        remedy("the directory is gone; install the stack again");
    else
        remedy("mounting FUSE in a user namespace needs Linux 4.18 or newer, and a node "
               "that does not forbid it; 'tykky doctor' tells more");
    close(fuse);
    return -1;
}

bool fuse_mount(struct server *server, const struct image *image, const char *target, int *root)
{
    struct statfs mounted;
    int fuse = mount_device(image->file, target);
    if (fuse < 0) {
        server_hang_up(server);
        return false;
    }
    if (!server_serve(server, fuse))
        return false;
    *root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Waits for the server's first answer; stat would not do, it may come from a cache. */
    if (*root >= 0 && fstatfs(*root, &mounted) == 0)
        return true;
    fail("the image server %s gave up on %s", server->program, image->file);
    return remedy("run '%s -f -o offset=%llu %s DIR' on an empty directory to see why (too "
                  "old for this compression?)",
                  server->program, (unsigned long long)image->offset, image->file);
}

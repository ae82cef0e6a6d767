#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box.h"

/* Linux 5.12; the same number on every architecture. Older headers do not have it. */
enum { MOUNT_SETATTR = 442, RECURSIVE = 0x8000 };
static const uint64_t read_only_attribute = 1, no_devices_attribute = 4;

struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

/* For kernels without mount_setattr: one mount after the other. A mount that cannot be reached
 * (autofs, covered by another) cannot be written to either. */
static bool remount_each(void)
{
    char *lines = NULL, *table = read_whole("/proc/self/mountinfo");
    for (char *line = strtok_r(table, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        char *words = NULL, *field = strtok_r(line, " ", &words);
        for (int i = 0; field && i < 4; i++) /* the fifth field is the mount point */
            field = strtok_r(NULL, " ", &words);
        if (field && octal_decode(field) && !remount(field, true) && strcmp(field, "/") == 0)
            return false;
    }
    return true;
}

/* For root, who may open devices, these are nowhere but in /dev. */
static bool make_read_only(bool is_root)
{
    struct attributes attributes = {.set = read_only_attribute |
                                           (is_root ? no_devices_attribute : 0)};
    if (syscall(MOUNT_SETATTR, AT_FDCWD, "/", RECURSIVE, &attributes, sizeof attributes) != 0 &&
        !remount_each())
        return fail("cannot make the mounts of this node read-only: %m");
    remount("/proc", false);
    return true;
}

void allow_devices(const char *path)
{
    struct attributes attributes = {.clear = no_devices_attribute};
    syscall(MOUNT_SETATTR, AT_FDCWD, path, 0, &attributes, sizeof attributes);
}

static bool open_sources(struct box_mount *mounts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!mounts[i].source)
            continue;
        mounts[i].fd = open(mounts[i].source, O_PATH | O_CLOEXEC);
        if (mounts[i].fd < 0)
            return fail("cannot bind %s: %m", mounts[i].source);
    }
    return true;
}

static bool make_target(const struct box_mount *mount)
{
    struct stat status;
    if (stat(mount->target, &status) == 0)
        return true;
    bool directory = !mount->source || (fstat(mount->fd, &status) == 0 && S_ISDIR(status.st_mode));
    return make_mount_point(mount->target, directory) || fail("cannot make the mount point %s: %m\n"
                                                              "make it on the host first",
                                                              mount->target);
}

bool mount_tmpfs(const char *target)
{
    const char *name = strrchr(target, '/') + 1;
    bool for_all = strcmp(name, "tmp") == 0 || strcmp(name, "shm") == 0;
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV,
                 for_all ? "mode=1777" : "mode=755") == 0 ||
           fail("cannot mount a tmpfs on %s: %m", target);
}

/* A link in what is visible, to what is not there yet: that has a mount of its own. */
static bool is_loose_link(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode) && stat(path, &status) != 0;
}

static bool mount_one(const struct box_mount *m)
{
    if (m->kind == BOX_RO_BIND && is_loose_link(m->target))
        return true;
    if (!make_target(m))
        return false;
    if (m->kind == BOX_TMPFS)
        return mount_tmpfs(m->target);
    return (bind_descriptor(m->fd, m->target) && remount(m->target, m->kind == BOX_RO_BIND)) ||
           fail("cannot bind %s over %s: %m\n"
                "is it on a file system that is mounted read-only?",
                m->source, m->target);
}

static int depth(const char *path)
{
    int slashes = 0;
    for (; *path; path++)
        slashes += path[0] == '/' && path[1] != '/' && path[1] != '\0';
    return slashes;
}

static void sort(struct box_mount *mounts, size_t count)
{
    /* Insertion sort: few, and equal depths must keep their order. */
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && depth(mounts[k].target) < depth(mounts[k - 1].target); k--) {
            struct box_mount other = mounts[k];
            mounts[k] = mounts[k - 1];
            mounts[k - 1] = other;
        }
}

bool box_mount(struct box_mount *mounts, size_t count, bool read_only, bool user_namespace)
{
    if (!open_sources(mounts, count) ||
        (read_only && (!make_read_only(!user_namespace) || !box_own_devices())))
        return false;
    /* Of the box's own PID namespace; but the node may forbid it (/proc is partly hidden, as in
     * some containers), and the host's stays then. Before anything is mounted where a link may
     * lead, perhaps by way of a process of the host. */
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    if (!user_namespace)
        box_protect_kernel();
    if (read_only && !user_namespace && !box_hide_from_root())
        return false;
    sort(mounts, count);
    for (size_t i = 0; i < count; i++)
        if (!mount_one(&mounts[i]))
            return false;
    /* From these, a way leads to the host, past what covers that. */
    for (size_t i = 0; i < count; i++)
        if (mounts[i].fd >= 0)
            close(mounts[i].fd);
    return true;
}

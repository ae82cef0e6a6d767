#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common.h"

/* The number in a file of /proc/sys, or -1. */
static long sysctl_value(const char *path)
{
    char text[32];
    return read_text(path, text, sizeof text) > 0 ? strtol(text, NULL, 10) : -1;
}

/* Names the setting of this node that forbids it. */
static bool find_setting(const char *what)
{
    int error = errno;
    static const char ask[] = "ask the administrator of this node to allow user namespaces, or "
                              "choose 'runtime: apptainer' for this stack";
    static const char *const switches[][2] = {
        {"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces"},
        {"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone"}};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (sysctl_value(switches[i][0]) == 0) {
            fail("user namespaces are disabled on this node (sysctl %s=0)", switches[i][1]);
            return remedy("%s", ask);
        }
    if (sysctl_value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        return fail("AppArmor forbids user namespaces on this node (sysctl "
                    "kernel.apparmor_restrict_unprivileged_userns=1)\n"
                    "ask the administrator for an AppArmor profile that allows 'userns' for this "
                    "launcher, or choose 'runtime: apptainer' for this stack");
    errno = error;
    fail("this node does not let you make a user and mount namespace: %s: %m", what);
    if (errno == ENOSPC)
        return remedy("too many namespaces are in use or nested (see sysctl user.max_*)");
    return remedy("%s", ask);
}

/* Asked only after a failure. */
static bool explain(const char *what)
{
    find_setting(what);
    problem.forbidden = true;
    return false;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int error = errno;
    close(fd);
    errno = error;
    return written;
}

/* Maps the user and the group to themselves, so that srun and munge still know who calls. */
static bool write_maps(uid_t uid, gid_t gid)
{
    char map[64];
    if (!write_file("/proc/self/setgroups", "deny") && errno != ENOENT)
        return explain("/proc/self/setgroups");
    snprintf(map, sizeof map, "%u %u 1", (unsigned)gid, (unsigned)gid);
    if (!write_file("/proc/self/gid_map", map))
        return explain("/proc/self/gid_map");
    snprintf(map, sizeof map, "%u %u 1", (unsigned)uid, (unsigned)uid);
    if (!write_file("/proc/self/uid_map", map))
        return explain("/proc/self/uid_map");
    return true;
}

bool namespace_enter(int more, bool *user_namespace)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    bool have_power = uid == 0 || *user_namespace;
    if (!have_power || unshare(CLONE_NEWNS | more) != 0) {
        *user_namespace = true;
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | more) != 0)
            return explain("unshare");
        /* A process started by a daemon, or from a file it may not read, does not own its /proc
         * files; the maps could not be written. */
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        if (!write_maps(uid, gid))
            return false;
    }
    /* Slave, not private: a file system that the node mounts later (autofs) still appears. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return explain("mount");
    return true;
}

bool bind_descriptor(int fd, const char *target)
{
    char source[32];
    snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
    return mount(source, target, NULL, MS_BIND | MS_REC, NULL) == 0;
}

bool remount(const char *path, bool read_only)
{
    /* These have the same numbers; how access times are noted, the kernel keeps by itself. */
    unsigned long kept = MS_NOSUID | MS_NODEV | MS_NOEXEC, flags = MS_REMOUNT | MS_BIND;
    struct statvfs status;
    if (statvfs(path, &status) == 0)
        flags |= status.f_flag & kept;
    return mount(NULL, path, NULL, flags | (read_only ? MS_RDONLY : 0), NULL) == 0;
}

bool make_mount_point(const char *path, bool directory)
{
    char *part = format("%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST && access(part, F_OK) != 0)
            return false;
        *slash = '/';
    }
    if (directory)
        return mkdir(path, 0755) == 0 || errno == EEXIST;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

#define _GNU_SOURCE
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/text.h"

/* Linux 5.12; the same number on every architecture. Older headers do not have it. */
enum { MOUNT_SETATTR = 442, RECURSIVE = 0x8000 };
static const uint64_t read_only_attribute = 1;

struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

/* The flags of a mount that a remount has to repeat: an ordinary user may not drop them. */
static unsigned long kept_flags(const char *path)
{
    static const struct {
        unsigned long shown, mount;
    } flags[] = {
        {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},           {ST_NOEXEC, MS_NOEXEC},
        {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME},
    };
    struct statvfs status;
    unsigned long kept = 0;
    if (statvfs(path, &status) == 0)
        for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
            if (status.f_flag & flags[i].shown)
                kept |= flags[i].mount;
    return kept;
}

static bool remount(const char *path, bool read_only)
{
    return mount(NULL, path, NULL,
                 MS_REMOUNT | MS_BIND | kept_flags(path) | (read_only ? MS_RDONLY : 0), NULL) == 0;
}

/* For kernels without mount_setattr: one mount after the other. A mount that cannot be reached
 * (autofs, covered by another) cannot be written to either. */
static bool remount_each(void)
{
    char *line = NULL;
    size_t room = 0;
    FILE *table = fopen("/proc/self/mountinfo", "re");
    bool good = table != NULL;
    while (good && getline(&line, &room, table) > 0) {
        char *save = NULL, *field = strtok_r(line, " ", &save);
        for (int i = 0; field && i < 4; i++) /* the fifth field is the mount point */
            field = strtok_r(NULL, " ", &save);
        if (!field || !octal_decode(field))
            continue;
        if (!remount(field, true) && strcmp(field, "/") == 0)
            good = false;
    }
    if (!good)
        fail("cannot make the mounts of this node read-only: %s", strerror(errno));
    if (table)
        fclose(table);
    free(line);
    return good;
}

bool box_read_only(void)
{
    struct attributes attributes = {.set = read_only_attribute};
    if (syscall(MOUNT_SETATTR, AT_FDCWD, "/", RECURSIVE, &attributes, sizeof attributes) != 0 &&
        !remount_each())
        return false;
    remount("/proc", false);
    return true;
}

bool box_open_sources(struct box_mount *mounts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!mounts[i].source)
            continue;
        mounts[i].fd = open(mounts[i].source, O_PATH | O_CLOEXEC);
        if (mounts[i].fd < 0)
            return fail("cannot bind %s: %s", mounts[i].source, strerror(errno));
    }
    return true;
}

static bool make_directories(const char *path)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST && access(part, F_OK) != 0)
            return false;
        *slash = '/';
    }
    return mkdir(part, 0755) == 0 || errno == EEXIST;
}

static bool make_target(const struct box_mount *mount)
{
    struct stat source, target;
    bool directory = !mount->source || (fstat(mount->fd, &source) == 0 && S_ISDIR(source.st_mode));
    if (stat(mount->target, &target) == 0)
        return true;
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", mount->target);
    char *slash = strrchr(parent, '/');
    bool made = directory ? make_directories(mount->target) : false;
    if (!directory && slash) {
        *slash = '\0';
        int fd = (parent[0] == '\0' || make_directories(parent))
                     ? open(mount->target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)
                     : -1;
        made = fd >= 0;
        if (made)
            close(fd);
    }
    if (made)
        return true;
    return fail("cannot make the mount point %s: %s\n"
                "make it on the host first",
                mount->target, strerror(errno));
}

static bool mount_tmpfs(const char *target)
{
    const char *name = strrchr(target, '/') + 1;
    bool for_all = strcmp(name, "tmp") == 0 || strcmp(name, "shm") == 0;
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV,
                 for_all ? "mode=1777" : "mode=755") == 0;
}

static bool mount_one(const struct box_mount *m)
{
    char source[64];
    if (!make_target(m))
        return false;
    if (m->kind == BOX_TMPFS) {
        if (mount_tmpfs(m->target))
            return true;
        return fail("cannot mount a tmpfs on %s: %s", m->target, strerror(errno));
    }
    snprintf(source, sizeof source, "/proc/self/fd/%d", m->fd);
    if (mount(source, m->target, NULL, MS_BIND | MS_REC, NULL) != 0 ||
        !remount(m->target, m->kind == BOX_RO_BIND))
        return fail("cannot bind %s over %s: %s\n"
                    "is it on a file system that is mounted read-only?",
                    m->source, m->target, strerror(errno));
    return true;
}

static int depth(const char *path)
{
    int slashes = 0;
    for (; *path; path++)
        slashes += path[0] == '/' && path[1] != '/' && path[1] != '\0';
    return slashes;
}

bool box_mount_all(struct box_mount *mounts, size_t count)
{
    /* Insertion sort: few, and equal depths must keep their order. */
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && depth(mounts[k].target) < depth(mounts[k - 1].target); k--) {
            struct box_mount other = mounts[k];
            mounts[k] = mounts[k - 1];
            mounts[k - 1] = other;
        }
    for (size_t i = 0; i < count; i++)
        if (!mount_one(&mounts[i]))
            return false;
    return true;
}

bool box_mount_proc(void)
{
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

bool box_mount_shm(void)
{
    struct stat status;
    if (stat("/dev/shm", &status) != 0 || mount_tmpfs("/dev/shm"))
        return true;
    return fail("cannot mount a tmpfs on /dev/shm: %s", strerror(errno));
}

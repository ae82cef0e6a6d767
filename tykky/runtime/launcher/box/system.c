#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "box.h"

/* --- devices ---------------------------------------------------------------------------------- */

/* What programs count on, without what belongs to the node; and graphics processors. /dev/tty is
 * the terminal of whoever asks, and a build has none. */
static bool is_for_all(const char *name)
{
    static const char *const names[] = {"null", "zero", "full",    "random", "urandom", "tty",
                                        "fuse", "dri",  "kfd",     "dxg"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "nvidia", 6) == 0;
}

struct device {
    char *path;
    int fd;
    bool directory;
};

/* Opens the devices before they are covered; the last has no path. */
static struct device *open_devices(void)
{
    size_t count = 0;
    struct device *found = allocate(1, sizeof *found);
    DIR *entries = opendir("/dev");
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        struct device device = {.path = format("/dev/%s", entry->d_name), .fd = -1};
        struct stat status;
        if (is_for_all(entry->d_name))
            device.fd = open(device.path, O_PATH | O_CLOEXEC);
        if (device.fd < 0 || fstat(device.fd, &status) != 0)
            continue;
        device.directory = S_ISDIR(status.st_mode);
        found = reallocate(found, count + 2, sizeof *found);
        found[count++] = device;
        found[count] = (struct device){NULL, -1, false};
    }
    if (entries)
        closedir(entries);
    return found;
}

bool box_own_devices(void)
{
    static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
                                           {"/proc/self/fd/0", "/dev/stdin"},
                                           {"/proc/self/fd/1", "/dev/stdout"},
                                           {"/proc/self/fd/2", "/dev/stderr"},
                                           {"pts/ptmx", "/dev/ptmx"}};
    struct device *devices = open_devices();
    if (!mount_tmpfs("/dev"))
        return false;
    for (struct device *d = devices; d->path; d++) {
        if (!make_mount_point(d->path, d->directory) || !bind_descriptor(d->fd, d->path))
            return fail("cannot bind %s: %m", d->path);
        allow_devices(d->path);
        close(d->fd);
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (symlink(links[i][0], links[i][1]) != 0)
            return fail("cannot make the link %s: %m", links[i][1]);
    mkdir("/dev/shm", 0755);
    mkdir("/dev/pts", 0755);
    /* Terminals of its own, which no kernel but an odd one forbids. */
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666");
    /* Memory of its own, so that a build leaves no segment behind. */
    return mount_tmpfs("/dev/shm") && (remount("/dev", true) || fail("cannot protect /dev: %m"));
}

/* --- what only root may read or change ---------------------------------------------------------- */

/* Covers what others may not read below a directory, `depth` levels of it. */
static bool hide_private(const char *path, int depth)
{
    DIR *entries = depth > 0 ? opendir(path) : NULL;
    bool done = true;
    for (struct dirent *entry; done && entries && (entry = readdir(entries));) {
        char *inner = format("%s/%s", path, entry->d_name);
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            lstat(inner, &status) != 0)
            continue;
        bool directory = S_ISDIR(status.st_mode);
        if (directory && (status.st_mode & 5) == 5)
            done = hide_private(inner, depth - 1);
        else if (directory)
            done = mount_tmpfs(inner);
        else if (S_ISREG(status.st_mode) && !(status.st_mode & 4))
            done = mount("/dev/null", inner, NULL, MS_BIND, NULL) == 0 ||
                   fail("cannot hide %s: %m", inner);
    }
    if (entries)
        closedir(entries);
    return done;
}

bool box_hide_from_root(void)
{
    /* Where administrators keep such; deeper, there are too many to look at. */
    return hide_private("/", 1) && hide_private("/etc", 8) && hide_private("/var", 6) &&
           hide_private("/opt", 5);
}

void box_protect_kernel(void)
{
    /* Files of the kernel that root may write without any capability. */
    static const char *const paths[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq",
                                        "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (mount(paths[i], paths[i], NULL, MS_BIND | MS_REC, NULL) == 0)
            remount(paths[i], true);
    static const char *const secrets[] = {
        "/proc/kcore",       "/proc/kpageflags", "/proc/kpagecount", "/proc/kpagecgroup",
        "/proc/iomem",       "/proc/ioports",    "/proc/keys",       "/proc/key-users",
        "/proc/vmallocinfo", "/proc/slabinfo",   "/proc/kallsyms",   "/proc/modules"};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        mount("/dev/null", secrets[i], NULL, MS_BIND, NULL);
}

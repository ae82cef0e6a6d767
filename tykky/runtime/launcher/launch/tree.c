#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount.h"

enum { MAX_OURS = 64, MAX_ENTRIES = 4096 };

/* The file systems made here: in them, directories may simply be made. */
static dev_t ours[MAX_OURS];
static unsigned our_count;

static bool cannot_make(const char *path)
{
    return fail("cannot make the mount point %s: %m\n"
                "make the directory on the host, or mount at another path",
                path);
}

static bool is_ours(const struct stat *status)
{
    for (unsigned i = 0; i < our_count; i++)
        if (ours[i] == status->st_dev)
            return true;
    return false;
}

bool tree_mount_empty(const char *path, const char *name)
{
    struct stat status;
    if (our_count == MAX_OURS) {
        errno = EMLINK;
        return cannot_make(path);
    }
    if (mount(name, path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=555") != 0 ||
        stat(path, &status) != 0)
        return cannot_make(path);
    ours[our_count++] = status.st_dev;
    return true;
}

/* What cannot be bound (no permission to look at it, say) stays an empty place with that name. */
static void bind_entry(int from, int into, const char *name)
{
    char text[PATH_MAX];
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISLNK(status.st_mode)) {
        ssize_t length = readlinkat(from, name, text, sizeof text - 1);
        text[length > 0 ? length : 0] = '\0';
        if (length <= 0 || symlinkat(text, into, name) != 0)
            return;
        return;
    }
    if ((S_ISDIR(status.st_mode) ? mkdirat(into, name, 0755)
                                 : mknodat(into, name, S_IFREG | 0444, 0)) != 0)
        return; /* it is there already */
    int old = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bind_descriptor(old, format("/proc/self/fd/%d/%s", into, name));
    close(old);
}

bool tree_fill(const char *path, int source)
{
    int from = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int into = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = from >= 0 && into >= 0 ? fdopendir(from) : NULL;
    int count = 0;
    if (!entries) {
        bool result = cannot_make(path);
        close(from);
        close(into);
        return result;
    }
    for (struct dirent *entry; (entry = readdir(entries)) && count < MAX_ENTRIES;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            bind_entry(source, into, entry->d_name);
            count++;
        }
    closedir(entries);
    close(into);
    if (count < MAX_ENTRIES)
        return true;
    errno = EMLINK;
    return cannot_make(path);
}

/* Covers a directory that cannot be written with one that can and looks the same. */
static bool make_writable(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && is_ours(&status))
        return true;
    int source = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source < 0)
        return cannot_make(path);
    bool made = tree_mount_empty(path, "tykky") && tree_fill(path, source);
    close(source);
    return made;
}

bool tree_make(const char *path, bool directory)
{
    struct stat status;
    if (stat(path, &status) == 0) {
        errno = ENOTDIR;
        return !directory || S_ISDIR(status.st_mode) || cannot_make(path);
    }
    char *part = format("%s", path); /* of which all exists */
    for (char *slash; stat(part, &status) != 0 && (slash = strrchr(part, '/'));)
        slash[slash == part] = '\0';
    return make_writable(part) && (make_mount_point(path, directory) || cannot_make(path));
}

/*
 * Spoils one of the operations by which a process and its children change files.
 *
 * To be preloaded. The environment says what to do:
 *
 * SABOTAGE_BELOW    directories, with colons between: only paths below these count
 * SABOTAGE_OPS      names of the operations that count, with blanks around each
 * SABOTAGE_COUNTER  a file of eight bytes, in which all processes count together
 * SABOTAGE_AT       the number of the operation, from 1
 * SABOTAGE_MATCH    or: the first one whose "NAME PATH [PATH]" this regular expression finds
 * SABOTAGE_ONWARD   if it is set, all that follow are spoilt as well, as on a disk that is full
 * SABOTAGE_ERRNO    it fails with this error
 * SABOTAGE_SIGNAL   or the process gets this signal before it; its whole group if it is SIGKILL
 * SABOTAGE_SLOW     or each waits for so many milliseconds
 * SABOTAGE_LOG      a file to which every operation is appended that was reached
 * SABOTAGE_NOLOCK   if it is set, there are no locks on files below those directories
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *below, *ops, *match, *onward, *nolock;
static long at, number, signal_number, slow;
static int log_fd = -1;
static _Atomic long *count;
static _Thread_local bool busy;

static long value(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void start(void)
{
    busy = true;
    below = getenv("SABOTAGE_BELOW");
    ops = getenv("SABOTAGE_OPS");
    match = getenv("SABOTAGE_MATCH");
    onward = getenv("SABOTAGE_ONWARD");
    nolock = getenv("SABOTAGE_NOLOCK");
    at = value("SABOTAGE_AT");
    number = value("SABOTAGE_ERRNO");
    signal_number = value("SABOTAGE_SIGNAL");
    slow = value("SABOTAGE_SLOW");
    const char *counter = getenv("SABOTAGE_COUNTER"), *log = getenv("SABOTAGE_LOG");
    int fd = counter ? open(counter, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *there = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        count = there == MAP_FAILED ? NULL : there;
        close(fd);
    }
    if (log)
        log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    busy = false;
}

/* Whether a path is below one of the directories. */
static bool counts(const char *path)
{
    for (const char *each = below; each && *each;) {
        size_t length = strcspn(each, ":");
        if (strncmp(path, each, length) == 0 && (path[length] == '/' || path[length] == 0))
            return true;
        each += length + (each[length] == ':');
    }
    return false;
}

/* The path of what is named by a directory and a name in it. */
static void whole(int directory, const char *name, char *path)
{
    path[0] = 0;
    if (name && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char link[64], base[PATH_MAX / 2];
    if (directory == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length <= 0)
        return;
    base[length] = 0;
    snprintf(path, PATH_MAX, "%s%s%.2000s", base, name ? "/" : "", name ? name : "");
}

/* Whether the operation is to fail; errno is set then. */
static bool spoilt(const char *operation, const char *path, const char *other)
{
    if (busy || !below || !count || !(counts(path) || (other && counts(other))))
        return false;
    char padded[64], line[2 * PATH_MAX + 64];
    snprintf(padded, sizeof padded, " %s ", operation);
    if (!ops || !strstr(ops, padded))
        return false;
    busy = true;
    int before = errno;
    long here = atomic_fetch_add(count, 1) + 1;
    int length = snprintf(line, sizeof line, "%s %s%s%s", operation, path, other ? " " : "",
                          other ? other : "");
    if (log_fd >= 0)
        dprintf(log_fd, "%s\n", line);
    bool chosen = onward ? at && here >= at : here == at;
    regex_t expression;
    if (match && length > 0 && regcomp(&expression, match, REG_EXTENDED | REG_NOSUB) == 0) {
        chosen = regexec(&expression, line, 0, NULL, 0) == 0;
        regfree(&expression);
        if (chosen && !onward)
            match = NULL;
    }
    if (slow && (chosen || !at)) {
        struct timespec wait = {slow / 1000, slow % 1000 * 1000000};
        nanosleep(&wait, NULL);
    } else if (chosen && signal_number) {
        kill(signal_number == SIGKILL ? 0 : getpid(), (int)signal_number);
    }
    busy = false;
    errno = chosen && number ? (int)number : before;
    return chosen && number;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

#define OF_FD(name, type, arguments, call)                                                         \
    type name arguments                                                                            \
    {                                                                                              \
        char path[PATH_MAX];                                                                       \
        if (!busy && below) {                                                                      \
            whole(fd, NULL, path);                                                                 \
            if (spoilt(#name, path, NULL))                                                         \
                return -1;                                                                         \
        }                                                                                          \
        return REAL(name) call;                                                                    \
    }
#define OF_PATH(name, operation, directory, arguments, call)                                       \
    int name arguments                                                                             \
    {                                                                                              \
        char path[PATH_MAX];                                                                       \
        whole(directory, one, path);                                                               \
        return spoilt(operation, path, NULL) ? -1 : REAL(name) call;                               \
    }
#define OF_PATHS(name, operation, from, to, arguments, call)                                       \
    int name arguments                                                                             \
    {                                                                                              \
        char path[PATH_MAX], other[PATH_MAX];                                                      \
        whole(from, one, path);                                                                    \
        whole(to, two, other);                                                                     \
        return spoilt(operation, path, other) ? -1 : REAL(name) call;                              \
    }

OF_FD(write, ssize_t, (int fd, const void *data, size_t size), (fd, data, size))
OF_FD(pwrite64, ssize_t, (int fd, const void *data, size_t size, off64_t where),
      (fd, data, size, where))
OF_FD(writev, ssize_t, (int fd, const struct iovec *parts, int size), (fd, parts, size))
OF_FD(fsync, int, (int fd), (fd))
OF_FD(ftruncate64, int, (int fd, off64_t size), (fd, size))
OF_FD(fchmod, int, (int fd, mode_t mode), (fd, mode))
OF_PATH(mkdir, "mkdir", AT_FDCWD, (const char *one, mode_t mode), (one, mode))
OF_PATH(mkdirat, "mkdir", fd, (int fd, const char *one, mode_t mode), (fd, one, mode))
OF_PATH(unlink, "unlink", AT_FDCWD, (const char *one), (one))
OF_PATH(rmdir, "rmdir", AT_FDCWD, (const char *one), (one))
OF_PATH(unlinkat, flags &AT_REMOVEDIR ? "rmdir" : "unlink", fd,
        (int fd, const char *one, int flags), (fd, one, flags))
OF_PATH(chmod, "chmod", AT_FDCWD, (const char *one, mode_t mode), (one, mode))
OF_PATH(symlink, "symlink", AT_FDCWD, (const char *target, const char *one), (target, one))
OF_PATH(symlinkat, "symlink", fd, (const char *target, int fd, const char *one),
        (target, fd, one))
OF_PATHS(rename, "rename", AT_FDCWD, AT_FDCWD, (const char *one, const char *two), (one, two))
OF_PATHS(renameat, "rename", fd, gd, (int fd, const char *one, int gd, const char *two),
         (fd, one, gd, two))
OF_PATHS(link, "link", AT_FDCWD, AT_FDCWD, (const char *one, const char *two), (one, two))
OF_PATHS(linkat, "link", fd, gd, (int fd, const char *one, int gd, const char *two, int flags),
         (fd, one, gd, two, flags))

ssize_t sendfile64(int fd, int in, off64_t *where, size_t size)
{
    ssize_t (*real)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
    char path[PATH_MAX];
    whole(fd, NULL, path);
    return spoilt("write", path, NULL) ? -1 : real(fd, in, where, size);
}

/* Making a file, by any of the functions that can. */
#define OPENS(name, parameters, arguments, directory)                                              \
    int name parameters                                                                            \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                              \
        char path[PATH_MAX];                                                                       \
        if (flags & O_CREAT) {                                                                     \
            whole(directory, one, path);                                                           \
            if (spoilt("open", path, NULL))                                                        \
                return -1;                                                                         \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }
OPENS(open, (const char *one, int flags, ...), (one, flags, mode), AT_FDCWD)
OPENS(open64, (const char *one, int flags, ...), (one, flags, mode), AT_FDCWD)
OPENS(openat, (int fd, const char *one, int flags, ...), (fd, one, flags, mode), fd)
OPENS(openat64, (int fd, const char *one, int flags, ...), (fd, one, flags, mode), fd)

int flock(int fd, int operation)
{
    char path[PATH_MAX];
    whole(fd, NULL, path);
    if (nolock && below && counts(path)) {
        errno = ENOLCK;
        return -1;
    }
    if (spoilt("flock", path, NULL))
        return -1;
    return REAL(flock)(fd, operation);
}

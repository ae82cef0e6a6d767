#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mount.h"
#include "process.h"
#include "relay.h"

/* Linux 5.3; the same number on every architecture. Older headers do not have it. */
enum { PIDFD_OPEN = 434 };

static ssize_t read_of(pid_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
    return read_text(path, text, size);
}

pid_t process_self(void)
{
    char self[32] = "";
    return readlink("/proc/self", self, sizeof self - 1) > 0 ? atoi(self) : 0;
}

uint64_t process_namespace(const char *kind)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

uint64_t process_start(pid_t pid)
{
    char text[1024];
    if (read_of(pid, "stat", text, sizeof text) <= 0)
        return 0;
    /* The second field is a name in parentheses and may hold anything; the start is field 22. */
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ' || strchr("ZXx", field[2])) /* dead, and not yet collected */
        return 0;
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

/* Of an image that is mounted in a namespace within this one. */
static bool is_server(pid_t pid)
{
    char text[32];
    return (read_of(pid, "environ", text, sizeof text) > 0 && strcmp(text, SERVER_MARK) == 0) ||
           (read_of(pid, "comm", text, sizeof text) > 0 && strcmp(text, RELAY_NAME "\n") == 0);
}

pid_t process_beside(void)
{
    struct stat own, other;
    char path[64];
    pid_t found = 0, self = process_self();
    DIR *processes = opendir("/proc");
    bool known = self && stat("/proc/self/ns/mnt", &own) == 0;
    for (struct dirent *entry; processes && known && !found && (entry = readdir(processes));) {
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || pid == self)
            continue;
        /* Fails for the processes of others, and they cannot be members. */
        snprintf(path, sizeof path, "/proc/%ld/ns/mnt", (long)pid);
        if (stat(path, &other) == 0 && is_same_file(&own, &other) && !is_server(pid))
            found = pid;
    }
    if (processes)
        closedir(processes);
    return found;
}

void process_wait(pid_t pid, unsigned seconds)
{
    struct pollfd ended = {.fd = (int)syscall(PIDFD_OPEN, pid, 0), .events = POLLIN};
    poll(&ended, ended.fd >= 0, ended.fd >= 0 ? -1 : (int)seconds * 1000);
    if (ended.fd >= 0)
        close(ended.fd);
}

/* --- daemons ---------------------------------------------------------------------------------- */

/* Like fork, but the child's end raises no signal: the caller may have SIGCHLD blocked, and the
 * program would find it pending. */
static pid_t fork_silently(void)
{
    return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

bool daemon_start(void (*run)(void *argument), void *argument)
{
    int reaper = 0, status = 0;
    /* A subreaper would adopt the orphan as its own child; not if it is none at that moment. */
    prctl(PR_GET_CHILD_SUBREAPER, &reaper, 0, 0, 0);
    if (reaper)
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    pid_t middle = fork_silently();
    if (middle == 0) {
        pid_t last = fork_silently();
        if (last == 0) {
            run(argument);
            _exit(0);
        }
        _exit(last < 0 ? errno : 0);
    }
    int error = middle < 0 ? errno : 0;
    while (middle > 0 && waitpid(middle, &status, __WALL) < 0 && errno == EINTR)
        ;
    if (middle > 0 && WIFEXITED(status))
        error = WEXITSTATUS(status);
    if (reaper)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    errno = error;
    return !error || fail("cannot start a process for the image: %m\n"
                          "too many processes or too little memory; see ulimit -u");
}

static void close_above(int last)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0) == 0)
        return;
#endif
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        int fd = atoi(entry->d_name);
        if (fd > last && fd != dirfd(directory))
            close(fd);
    }
    if (directory)
        closedir(directory);
}

static void keep_descriptors(int *fds, int count)
{
    int above = 3 + count;
    for (int i = 0; i < count; i++)
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, above);
    for (int i = 0; i < count; i++) {
        dup3(fds[i], 3 + i, O_CLOEXEC);
        fds[i] = 3 + i;
    }
    close_above(above - 1);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}

static void block_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    for (int number = 1; number < 32; number++)
        sigaction(number, &by_default, NULL);
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&set, faults[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

/* The first rank may be bound to one core; these work for all. The cpuset still holds. */
static void use_all_cpus(void)
{
    unsigned long mask[8192 / (8 * sizeof(unsigned long))];
    memset(mask, 0xff, sizeof mask);
    syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
}

/* What a user sets for a program (ulimit -t 60) must not end what serves all of them. */
static void raise_limits(void)
{
    static const int kinds[] = {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct rlimit limit;
        if (getrlimit(kinds[i], &limit) == 0 && limit.rlim_cur != limit.rlim_max) {
            limit.rlim_cur = limit.rlim_max;
            setrlimit(kinds[i], &limit);
        }
    }
}

void daemon_detach(int *fds, int count)
{
    setsid();
    if (chdir("/") != 0)
        _exit(STATUS_LAUNCHER);
    raise_limits();
    keep_descriptors(fds, count);
    block_signals();
    use_all_cpus();
}

static char *title;
static size_t title_size;

static const char *end_of_strings(char **strings, const char *end)
{
    /* The kernel put them one after the other. */
    for (char **string = strings; *string && (!end || *string == end); string++)
        end = *string + strlen(*string) + 1;
    return end;
}

void title_remember(char **argv)
{
    title = argv[0];
    if (title)
        title_size = (size_t)(end_of_strings(environ, end_of_strings(argv, NULL)) - title);
}

void title_set(const char *name, const char *subject)
{
    prctl(PR_SET_NAME, name, 0, 0, 0);
    if (!title_size)
        return;
    memset(title, 0, title_size);
    snprintf(title, title_size, "%s %s", name, subject);
}

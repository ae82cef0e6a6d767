#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

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

static void close_listed(int last)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));) {
        int fd = atoi(entry->d_name);
        if (fd > last && fd != dirfd(directory))
            close(fd);
    }
    closedir(directory);
}

static void close_above(int last)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0) == 0)
        return;
#endif
    close_listed(last);
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
    keep_descriptors(fds, count);
    block_signals();
    use_all_cpus();
    raise_limits();
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

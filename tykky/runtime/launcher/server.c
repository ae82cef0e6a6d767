#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "squashfuse_ll"

static const char *const usual_places[] = {
    "/usr/bin",
    "/usr/local/bin",
    "/usr/libexec/apptainer/bin",
    "/usr/local/libexec/apptainer/bin",
    "/usr/lib/x86_64-linux-gnu/apptainer/bin",
    "/usr/lib/aarch64-linux-gnu/apptainer/bin",
    "/opt/apptainer/libexec/apptainer/bin",
};

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* PATH comes last, because in a module environment anything may be there. */
static bool find_in_path(char *found, size_t size)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        if (path[0] == '/' && length < size &&
            snprintf(found, size, "%.*s/" PROGRAM, (int)length, path) < (int)size &&
            is_program(found))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

bool server_find(struct server *server, const struct conf *conf, struct problem *problem)
{
    size_t size = sizeof server->program;
    for (size_t i = 0; i < conf->server_count; i++)
        if (snprintf(server->program, size, "%s", conf->servers[i]) < (int)size &&
            is_program(server->program))
            return true;
    if (conf->server_count) {
        cause(problem, "the image server named in %s is not there: %s", conf->file,
              conf->servers[0]);
        return remedy(problem, "install squashfuse, or correct the 'server' lines of that file");
    }
    for (size_t i = 0; i < sizeof usual_places / sizeof usual_places[0]; i++)
        if (snprintf(server->program, size, "%s/" PROGRAM, usual_places[i]) < (int)size &&
            is_program(server->program))
            return true;
    if (find_in_path(server->program, size))
        return true;
    cause(problem, "this node has no " PROGRAM ", which makes the files of the image visible");
    return remedy(problem, "ask the administrator to install the package 'squashfuse' (or apptainer, "
                           "which brings it)");
}

/* Like fork, but the child's end raises no signal: the caller may have SIGCHLD blocked, and the
 * program would find it pending. */
static pid_t fork_silently(void)
{
    return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

static void close_above(int last)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0) == 0)
        return;
#endif
    struct rlimit limit;
    int most = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < 1 << 20
                   ? (int)limit.rlim_max
                   : 1 << 20;
    for (int fd = last + 1; fd < most; fd++)
        close(fd);
}

/* The limits that a user sets for a program (ulimit -t 60) must not end the server of all. */
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

/* Signals for a job or a terminal (TERM, INT, HUP, USR1, ...) are not for the server: ranks that
 * write a checkpoint still need their files. Ignoring is not enough, since newer squashfuse sets
 * handlers of its own; only a blocked mask stays. Faults are left alone. */
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

/* The first rank may be bound to one core; the server works for all. The cpuset still holds. */
static void use_all_cpus(void)
{
    unsigned long mask[8192 / (8 * sizeof(unsigned long))];
    memset(mask, 0xff, sizeof mask);
    syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
}

static void leave_the_caller(int *channel)
{
    setsid();
    if (chdir("/") != 0)
        _exit(STATUS_LAUNCHER);
    if (*channel != 3) {
        dup3(*channel, 3, O_CLOEXEC);
        *channel = 3;
    }
    close_above(3);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null > 3)
        close(null);
    block_signals();
    use_all_cpus();
    raise_limits();
}

static int receive_descriptor(int channel)
{
    char byte;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    if (recvmsg(channel, &message, 0) != 1)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static bool send_descriptor(int channel, int fd)
{
    char byte = 'f';
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    return sendmsg(channel, &message, MSG_NOSIGNAL) == 1;
}

static _Noreturn void be_server(const char *program, const char *image, int channel)
{
    char mount_point[32];
    /* Nothing of the user's environment: LD_PRELOAD of a profiler has no place here. */
    static char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    leave_the_caller(&channel);
    int fuse = receive_descriptor(channel);
    if (fuse < 0) /* the launcher gave up, and has said why */
        _exit(0);
    snprintf(mount_point, sizeof mount_point, "/dev/fd/%d", fuse);
    char *const arguments[] = {PROGRAM, "-f", (char *)image, mount_point, NULL};
    execve(program, arguments, environment);
    int error = errno;
    if (send(channel, &error, sizeof error, MSG_NOSIGNAL) < 0)
        _exit(STATUS_LAUNCHER);
    _exit(STATUS_NOT_EXECUTABLE);
}

bool server_start(struct server *server, const char *image, struct problem *problem)
{
    int ends[2], reaper = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        cause(problem, "cannot make a socket: %s", strerror(errno));
        return remedy(problem, "too many open files? see ulimit -n");
    }
    /* A subreaper would adopt the server as its own child; not if it is none at that moment. */
    prctl(PR_GET_CHILD_SUBREAPER, &reaper, 0, 0, 0);
    if (reaper)
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    pid_t middle = fork_silently();
    if (middle == 0) {
        pid_t last = fork_silently();
        if (last == 0) {
            close(ends[0]);
            be_server(server->program, image, ends[1]);
        }
        _exit(last < 0 ? errno : 0);
    }
    int error = middle < 0 ? errno : 0, status = 0;
    while (middle > 0 && waitpid(middle, &status, __WALL) < 0 && errno == EINTR)
        ;
    if (middle > 0 && WIFEXITED(status))
        error = WEXITSTATUS(status);
    if (reaper)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    close(ends[1]);
    server->channel = ends[0];
    if (!error)
        return true;
    close(ends[0]);
    cause(problem, "cannot start the image server: %s", strerror(error));
    return remedy(problem, "too many processes or too little memory (see ulimit -u)");
}

bool server_serve(struct server *server, int fuse, struct problem *problem)
{
    int error = 0;
    bool sent = send_descriptor(server->channel, fuse);
    close(fuse);
    /* Its end of the channel closes when it is executed. */
    ssize_t length = sent ? recv(server->channel, &error, sizeof error, 0) : -1;
    close(server->channel);
    if (length == 0)
        return true;
    cause(problem, "cannot run the image server %s: %s", server->program,
          length == sizeof error ? strerror(error) : "it ended too early");
    return remedy(problem, "install squashfuse for this machine's architecture, or name another one "
                           "in the 'server' line of launch.conf");
}

/* box: runs one command of a build where it can spoil nothing.
 *
 *     box [OPTION]... -- COMMAND [ARGUMENT]...
 *
 * The command sees the whole host, read-only if asked, with some directories bound over others.
 * It is alone in a PID namespace and a session: whatever it started ends with it, and all of it
 * ends with the process that started the box, even if that is killed with signal 9. It has no
 * terminal, no capabilities, and no way to either. Arguments, descriptors, signals and the exit
 * status pass through. Works for root and for ordinary users.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"

static const char usage[] =
    "usage: box [OPTION]... -- COMMAND [ARGUMENT]...\n"
    "\n"
    "  --root-readonly     make the host read-only, with devices of the box's own\n"
    "  --offline           a network where nobody else is\n"
    "  --restrict          a second wall: nothing but what is writable here can be written,\n"
    "                      and no stack entered (Landlock, where the kernel has it)\n"
    "  --bind SRC DST      bind SRC over DST, writable\n"
    "  --ro-bind SRC DST   bind SRC over DST, read-only\n"
    "  --tmpfs DST         an empty directory in memory\n"
    "  --chdir DIR         start in DIR (default: the present directory)\n"
    "  --own-env           start with the variables TYKKY_BOX_*, as what comes after that, alone\n"
    "  --parent PID        do not start if PID is no longer the parent\n"
    "\n"
    "Missing mount points are made where the box may write. Exit status 125: the box failed;\n"
    "126, 127: the command could not be executed; else that of the command.\n";

struct box {
    struct box_mount *mounts;
    size_t mount_count;
    const char *directory;
    bool read_only, own_environment, offline, restricted;
    long parent;
    char **command;
};

/* --- arguments -------------------------------------------------------------------------------- */

static void need(bool done)
{
    if (done)
        return;
    problem_print();
    exit(problem.status);
}

static void add_mount(struct box *box, enum box_mount_kind kind, char **words)
{
    const char *target = words[kind == BOX_TMPFS ? 0 : 1];
    need(target[0] == '/' || fail("box: the target %s is not an absolute path", target));
    box->mounts[box->mount_count++] =
        (struct box_mount){kind, kind == BOX_TMPFS ? NULL : words[0], target, -1};
}

/* Reads one option at words[0]; returns how many words it had, 0 if it is none. */
static int parse_option(struct box *box, char **words, int left)
{
    static const struct {
        const char *name;
        int words;
    } options[] = {{"--root-readonly", 1}, {"--bind", 3},    {"--ro-bind", 3},
                   {"--tmpfs", 2},         {"--chdir", 2},   {"--own-env", 1},
                   {"--offline", 1},       {"--restrict", 1}, {"--parent", 2}};
    size_t i = 0, count = sizeof options / sizeof options[0];
    while (i < count && strcmp(options[i].name, words[0]) != 0)
        i++;
    if (i == count || options[i].words > left)
        return 0;
    switch (i) {
    case 0: box->read_only = true; break;
    case 1: add_mount(box, BOX_BIND, words + 1); break;
    case 2: add_mount(box, BOX_RO_BIND, words + 1); break;
    case 3: add_mount(box, BOX_TMPFS, words + 1); break;
    case 4: box->directory = words[1]; break;
    case 5: box->own_environment = true; break;
    case 6: box->offline = true; break;
    case 7: box->restricted = true; break;
    default: box->parent = strtol(words[1], NULL, 10); break;
    }
    return options[i].words;
}

static _Noreturn void end_with_usage(void)
{
    fputs(usage, stderr);
    exit(STATUS_LAUNCHER);
}

static void parse(struct box *box, int argc, char **argv)
{
    int at = 1;
    box->mounts = allocate((size_t)argc, sizeof *box->mounts);
    while (at < argc && strcmp(argv[at], "--") != 0) {
        int words = parse_option(box, argv + at, argc - at);
        if (words == 0) {
            fail("box: wrong option, or something missing after it: %s", argv[at]);
            problem_print();
            end_with_usage();
        }
        at += words;
    }
    if (at + 1 >= argc)
        end_with_usage();
    box->command = argv + at + 1;
}

/* They come as variables, since everybody on the node may read arguments. */
static void take_environment(void)
{
    static const char beginning[] = "TYKKY_BOX_";
    size_t length = sizeof beginning - 1;
    char **all = environ;
    clearenv(); /* leaves the old array as it was */
    for (; *all; all++)
        if (strncmp(*all, beginning, length) == 0)
            need(putenv(*all + length) == 0 || fail("box: cannot set a variable: %m"));
}

/* --- processes -------------------------------------------------------------------------------- */

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

static sigset_t before; /* the mask that the box was started with; the command gets it back */

static sigset_t held_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaddset(&set, passed_on[i]);
    return set;
}

/* Blocks the signals that are passed on; before the first process is made. */
static void hold_signals(void)
{
    sigset_t set = held_signals();
    /* An ignored SIGCHLD, which is inherited, would lose the status of the command. */
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &set, &before);
}

static _Noreturn void execute(char **command)
{
    sigprocmask(SIG_SETMASK, &before, NULL);
    execvp(command[0], command);
    fail("cannot execute %s in the box: %m", command[0]);
    problem.status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    problem_print();
    _exit(problem.status);
}

static void pass_signals_on(pid_t pid)
{
    sigset_t held = held_signals();
    siginfo_t info;
    int number = sigwaitinfo(&held, &info);
    /* Those of the terminal, too: the command is in a session of its own. */
    if (number > 0 && number != SIGCHLD)
        kill(pid, number);
}

/* As process 1 of the PID namespace: starts the command, collects orphans, and writes the
 * command's wait status to `report` when it ends. The kernel then kills whatever it left. */
static _Noreturn void be_init(char **command, int report)
{
    prctl(PR_SET_NAME, "tykky-box");
    setsid(); /* without a terminal */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* what it has open, or reports, is not for the command */
    pid_t child = fork();
    if (child == 0)
        execute(command);
    if (child < 0)
        _exit(STATUS_LAUNCHER);
    for (;;) {
        pass_signals_on(child);
        int status;
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
            if (ended == child)
                _exit(write(report, &status, sizeof status) == sizeof status ? 0 : 1);
    }
}

/* Ends like the command: by the same signal, if it was one, and without a second core file. */
static _Noreturn void end_like(int status)
{
    if (WIFSIGNALED(status)) {
        struct rlimit none = {0, 0};
        sigset_t only;
        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(status), SIG_DFL);
        sigemptyset(&only);
        sigaddset(&only, WTERMSIG(status));
        sigprocmask(SIG_UNBLOCK, &only, NULL);
        raise(WTERMSIG(status));
        _exit(128 + WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

/* Outside: passes signals on to `init`'s command, and ends as the command ended. */
static _Noreturn void wait_for(pid_t init, int report)
{
    int ended, status;
    do
        pass_signals_on(init);
    while (waitpid(init, &ended, WNOHANG) != init);
    end_like(read(report, &status, sizeof status) == sizeof status ? status : ended);
}

/* In the PID namespace, before the command. */
static void arrange(struct box *box, bool user_namespace)
{
    static struct directory directory;
    directory_save(&directory);
    need(box_mount(box->mounts, box->mount_count, box->read_only, user_namespace));
    unsigned open = box->offline && !box_leave_network() ? BOX_NETWORK : 0;
    if (!box->directory)
        directory_restore(&directory);
    else
        need(chdir(box->directory) == 0 || fail("box: cannot enter %s: %m", box->directory));
    if (directory.fd >= 0)
        close(directory.fd); /* it leads to the host, past what covers that */
    if (unshare(CLONE_NEWIPC) != 0)
        open |= BOX_SHARED_MEMORY;
    need(box_give_up_power(open));
    if (box->restricted)
        box_restrict(box->mounts, box->mount_count);
}

/* Ends this process when its parent ends. `parent` is who it should be; 0: no check. */
static void end_with_parent(long parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (parent && getppid() != parent)
        _exit(STATUS_LAUNCHER);
}

int main(int argc, char **argv)
{
    struct box box = {0};
    bool user_namespace = false;
    int report[2], alive[2];
    parse(&box, argc, argv);
    if (box.own_environment)
        take_environment();
    hold_signals();
    need(namespace_enter(CLONE_NEWPID, &user_namespace));
    /* After the change of credentials, which would clear it. */
    end_with_parent(box.parent);
    need((pipe2(report, O_CLOEXEC) == 0 && pipe2(alive, O_CLOEXEC) == 0) ||
         fail("box: cannot make a pipe: %m"));
    pid_t init = fork();
    need(init >= 0 || fail("box: cannot make a process: %m"));
    if (init > 0) {
        close(report[1]);
        wait_for(init, report[0]);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    close(report[0]);
    /* Had the parent ended before that call, the last writer of `alive` is gone. */
    close(alive[1]);
    fcntl(alive[0], F_SETFL, O_NONBLOCK);
    char byte;
    if (read(alive[0], &byte, 1) == 0)
        _exit(STATUS_LAUNCHER);
    close(alive[0]);
    arrange(&box, user_namespace);
    be_init(box.command, report[1]);
}

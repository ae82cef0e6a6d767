#define _GNU_SOURCE
#include "box.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/problem.h"

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

void box_hold_signals(void)
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
    int error = errno;
    fail("cannot execute %s in the box: %s", command[0], strerror(error));
    problem_print();
    _exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

static void pass_signals_on(pid_t pid)
{
    sigset_t held = held_signals();
    siginfo_t info;
    int number = sigwaitinfo(&held, &info);
    /* Signals of the terminal reach the command by themselves. The others come, for box_init, from
     * box_wait, which stands outside of this PID namespace: there si_pid is 0. */
    if (number > 0 && number != SIGCHLD && info.si_code <= 0)
        kill(pid, number);
}

_Noreturn void box_init(char **command, int report)
{
    prctl(PR_SET_NAME, "tykky-box");
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

_Noreturn void box_wait(pid_t init, int report)
{
    int ended, status;
    do
        pass_signals_on(init);
    while (waitpid(init, &ended, WNOHANG) != init);
    end_like(read(report, &status, sizeof status) == sizeof status ? status : ended);
}

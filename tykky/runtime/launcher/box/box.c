/* box: runs one command of a build where it can spoil nothing.
 *
 *     box [OPTION]... -- COMMAND [ARGUMENT]...
 *
 * The command sees the whole host, read-only if asked, with some directories bound over others.
 * It is alone in a PID namespace: whatever it started ends with it, and all of it ends with the
 * process that started the box, even if that is killed with signal 9. Arguments, descriptors,
 * signals and the exit status pass through. Works for root and for ordinary users.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../common/files.h"
#include "../common/namespace.h"
#include "../common/problem.h"
#include "../common/text.h"
#include "box.h"

static const char usage[] =
    "usage: box [OPTION]... -- COMMAND [ARGUMENT]...\n"
    "\n"
    "  --root-readonly     make the host read-only (not /proc; /dev/shm becomes private)\n"
    "  --bind SRC DST      bind SRC over DST, writable\n"
    "  --ro-bind SRC DST   bind SRC over DST, read-only\n"
    "  --tmpfs DST         an empty directory in memory\n"
    "  --chdir DIR         start in DIR (default: the present directory)\n"
    "  --clear-env         start with an empty environment\n"
    "  --setenv NAME VALUE\n"
    "  --unsetenv NAME     both work after --clear-env, wherever they stand\n"
    "  --parent PID        do not start if PID is no longer the parent\n"
    "\n"
    "Missing mount points are made where the box may write. Exit status 125: the box failed;\n"
    "126, 127: the command could not be executed; else that of the command.\n";

struct change {
    const char *name, *value; /* value NULL: unset */
};

struct box {
    struct box_mount *mounts;
    size_t mount_count;
    struct change *changes;
    size_t change_count;
    const char *directory;
    bool read_only, clear_environment;
    long parent;
    char **command;
};

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
    } options[] = {{"--root-readonly", 1}, {"--bind", 3},     {"--ro-bind", 3},
                   {"--tmpfs", 2},         {"--chdir", 2},    {"--clear-env", 1},
                   {"--setenv", 3},        {"--unsetenv", 2}, {"--parent", 2}};
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
    case 5: box->clear_environment = true; break;
    case 6: box->changes[box->change_count++] = (struct change){words[1], words[2]}; break;
    case 7: box->changes[box->change_count++] = (struct change){words[1], NULL}; break;
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
    box->changes = allocate((size_t)argc, sizeof *box->changes);
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

static void change_environment(const struct box *box)
{
    if (box->clear_environment)
        clearenv();
    for (size_t i = 0; i < box->change_count; i++) {
        const char *name = box->changes[i].name, *value = box->changes[i].value;
        need((value ? setenv(name, value, 1) : unsetenv(name)) == 0 ||
             fail("box: cannot set the variable %s: %s", name, strerror(errno)));
    }
}

/* In the PID namespace, before the command. */
static void arrange(struct box *box, bool user_namespace)
{
    static struct directory directory;
    directory_save(&directory);
    need(box_mount(box->mounts, box->mount_count, box->read_only));
    if (!box->directory)
        directory_restore(&directory);
    else
        need(chdir(box->directory) == 0 ||
             fail("box: cannot enter %s: %s", box->directory, strerror(errno)));
    if (user_namespace)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
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
    change_environment(&box);
    box_hold_signals();
    need(namespace_enter(CLONE_NEWPID, &user_namespace));
    /* After the change of credentials, which would clear it. */
    end_with_parent(box.parent);
    need((pipe2(report, O_CLOEXEC) == 0 && pipe2(alive, O_CLOEXEC) == 0) ||
         fail("box: cannot make a pipe: %s", strerror(errno)));
    pid_t init = fork();
    need(init >= 0 || fail("box: cannot make a process: %s", strerror(errno)));
    if (init > 0) {
        close(report[1]);
        box_wait(init, report[0]);
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
    box_init(box.command, report[1]);
}

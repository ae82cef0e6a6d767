/* launch: every command of a stack is this program.
 *
 * It lies at <prefix>/bin/NAME (all names are hard links of <prefix>/.tykky/launch), reads
 * <prefix>/.tykky/launch.conf, enters a mount namespace in which the image covers the prefix, and
 * executes the same path again, which now is the real program. It leaves no process, descriptor
 * or variable behind: arguments, signals, exit status and pid are those of the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "conf.h"
#include "directory.h"
#include "environment.h"
#include "inside.h"
#include "mount.h"
#include "place.h"
#include "problem.h"
#include "program.h"
#include "shared.h"
#include "stack.h"

/* If the caller closed stdin, stdout or stderr, what is opened here must not take its number.
 * The placeholders close on exec: the program finds them closed, as it was started. */
static void hold_stdio(void)
{
    struct pollfd stdio[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
    if (poll(stdio, 3, 0) <= 0)
        return;
    for (int i = 0; i < 3; i++)
        if (stdio[i].revents & POLLNVAL && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            return;
}

/* In the namespace that all commands of this user share, or else in one of its own. */
static bool enter(const struct stack *stack, char **argv, bool *user_namespace,
                  struct problem *problem)
{
    static struct mounts mounts;
    switch (shared_enter(stack, argv, user_namespace, problem)) {
    case SHARED_ENTERED:
        return true;
    case SHARED_FAILED:
        return false;
    default:
        return mount_prepare(&mounts, stack, problem) &&
               mount_enter(&mounts, stack, user_namespace, problem);
    }
}

static bool launch(char **argv, struct problem *problem)
{
    static struct place place;
    static struct stack stack;
    static struct directory directory;
    bool user_namespace = false;

    if (!place_find(&place, argv, problem) || !stack_read(&stack, place.conf, problem) ||
        !place_check(&place, stack.confs[0].prefix, problem) ||
        !inside_check_others(&stack, problem))
        return false;
    /* Before entering: an image may have a pyvenv.cfg of its own. */
    enum activation activation = environment_activation(place.invoked);
    if (!inside_this_stack(&stack)) {
        directory_save(&directory);
        if (!stack_find(&stack, problem) || !enter(&stack, argv, &user_namespace, problem))
            return false;
        directory_restore(&directory);
    }
    /* What is needed comes first: the stack's own settings win. */
    for (size_t i = stack.count; i-- > 0;)
        if (!environment_apply(&stack.confs[i], activation, problem))
            return false;
    if (activation == ACTIVATION_FORCED && !environment_join_venv(place.invoked, problem))
        return false;
    /* In a user namespace set-user-id programs gain nothing anyway. Root keeps them: it may go on
     * as another user, for whom they work. */
    if (user_namespace)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return program_execute(&place, &stack.confs[0], argv, problem);
}

int main(int argc, char **argv)
{
    static struct problem problem;
    if (argc < 1)
        return STATUS_LAUNCHER;
    hold_stdio();
    if (!launch(argv, &problem))
        problem_print(&problem);
    return problem.status;
}

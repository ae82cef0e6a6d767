/* launch: every command of a stack is this program.
 *
 * It lies at <prefix>/bin/NAME (all names are hard links of <prefix>/.tykky/launch), reads
 * launch.conf in <prefix>/.tykky/current, or in the generation that the caller is pinned to, enters
 * a mount namespace in which the image covers the prefix, and executes the same path again, which
 * now is the real program. It leaves no process, descriptor or variable behind: arguments, signals,
 * exit status and pid are those of the program.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "process.h"
#include "program.h"

static struct place place;
static struct stack stack;
static const struct conf *const own = &stack.confs[0];

/* What is needed comes first: the stack's own settings win. */
static void apply_environment(enum activation activation)
{
    if (own->relocatable)
        environment_take(own->root ? TAKE_OTHERS : TAKE_OTHERS | TAKE_LISTS);
    for (size_t i = stack.count; i-- > 0;)
        environment_apply(&stack.confs[i], activation);
    /* The lists of another root are the image's, not the caller's. */
    if (own->relocatable && own->root)
        environment_take(TAKE_LISTS);
    environment_keep_venv(own, place.invoked);
    stack_pin(&stack, &place);
    if (activation == ACTIVATION_FORCED)
        environment_join_venv(place.invoked);
}

/* Looked up only for a stack that has something to activate; most have not. */
static enum activation find_activation(void)
{
    for (size_t i = 0; i < stack.count; i++)
        for (size_t k = 0; k < stack.confs[i].env_count; k++)
            if (stack.confs[i].env[k].activates)
                return environment_activation(place.invoked);
    return ACTIVATION_OFF;
}

/* Says on a terminal, in one line, that this node has not the graphics processors that the stack is
 * made for; the program runs in any case. */
static void warn_of_gpu(void)
{
    /* The file that a loaded driver makes, whatever number of devices it has. */
    static const char *const kinds[][2] = {{"NVIDIA", "/dev/nvidiactl"}, {"AMD", "/dev/kfd"}};
    if (own->gpu >= 0 && access(kinds[own->gpu][1], F_OK) != 0 && isatty(STDERR_FILENO))
        warn("%s is made for graphics processors of %s, and this node has none", own->name,
             kinds[own->gpu][0]);
}

/* The runtime that launch.conf names, unless the user names another one. */
static bool choose_runtime(int *runtime)
{
    const char *wish = getenv("TYKKY_RUNTIME");
    *runtime = wish && *wish ? position(runtime_names, wish) : own->runtime;
    if (*runtime >= 0)
        return true;
    return fail("there is no runtime '%.64s', which the variable TYKKY_RUNTIME asks for\n"
                "set it to native, apptainer or auto, or unset it",
                wish);
}

static bool launch_native(enum activation activation, char **argv)
{
    bool user_namespace = false;
    if (own->relocatable)
        apptainer_forget();
    if (!extra_add_of_apptainer(&stack) || !stack_enter(&stack, &user_namespace))
        return false;
    apply_environment(activation);
    /* In a user namespace set-user-id programs gain nothing anyway. Root keeps them: it may go on
     * as another user, for whom they work. */
    if (user_namespace)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return program_execute(&place, own, argv);
}

static bool launch_with(int runtime, enum activation activation, char **argv)
{
    bool in_container = runtime == RUNTIME_APPTAINER;
    if (!in_container && launch_native(activation, argv))
        return true;
    /* Where the node forbids the native way, apptainer may have a way of its own. */
    if (!in_container && (runtime != RUNTIME_AUTO || problem.status != STATUS_LAUNCHER))
        return false;
    apply_environment(activation);
    return apptainer_execute(&stack, &place, argv);
}

static bool launch(char **argv)
{
    int runtime;

    if (!place_find(&place, argv) || !stack_read(&stack, &place) ||
        !place_check(&place, own->prefix) || !choose_runtime(&runtime))
        return false;
    if (inside_this_stack(&stack))
        return program_execute(&place, own, argv);
    if (!inside_check_others(&stack))
        return false;
    if (!stack_find(&stack) || !extra_add(&stack))
        return inside_explain(&stack);
    warn_of_gpu();
    warn_of_mpi(&stack);
    /* Before the image covers the prefix, where it would be seen as a virtual environment. */
    enum activation activation = find_activation();
    return launch_with(runtime, activation, argv) || layers_explain(&stack) ||
           inside_explain(&stack);
}

int main(int argc, char **argv)
{
    if (argc < 1)
        return STATUS_LAUNCHER;
    hold_stdio();
    title_remember(argv);
    if (!launch(argv))
        problem_print();
    return problem.status;
}

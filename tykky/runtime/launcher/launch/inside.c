#define _GNU_SOURCE
#include <string.h>

#include "program.h"

/* By the names in launch.conf: from inside, the files may be out of sight. */
static bool is_own_image(const struct stack *stack, const char *source)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct conf *conf = &stack->confs[i];
        if (conf->root && strcmp(conf->root, source) == 0)
            return true;
        for (size_t k = 0; k < conf->mount_count; k++)
            if ((conf->mounts[k].kind == MOUNT_IMAGE || conf->mounts[k].kind == MOUNT_LAYER) &&
                strcmp(install_file(conf->prefix, "images", conf->mounts[k].source), source) == 0)
                return true;
    }
    return false;
}

/* Whether it is a mount of this stack (`own`), or of another. Ours are known by their type and
 * their source: the image, or for a root, the prefix. */
static bool matches(const struct stack *stack, bool own, const char *type, const char *source)
{
    if (strcmp(type, "fuse.squashfuse") == 0)
        return is_own_image(stack, source) == own;
    return own && strcmp(type, "tmpfs") == 0 && strcmp(stack->confs[0].prefix, source) == 0;
}

/* The source of such a mount, or NULL. */
static const char *find_mount(const struct stack *stack, bool own)
{
    char *lines = NULL, *table = read_whole("/proc/self/mountinfo");
    for (char *line = strtok_r(table, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        char *fields = strstr(line, " - "), *words = NULL;
        char *type = fields ? strtok_r(fields + 3, " ", &words) : NULL;
        char *source = type ? strtok_r(NULL, " ", &words) : NULL;
        if (source && octal_decode(source) && matches(stack, own, type, source))
            return source;
    }
    return NULL;
}

bool inside_this_stack(const struct stack *stack)
{
    const char *container = apptainer_around();
    return (stays_outside(&stack->confs[0]) && find_mount(stack, true)) ||
           (container && strcmp(container, stack->confs[0].prefix) == 0);
}

const char *inside_other(const struct stack *stack)
{
    const char *source = find_mount(stack, false);
    return source ? source : apptainer_around();
}

bool inside_check_others(const struct stack *stack)
{
    const char *other = stack->confs[0].refuse_other_stacks ? inside_other(stack) : NULL;
    return !other || fail("%s was called from inside another stack, the one of %.255s\n"
                          "call it from a shell outside; the two do not work together",
                          stack->confs[0].name, other);
}

bool inside_explain(const struct stack *stack)
{
    const char *other = problem.out_of_sight ? inside_other(stack) : NULL;
    return other && remedy("this is inside another stack, the one of %.255s, where it cannot be "
                           "seen: call %s from a shell outside",
                           other, stack->confs[0].name);
}

#define _GNU_SOURCE
#include <string.h>

#include "program.h"

/* A line of the mount table. Ours are known by their type and their source: the image, or for a
 * root, the prefix. */
struct mounted {
    char *next;
    const char *type, *source;
};

static bool read_next(struct mounted *mounted)
{
    for (char *line; (line = strsep(&mounted->next, "\n"));) {
        char *fields = strstr(line, " - "), *words = NULL;
        mounted->type = fields ? strtok_r(fields + 3, " ", &words) : NULL;
        char *source = mounted->type ? strtok_r(NULL, " ", &words) : NULL;
        mounted->source = source;
        if (source && octal_decode(source))
            return true;
    }
    return false;
}

static bool is_mounted(const char *type, const char *source)
{
    struct mounted mounted = {.next = read_whole("/proc/self/mountinfo")};
    while (read_next(&mounted))
        if (strcmp(mounted.type, type) == 0 && strcmp(mounted.source, source) == 0)
            return true;
    return false;
}

/* The file of the image, if the mount is one. By the names in launch.conf: from inside, the files
 * may be out of sight. */
static const char *file_of(const struct conf *conf, size_t number)
{
    const struct mount *mount = &conf->mounts[number];
    return is_image(mount) ? install_file(conf->prefix, "images", mount->source) : NULL;
}

static bool is_own_image(const struct stack *stack, const char *source)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct conf *conf = &stack->confs[i];
        if (conf->root && strcmp(conf->root, source) == 0)
            return true;
        for (size_t k = 0; k < conf->mount_count; k++) {
            const char *file = file_of(conf, k);
            if (file && strcmp(file, source) == 0)
                return true;
        }
    }
    return false;
}

/* Whether all of it is mounted: in another generation, and in the stack that it extends, some of
 * its images are, without its layers. */
static bool is_entered(const struct stack *stack)
{
    bool entered = stack->confs[0].root && is_mounted("tmpfs", stack->confs[0].prefix);
    if (stack->confs[0].root && !entered)
        return false;
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].mount_count; k++) {
            const char *file = file_of(&stack->confs[i], k);
            if (file && !(entered = is_mounted("fuse.squashfuse", file)))
                return false;
        }
    return entered;
}

bool inside_this_stack(const struct stack *stack)
{
    const char *container = apptainer_around();
    return (stays_outside(&stack->confs[0]) && is_entered(stack)) ||
           (container && strcmp(container, stack->confs[0].prefix) == 0);
}

const char *inside_other(const struct stack *stack)
{
    struct mounted mounted = {.next = read_whole("/proc/self/mountinfo")};
    while (read_next(&mounted))
        if (strcmp(mounted.type, "fuse.squashfuse") == 0 && !is_own_image(stack, mounted.source))
            return mounted.source;
    return apptainer_around();
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

#define _GNU_SOURCE
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/octal.h"
#include "apptainer.h"

/* By the names in launch.conf: from inside, the files may be out of sight. */
static bool is_own_image(const struct stack *stack, const char *source)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct conf *conf = &stack->confs[i];
        char file[PATH_MAX];
        if (conf->root && strcmp(conf->root, source) == 0)
            return true;
        for (size_t k = 0; k < conf->mount_count; k++)
            if (conf->mounts[k].kind == MOUNT_IMAGE &&
                stack_image_file(conf, &conf->mounts[k], file) && strcmp(file, source) == 0)
                return true;
    }
    return false;
}

enum search { OWN, OTHERS };

/* A mount of ours is known by its type and its source: the image, or for a root, the prefix. */
static bool matches(const struct stack *stack, enum search search, const char *type,
                    const char *source)
{
    bool image = strcmp(type, "fuse.squashfuse") == 0;
    if (search == OTHERS)
        return image && !is_own_image(stack, source);
    return (image && is_own_image(stack, source)) ||
           (strcmp(type, "tmpfs") == 0 && strcmp(stack->confs[0].prefix, source) == 0);
}

/* Whether there is such a mount; its source is copied to `name`. */
static bool find_mount(const struct stack *stack, enum search search, char *name, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *table = fopen("/proc/self/mountinfo", "re");
    while (table && !found && getline(&line, &room, table) > 0) {
        char *fields = strstr(line, " - "), *save = NULL;
        char *type = fields ? strtok_r(fields + 3, " ", &save) : NULL;
        char *source = type ? strtok_r(NULL, " \n", &save) : NULL;
        found = source && octal_decode(source) && matches(stack, search, type, source);
        if (found)
            snprintf(name, size, "%s", source);
    }
    free(line);
    if (table)
        fclose(table);
    return found;
}

bool inside_this_stack(const struct stack *stack)
{
    char name[8];
    return stays_outside(&stack->confs[0]) && find_mount(stack, OWN, name, sizeof name);
}

/* The stack around this process, by its image or its prefix. */
static bool find_other(const struct stack *stack, char *name, size_t size)
{
    const char *prefix = apptainer_around();
    if (find_mount(stack, OTHERS, name, size))
        return true;
    return prefix && snprintf(name, size, "%s", prefix) > 0;
}

bool inside_other(const struct stack *stack)
{
    char name[8];
    return find_other(stack, name, sizeof name);
}

bool inside_check_others(const struct stack *stack, struct problem *problem)
{
    char name[256];
    if (!stack->confs[0].refuse_other_stacks || !find_other(stack, name, sizeof name))
        return true;
    cause(problem, "%s was called from inside another stack, the one of %s", stack->confs[0].name,
          name);
    return remedy(problem, "call it from a shell outside; the two do not work together");
}

bool inside_explain(const struct stack *stack, struct problem *problem)
{
    char name[256];
    if (problem->out_of_sight && find_other(stack, name, sizeof name))
        remedy(problem,
               "this is inside another stack, the one of %s, where it cannot be seen: call %s from "
               "a shell outside",
               name, stack->confs[0].name);
    return false;
}

#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

static bool is_read(const struct stack *stack, const char *prefix)
{
    for (size_t i = 0; i < stack->count; i++)
        if (strcmp(stack->confs[i].prefix, prefix) == 0)
            return true;
    return false;
}

static bool read_need(struct stack *stack, const struct conf *by, const char *prefix,
                      struct problem *problem)
{
    if (stack->count == MAX_INSTALLS) {
        cause(problem, "%s: it needs more than %d installs", stack->confs[0].file, MAX_INSTALLS);
        return remedy(problem, "put the packages of some of them into one stack");
    }
    size_t size = strlen(prefix) + sizeof "/" CONF_DIRECTORY "/" CONF_NAME;
    char *file = malloc(size); /* conf.file points to it as long as the launcher lives */
    if (!file) {
        cause(problem, "no memory to read the stack %s", by->name);
        return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
    }
    snprintf(file, size, "%s/" CONF_DIRECTORY "/" CONF_NAME, prefix);
    struct conf *conf = &stack->confs[stack->count];
    if (!conf_read(conf, file, problem)) {
        if (!conf->text)
            remedy(problem, "%s needs the install at %s; install that again", by->name, prefix);
        return false;
    }
    if (strcmp(conf->prefix, prefix) != 0) {
        cause(problem, "%s: the prefix is %s, not where the file lies", file, conf->prefix);
        return remedy(problem, "install the stack %s again", conf->name);
    }
    stack->count++;
    return true;
}

bool stack_read(struct stack *stack, const char *file, struct problem *problem)
{
    if (!conf_read(&stack->confs[0], file, problem))
        return false;
    stack->count = 1;
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].need_count; k++) {
            const char *prefix = stack->confs[i].needs[k];
            if (!is_read(stack, prefix) && !read_need(stack, &stack->confs[i], prefix, problem))
                return false;
        }
    return true;
}

bool stack_find_images(struct stack *stack, struct problem *problem)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct conf *conf = &stack->confs[i];
        struct image *image = &stack->images[i];
        image->target = conf->prefix;
        if (snprintf(image->file, sizeof image->file, "%s/" CONF_DIRECTORY "/%s", conf->prefix,
                     conf->image) >= (int)sizeof image->file) {
            cause(problem, "the path of the image of %s is too long", conf->name);
            return remedy(problem, "install the stack at a shorter path");
        }
        if (stat(image->file, &image->status) != 0)
            return image_missing(image->file, problem);
    }
    return true;
}

bool stack_check_images(const struct stack *stack, struct problem *problem)
{
    for (size_t i = 0; i < stack->count; i++)
        if (!image_check(stack->images[i].file, stack->confs[i].image_size, problem))
            return false;
    return true;
}

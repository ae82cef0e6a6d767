#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_values.h"
#include "image.h"
#include "relocate.h"

static bool no_memory(const char *name, struct problem *problem)
{
    cause(problem, "no memory to read the stack %s", name);
    return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
}

static bool too_long(const char *name, struct problem *problem)
{
    cause(problem, "a path of the stack %s is too long", name);
    return remedy(problem, "install the stack at a shorter path");
}

/* --- the install and its needs ---------------------------------------------------------------- */

static bool is_read(const struct stack *stack, const char *prefix)
{
    for (size_t i = 0; i < stack->count; i++)
        if (strcmp(stack->confs[i].prefix, prefix) == 0)
            return true;
    return false;
}

static bool check_need(const struct stack *stack, const struct conf *conf, const char *prefix,
                       struct problem *problem)
{
    const char *root = stack->confs[0].root;
    if (strcmp(conf->prefix, prefix) != 0) {
        cause(problem, "%s: the prefix is %s, not where the file lies", conf->file, conf->prefix);
        return remedy(problem, "install the stack %s again", conf->name);
    }
    /* One that is built on top of it has the same root. */
    if ((conf->root && !(root && strcmp(root, conf->root) == 0)) || !conf->image) {
        cause(problem, "%s is entered as a root of its own, so no other stack can need it",
              conf->name);
        return remedy(problem, "take it out of the 'needs' of the recipe");
    }
    return true;
}

static bool read_need(struct stack *stack, const char *by, const char *prefix,
                      struct problem *problem)
{
    if (stack->count == MAX_INSTALLS) {
        cause(problem, "%s: it needs more than %d installs", stack->confs[0].file, MAX_INSTALLS);
        return remedy(problem, "put the packages of some of them into one stack");
    }
    size_t size = strlen(prefix) + sizeof "/" CONF_DIRECTORY "/" CONF_NAME;
    char *file = malloc(size); /* conf.file points to it as long as the launcher lives */
    if (!file)
        return no_memory(by, problem);
    snprintf(file, size, "%s/" CONF_DIRECTORY "/" CONF_NAME, prefix);
    struct conf *conf = &stack->confs[stack->count];
    if (!conf_read(conf, file, problem)) {
        if (!conf->text)
            remedy(problem, "%s needs the install at %s; install that again", by, prefix);
        return false;
    }
    stack->count++;
    return relocate(conf, prefix, problem) && check_need(stack, conf, prefix, problem);
}

bool stack_read(struct stack *stack, const struct place *place, struct problem *problem)
{
    if (!conf_read(&stack->confs[0], place->conf, problem) ||
        !relocate(&stack->confs[0], place->prefix, problem))
        return false;
    stack->count = 1;
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].needs.count; k++) {
            const char *prefix = stack->confs[i].needs.items[k];
            if (!is_read(stack, prefix) && !read_need(stack, stack->confs[i].name, prefix, problem))
                return false;
        }
    return true;
}

/* --- images ----------------------------------------------------------------------------------- */

static bool add_root(struct stack *stack, struct problem *problem)
{
    const struct conf *conf = &stack->confs[0];
    struct image *image = &stack->images[0];
    if (snprintf(image->file, sizeof image->file, "%s", conf->root) >= (int)sizeof image->file)
        return too_long(conf->name, problem);
    if (stat(image->file, &image->status) != 0)
        return image_missing(image->file, problem);
    if (S_ISDIR(image->status.st_mode)) {
        stack->root_directory = conf->root;
        return true;
    }
    image->target = "/";
    image->offset = conf->root_offset;
    image->size = conf->root_size;
    stack->image_count = 1;
    return true;
}

bool stack_image_file(const struct conf *conf, char *file)
{
    return snprintf(file, PATH_MAX, "%s/" CONF_DIRECTORY "/%s", conf->prefix, conf->image) <
           PATH_MAX;
}

static bool add_image(struct stack *stack, const struct conf *conf, struct problem *problem)
{
    struct image *image = &stack->images[stack->image_count++];
    image->target = conf->target;
    image->size = conf->image_size;
    if (!stack_image_file(conf, image->file))
        return too_long(conf->name, problem);
    return stat(image->file, &image->status) == 0 || image_missing(image->file, problem);
}

/* --- binds ------------------------------------------------------------------------------------ */

/* The value of the variable that the path begins with, and its rest. */
static bool expand(const struct conf *conf, const char **path, bool *known, struct problem *problem)
{
    *known = true;
    if ((*path)[0] != '$')
        return true;
    size_t length = strcspn(*path + 1, "/");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, *path + 1);
    const char *value = getenv(name), *rest = *path + 1 + length;
    *known = value && is_absolute_path(value);
    if (!*known)
        return true;
    size_t size = strlen(value) + strlen(rest) + 1;
    char *whole = malloc(size);
    if (!whole)
        return no_memory(conf->name, problem);
    snprintf(whole, size, "%s%s", value, rest);
    *path = whole;
    return true;
}

/* Whether a bind before number `count` brings this path to its own place already. */
static bool is_bound(const struct conf *conf, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        const struct bind *bind = &conf->binds[i];
        size_t length = strlen(bind->source);
        if (strcmp(bind->source, bind->target) == 0 && strncmp(path, bind->source, length) == 0 &&
            (path[length] == '/' || path[length] == '\0') && access(bind->source, F_OK) == 0)
            return true;
    }
    return false;
}

static bool expand_binds(struct conf *conf, struct problem *problem)
{
    size_t kept = 0;
    for (size_t i = 0; i < conf->bind_count; i++) {
        struct bind *bind = &conf->binds[i];
        bool source_known, target_known;
        bind->if_missing = bind->optional && strcmp(bind->source, "$PWD") == 0;
        if (!expand(conf, &bind->source, &source_known, problem) ||
            !expand(conf, &bind->target, &target_known, problem))
            return false;
        /* Commands in all directories that are there anyway share one namespace. */
        if (source_known && bind->if_missing && is_bound(conf, kept, bind->source))
            continue;
        if (source_known && target_known) {
            conf->binds[kept++] = *bind;
        } else if (!bind->optional) {
            cause(problem, "%s: the variable in 'bind %s %s' has no path", conf->file, bind->source,
                  bind->target);
            return remedy(problem, "set it to an absolute path");
        }
    }
    conf->bind_count = kept;
    return true;
}

bool stack_find(struct stack *stack, struct problem *problem)
{
    if (stack->confs[0].root && !add_root(stack, problem))
        return false;
    for (size_t i = 0; i < stack->count; i++) {
        if (stack->confs[i].image && !add_image(stack, &stack->confs[i], problem))
            return false;
        if (!expand_binds(&stack->confs[i], problem))
            return false;
    }
    return true;
}

bool stack_check_images(const struct stack *stack, struct problem *problem)
{
    for (size_t i = 0; i < stack->image_count; i++) {
        const struct image *image = &stack->images[i];
        if (!image_check(image->file, image->size, image->offset, problem))
            return false;
    }
    return true;
}

bool stack_stays_outside(const struct stack *stack)
{
    const struct conf *own = &stack->confs[0];
    return !own->image || own->target != own->prefix;
}

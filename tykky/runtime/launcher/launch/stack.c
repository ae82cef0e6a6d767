#include "stack.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_values.h"
#include "image.h"
#include "pins.h"
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

/* Its number; the count if it is none of them. */
static size_t find_read(const struct stack *stack, const char *prefix)
{
    size_t i = 0;
    while (i < stack->count && strcmp(stack->confs[i].prefix, prefix) != 0)
        i++;
    return i;
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
    if ((conf->root && !(root && strcmp(root, conf->root) == 0)) || !conf_has_image(conf, NULL)) {
        cause(problem, "%s is entered as a root of its own, so no other stack can need it",
              conf->name);
        return remedy(problem, "take it out of the 'needs' of the recipe");
    }
    return true;
}

static bool check_generation(const struct stack *stack, const struct conf *conf,
                             const struct mount *need, struct problem *problem)
{
    if (strcmp(conf->generation, need->target) == 0)
        return true;
    cause(problem, "%s needs generation %s of %s, of which generation %s is in use with it",
          stack->confs[0].name, need->target, conf->name, conf->generation);
    return remedy(problem, "install %s again, so that all of it is made for one generation",
                  stack->confs[0].name);
}

/* conf.file points to it as long as the launcher lives. */
static char *conf_file(const char *prefix, const char *directory, const char *generation)
{
    char name[NAME_MAX], file[PATH_MAX];
    bool fits = snprintf(name, sizeof name, "%s%s" CONF_NAME, generation, *generation ? "/" : "") <
                (int)sizeof name;
    return fits && place_file(file, prefix, directory, name) ? strdup(file) : NULL;
}

static bool read_need(struct stack *stack, const char *by, const struct mount *need,
                      struct problem *problem)
{
    if (stack->count == MAX_INSTALLS) {
        cause(problem, "%s: it needs more than %d installs", stack->confs[0].file, MAX_INSTALLS);
        return remedy(problem, "put the packages of some of them into one stack");
    }
    const char *file = conf_file(need->source, "generations", need->target);
    if (!file)
        return too_long(by, problem);
    struct conf *conf = &stack->confs[stack->count];
    if (!conf_read(conf, file, problem)) {
        if (conf->error)
            remedy(problem, "%s needs generation %s of the install at %s; install %s again", by,
                   need->target, need->source, by);
        return false;
    }
    stack->count++;
    return relocate(conf, need->source, need->target, problem) &&
           check_need(stack, conf, need->source, problem);
}

/* The generation that is pinned; if that is gone, the current one. */
static bool read_own(struct stack *stack, const struct place *place, struct problem *problem)
{
    struct conf *conf = &stack->confs[0];
    const char *pin = pins_find(place->prefix), *file;
    if (pin && is_generation(pin)) {
        if (!(file = conf_file(place->prefix, "generations", pin)))
            return too_long(pin, problem);
        if (conf_read(conf, file, problem))
            return relocate(conf, place->prefix, pin, problem);
        if (conf->error != ENOENT && conf->error != ENOTDIR)
            return false;
    }
    if (!(file = conf_file(place->prefix, "current", "")))
        return too_long("at this place", problem);
    if (!conf_read(conf, file, problem))
        return false;
    if (pin)
        warn("generation %s of %s is not there any more; the current one is used", pin, conf->name);
    return relocate(conf, place->prefix, NULL, problem);
}

bool stack_read(struct stack *stack, const struct place *place, struct problem *problem)
{
    if (!read_own(stack, place, problem))
        return false;
    stack->count = 1;
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].mount_count; k++) {
            const struct mount *need = &stack->confs[i].mounts[k];
            if (need->kind != MOUNT_NEED)
                continue;
            size_t known = find_read(stack, need->source);
            if (known < stack->count ? !check_generation(stack, &stack->confs[known], need, problem)
                                     : !read_need(stack, stack->confs[i].name, need, problem))
                return false;
        }
    return true;
}

/* --- images ----------------------------------------------------------------------------------- */

static bool add_root(struct stack *stack, struct problem *problem)
{
    const struct conf *conf = &stack->confs[0];
    size_t number;
    if (!conf->root)
        return true;
    if (!stack_add_image(stack, conf->root, "/", &number, problem))
        return false;
    if (S_ISDIR(stack->images[number].status.st_mode)) {
        stack->root_directory = conf->root;
        stack->image_count = number; /* it is none */
    } else {
        stack->images[number].offset = conf->root_offset;
        stack->images[number].size = conf->root_size;
    }
    return true;
}

bool stack_image_file(const struct conf *conf, const struct mount *mount, char *file)
{
    return place_file(file, conf->prefix, "images", mount->source);
}

bool stack_add_image(struct stack *stack, const char *file, const char *target, size_t *number,
                     struct problem *problem)
{
    struct image *image = &stack->images[stack->image_count];
    if (stack->image_count == MAX_IMAGES) {
        cause(problem, "%s is one image more than the %d that can be mounted", file, MAX_IMAGES);
        return remedy(problem, "put the packages of some of them into one stack");
    }
    if (snprintf(image->file, sizeof image->file, "%s", file) >= (int)sizeof image->file)
        return too_long(stack->confs[0].name, problem);
    if (stat(image->file, &image->status) != 0)
        return image_missing(image->file, problem);
    image->target = target;
    image->offset = 0;
    image->size = (uint64_t)image->status.st_size;
    *number = stack->image_count++;
    return true;
}

static bool add_image(struct stack *stack, const struct conf *conf, struct mount *mount,
                      struct problem *problem)
{
    char file[PATH_MAX];
    if (!stack_image_file(conf, mount, file))
        return too_long(conf->name, problem);
    if (!stack_add_image(stack, file, mount->target, &mount->image, problem))
        return false;
    stack->images[mount->image].size = mount->size;
    stack->mounts[stack->mount_count++] = *mount;
    return true;
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

/* Whether a bind before brings this path to its own place already. */
static bool is_bound(const struct stack *stack, const char *path)
{
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *bind = &stack->mounts[i];
        if (is_bind(bind) && strcmp(bind->source, bind->target) == 0 &&
            path_is_in(path, bind->source) && access(bind->source, F_OK) == 0)
            return true;
    }
    return false;
}

static bool add_bind(struct stack *stack, const struct conf *conf, struct mount bind,
                     struct problem *problem)
{
    bool source_known, target_known, optional = bind.kind == MOUNT_TRY_BIND;
    bind.if_missing = optional && strcmp(bind.source, "$PWD") == 0;
    if (!expand(conf, &bind.source, &source_known, problem) ||
        !expand(conf, &bind.target, &target_known, problem))
        return false;
    if (!(source_known && target_known)) {
        if (optional)
            return true;
        cause(problem, "%s: the variable in 'bind %s %s' has no path", conf->file, bind.source,
              bind.target);
        return remedy(problem, "set it to an absolute path");
    }
    /* Commands in all directories that are there anyway share one namespace. */
    if (!bind.if_missing || !is_bound(stack, bind.source))
        stack->mounts[stack->mount_count++] = bind;
    return true;
}

/* --- all mounts ------------------------------------------------------------------------------- */

static bool add_mounts(struct stack *stack, size_t number, bool *done, struct problem *problem);

static bool add_mount(struct stack *stack, const struct conf *conf, struct mount *mount, bool *done,
                      struct problem *problem)
{
    switch (mount->kind) {
    case MOUNT_NEED: return add_mounts(stack, find_read(stack, mount->source), done, problem);
    case MOUNT_IMAGE: return add_image(stack, conf, mount, problem);
    default: return add_bind(stack, conf, *mount, problem);
    }
}

/* Those of an install that is needed come where it is named first. */
static bool add_mounts(struct stack *stack, size_t number, bool *done, struct problem *problem)
{
    struct conf *conf = &stack->confs[number];
    if (done[number])
        return true;
    done[number] = true;
    for (size_t i = 0; i < conf->mount_count; i++)
        if (!add_mount(stack, conf, &conf->mounts[i], done, problem))
            return false;
    return true;
}

bool stack_find(struct stack *stack, struct problem *problem)
{
    bool done[MAX_INSTALLS] = {false};
    size_t most = 1;
    for (size_t i = 0; i < stack->count; i++)
        most += stack->confs[i].mount_count;
    stack->mounts = calloc(most, sizeof *stack->mounts);
    if (!stack->mounts)
        return no_memory(stack->confs[0].name, problem);
    return add_root(stack, problem) && add_mounts(stack, 0, done, problem);
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

bool stays_outside(const struct conf *conf)
{
    return !conf_has_image(conf, conf->prefix);
}

bool stack_pin(const struct stack *stack, const struct place *place, struct problem *problem)
{
    for (size_t i = stack->count; i-- > 0;) {
        const struct conf *conf = &stack->confs[i];
        if (stays_outside(conf) &&
            !pins_add(i == 0 ? place->prefix : conf->prefix, conf->generation, problem))
            return false;
    }
    return true;
}

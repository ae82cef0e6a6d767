#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack.h"

/* --- the install and its needs ---------------------------------------------------------------- */

/* Its number; the count if it is none of them. */
static size_t find_read(const struct stack *stack, const char *prefix)
{
    size_t i = 0;
    while (i < stack->count && strcmp(stack->confs[i].prefix, prefix) != 0)
        i++;
    return i;
}

static bool check_need(const struct stack *stack, const struct conf *conf, const char *prefix)
{
    const char *root = stack->confs[0].root;
    if (strcmp(conf->prefix, prefix) != 0) {
        fail("%s: the prefix is %s, not where the file lies", conf->file, conf->prefix);
        return remedy("install the stack %s again", conf->name);
    }
    /* One that is built on top of it has the same root. */
    if ((conf->root && !(root && strcmp(root, conf->root) == 0)) || !conf_has_image(conf, NULL))
        return fail("%s is entered as a root of its own, so no other stack can need it\n"
                    "take it out of the 'needs' of the recipe",
                    conf->name);
    return true;
}

static bool check_generation(const struct stack *stack, const struct conf *conf,
                             const struct mount *need)
{
    if (strcmp(conf->generation, need->target) == 0)
        return true;
    fail("%s needs generation %s of %s, of which generation %s is in use with it",
         stack->confs[0].name, need->target, conf->name, conf->generation);
    return remedy("install %s again, so that all of it is made for one generation",
                  stack->confs[0].name);
}

/* Whether the generation is the one that was needed, or another has got its number. */
static bool check_images(const struct stack *stack, const struct conf *conf,
                         const struct mount *need)
{
    const char *images = "";
    for (size_t i = 0; i < conf->mount_count; i++)
        if (is_image(&conf->mounts[i]))
            images = format("%s%s%s", images, *images ? "," : "", conf->mounts[i].source);
    if (!need->images || strcmp(images, need->images) == 0)
        return true;
    fail("%s needs another generation %s of %s than there is now: it was deleted, and installed "
         "anew",
         stack->confs[0].name, need->target, conf->name);
    return remedy("install %s again", stack->confs[0].name);
}

static bool read_conf(struct conf *conf, const char *prefix, const char *generation)
{
    const char *directory = format("generations/%s", generation ? generation : "");
    const char *file = install_file(prefix, generation ? directory : "current", CONF_NAME);
    if (!conf_read(conf, file))
        return false;
    conf_relocate(conf, prefix, generation);
    return true;
}

static bool read_need(struct stack *stack, const char *by, const struct mount *need)
{
    if (stack->count == MAX_INSTALLS)
        return fail("%s: it needs more than %d installs\n"
                    "put the packages of some of them into one stack",
                    stack->confs[0].file, MAX_INSTALLS);
    struct conf *conf = &stack->confs[stack->count];
    if (!read_conf(conf, need->source, need->target)) {
        if (conf->error)
            remedy("%s needs generation %s of the install at %s, which its owner may have deleted: "
                   "'tykky update %s' goes on from the one that is there now",
                   by, need->target, need->source, by);
        return false;
    }
    stack->count++;
    return check_need(stack, conf, need->source);
}

/* The generation that is pinned; if that is gone, the current one. */
static bool read_own(struct stack *stack, const struct place *place)
{
    struct conf *conf = &stack->confs[0];
    const char *pin = pins_find(place->prefix);
    if (pin && is_generation(pin)) {
        if (read_conf(conf, place->prefix, pin))
            return true;
        if (conf->error != ENOENT && conf->error != ENOTDIR)
            return false;
    }
    if (!read_conf(conf, place->prefix, NULL))
        return false;
    if (pin)
        warn("generation %s of %s is not there any more; the current one is used", pin, conf->name);
    return true;
}

bool stack_read(struct stack *stack, const struct place *place)
{
    if (!read_own(stack, place))
        return false;
    stack->count = 1;
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].mount_count; k++) {
            const struct mount *need = &stack->confs[i].mounts[k];
            if (need->kind != MOUNT_NEED)
                continue;
            size_t known = find_read(stack, need->source);
            if (known < stack->count ? !check_generation(stack, &stack->confs[known], need)
                                     : !read_need(stack, stack->confs[i].name, need))
                return false;
            if (!check_images(stack, &stack->confs[known], need))
                return false;
        }
    return true;
}

/* --- images ----------------------------------------------------------------------------------- */

struct image *stack_add_image(struct stack *stack, const char *file, const char *target)
{
    struct image *image = &stack->images[stack->image_count];
    if (stack->image_count == MAX_IMAGES) {
        fail("%s is one image more than the %d that can be mounted\n"
             "put the packages of some of them into one stack",
             file, MAX_IMAGES);
        return NULL;
    }
    *image = (struct image){.file = file, .target = target};
    if (stat(file, &image->status) != 0) {
        image_missing(file);
        return NULL;
    }
    image->size = (uint64_t)image->status.st_size;
    stack->image_count++;
    return image;
}

void stack_insert(struct stack *stack, size_t at, const struct mount *mount)
{
    struct mount *place = &stack->mounts[at];
    memmove(place + 1, place, (stack->mount_count++ - at) * sizeof *place);
    *place = *mount;
}

static bool add_root(struct stack *stack)
{
    const struct conf *conf = &stack->confs[0];
    struct image *image = conf->root ? stack_add_image(stack, conf->root, "/") : NULL;
    if (!image)
        return !conf->root;
    if (S_ISDIR(image->status.st_mode)) {
        stack->root_directory = conf->root;
        stack->image_count--; /* it is none */
    }
    image->offset = conf->root_offset;
    image->size = conf->root_size;
    return true;
}

/* Where a mount goes: behind all others. A layer becomes a part of what it lies on and goes right
 * behind that, so that what was mounted in there before (a bind of a need) stays. 0: the last mount
 * at its path is no image, or there is none. */
static size_t find_position(const struct stack *stack, const struct mount *mount)
{
    size_t i = stack->mount_count;
    if (mount->kind != MOUNT_LAYER)
        return i;
    while (i > 0 && strcmp(stack->mounts[i - 1].target, mount->target) != 0)
        i--;
    return i > 0 && is_bind(&stack->mounts[i - 1]) ? 0 : i;
}

/* What extends another install is a layer for the image that was there, and for no other; or one on
 * such a layer. */
static bool check_below(const struct conf *conf, const struct mount *layer, const char *below)
{
    if (layer->kind != MOUNT_LAYER || !conf->extends || strcmp(conf->extends, below) == 0)
        return true;
    for (size_t i = 0; i < conf->mount_count; i++)
        if (conf->mounts[i].kind == MOUNT_LAYER && strcmp(conf->mounts[i].source, below) == 0)
            return true;
    fail("%s was made on top of another %s than there is now", conf->name, layer->target);
    return remedy("have it made anew: tykky update %s", conf->name);
}

static bool add_image(struct stack *stack, const struct conf *conf, struct mount *mount)
{
    size_t at = find_position(stack, mount);
    if (!at && mount->kind == MOUNT_LAYER)
        return fail("%s: there is no image under the layer %s\n"
                    "install the stack again",
                    conf->file, mount->source);
    if (at && !check_below(conf, mount, stack->mounts[at - 1].source))
        return false;
    const char *file = install_file(conf->prefix, "images", mount->source);
    struct image *image = stack_add_image(stack, file, mount->target);
    if (!image)
        return false;
    image->size = mount->size;
    mount->image = (size_t)(image - stack->images);
    stack_insert(stack, at, mount);
    return true;
}

/* --- binds ------------------------------------------------------------------------------------ */

/* Puts in the value of the variable that the path begins with; false if that is no path. */
static bool expand(const char **path)
{
    if ((*path)[0] != '$')
        return true;
    const char *rest = *path + strcspn(*path, "/");
    const char *value = getenv(format("%.*s", (int)(rest - *path) - 1, *path + 1));
    if (!value || !is_absolute_path(value))
        return false;
    *path = format("%s%s", value, rest);
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

/* Whether links to the programs of an install would lie over the programs: it was put in the place
 * of what its image masks, and so each would lead to itself. */
static bool hides_programs(const struct stack *stack, const struct conf *conf,
                           const struct mount *bind)
{
    for (size_t i = 0; conf->relocatable && i < stack->mount_count; i++)
        if (!is_bind(&stack->mounts[i]) && strcmp(stack->mounts[i].target, conf->prefix) == 0)
            return strcmp(bind->target, format("%s/bin", conf->prefix)) == 0;
    return false;
}

static bool add_bind(struct stack *stack, const struct conf *conf, struct mount *bind)
{
    if (hides_programs(stack, conf, bind))
        return true;
    bool optional = bind->kind == MOUNT_TRY_BIND;
    bind->if_missing = optional && strcmp(bind->source, "$PWD") == 0;
    if (!expand(&bind->source) || !expand(&bind->target))
        return optional || fail("%s: the variable in 'bind %s %s' has no path\n"
                                "set it to an absolute path",
                                conf->file, bind->source, bind->target);
    /* Commands in all directories that are there anyway share one namespace. */
    if (!bind->if_missing || !is_bound(stack, bind->source))
        stack->mounts[stack->mount_count++] = *bind;
    return true;
}

/* --- all mounts ------------------------------------------------------------------------------- */

/* Those of an install that is needed come where it is named first. */
static bool add_mounts(struct stack *stack, size_t number, bool *done)
{
    struct conf *conf = &stack->confs[number];
    if (done[number])
        return true;
    done[number] = true;
    for (size_t i = 0; i < conf->mount_count; i++) {
        struct mount *mount = &conf->mounts[i];
        if (mount->kind == MOUNT_NEED
                ? !add_mounts(stack, find_read(stack, mount->source), done)
                : !(is_bind(mount) ? add_bind : add_image)(stack, conf, mount))
            return false;
    }
    return true;
}

bool stack_find(struct stack *stack)
{
    bool done[MAX_INSTALLS] = {false};
    size_t most = 1;
    for (size_t i = 0; i < stack->count; i++)
        most += stack->confs[i].mount_count;
    stack->mounts = allocate(most, sizeof *stack->mounts);
    return add_root(stack) && add_mounts(stack, 0, done);
}

bool stack_check_images(const struct stack *stack)
{
    for (size_t i = 0; i < stack->image_count; i++)
        if (!image_check(&stack->images[i]))
            return false;
    return true;
}

bool stays_outside(const struct conf *conf)
{
    return !conf_has_image(conf, conf->prefix);
}

void stack_pin(const struct stack *stack, const struct place *place)
{
    for (size_t i = stack->count; i-- > 0;)
        if (stays_outside(&stack->confs[i]))
            pins_add(i == 0 ? place->prefix : stack->confs[i].prefix, stack->confs[i].generation);
}

#define _GNU_SOURCE
#include <string.h>

#include "mount.h"
#include "shared.h"

/* In the namespace that all commands of this user share, or else in one of its own. A working
 * directory that the user may not enter (sudo -u, in root's home) could not be entered again either,
 * and is kept only by who makes the namespace. */
bool stack_enter(const struct stack *stack, bool *user_namespace)
{
    static struct server servers[MAX_IMAGES];
    static struct directory directory;
    directory_save(&directory);
    switch (directory.closed ? IMPOSSIBLE : shared_enter(stack, user_namespace)) {
    case DONE: break;
    case FAILED: return false;
    default:
        if (!mount_prepare(servers, stack) || !mount_enter(servers, stack, user_namespace))
            return false;
    }
    if (!directory_restore(&directory))
        warn("you may not enter the working directory %s, and %s has a root of its own: it starts "
             "in / instead",
             directory.path, stack->confs[0].name);
    return true;
}

bool stack_has_layers(const struct stack *stack)
{
    for (size_t i = 0; i < stack->mount_count; i++)
        if (stack->mounts[i].kind == MOUNT_LAYER)
            return true;
    return false;
}

static void copy_image(struct stack *copy, const struct stack *stack, const struct mount *mount,
                       const char *target)
{
    struct image *image = &copy->images[copy->image_count];
    *image = stack->images[mount->image];
    image->target = target;
    copy->mounts[copy->mount_count] = *mount;
    copy->mounts[copy->mount_count].image = copy->image_count++;
    copy->mounts[copy->mount_count++].target = target;
}

/* The images alone, each with its layers at a path where it is in nobody's way: a hidden name among
 * the files of the images. In the stack they become binds from there. */
static void set_apart(struct stack *apart, struct stack *stack)
{
    size_t count = 0;
    const char *target = NULL;
    *apart = *stack;
    apart->confs[0].root = apart->root_directory = NULL;
    apart->image_count = apart->mount_count = 0;
    apart->mounts = allocate(stack->mount_count, sizeof *apart->mounts);
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        struct mount bind = {.kind = MOUNT_BIND, .target = mount->target, .read_only = true};
        if (mount->kind == MOUNT_IMAGE)
            target = install_file(stack->confs[0].prefix, "images", format(".%zu", i));
        if (is_image(mount))
            copy_image(apart, stack, mount, target);
        bind.source = target;
        if (mount->kind != MOUNT_LAYER)
            stack->mounts[count++] = is_bind(mount) ? *mount : bind;
    }
    stack->mount_count = count;
}

bool stack_join_layers(struct stack *stack, bool *user_namespace)
{
    static struct stack apart;
    set_apart(&apart, stack);
    return stack_enter(&apart, user_namespace);
}

bool layers_explain(const struct stack *stack)
{
    bool layered = false;
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].mount_count; k++)
            layered |= stack->confs[i].mounts[k].kind == MOUNT_LAYER;
    return layered && problem.forbidden &&
           remedy("layers need overlays of FUSE mounts in a user namespace, from Linux 5.11 on, in "
                  "either runtime: use a node that has them (see 'tykky doctor'), or have 'tykky "
                  "squash %s' make one image of them",
                  stack->confs[0].name);
}

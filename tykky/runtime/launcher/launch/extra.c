#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack.h"

/* The variable that is being read. */
struct wish {
    struct stack *stack;
    const char *variable;
    bool of_apptainer;
};

static bool refuse(const struct wish *wish, const char *what, const char *word)
{
    return fail("%s has '%.300s', %s\n"
                "write SOURCE:TARGET with absolute paths, SOURCE:TARGET:ro to protect it, "
                "IMAGE:TARGET:image-src=/ for an image, and commas between them; or unset it",
                wish->variable, word, what);
}

/* --- one entry -------------------------------------------------------------------------------- */

/* Ends the text at its first colon; what comes behind, or NULL. */
static char *split(char *text)
{
    char *colon = text ? strchr(text, ':') : NULL;
    if (!colon)
        return NULL;
    *colon = '\0';
    return colon + 1;
}

/* Takes out the slashes of a path that say nothing. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *from = path; *from; from++)
        if (*from != '/' || to == path || to[-1] != '/')
            *to++ = *from;
    if (to > path + 1 && to[-1] == '/')
        to--;
    *to = '\0';
}

static bool read_options(const struct wish *wish, const char *options, struct mount *mount)
{
    if (strcmp(options, "image-src=/") == 0)
        mount->kind = MOUNT_IMAGE;
    mount->read_only = strcmp(options, "ro") == 0;
    return !*options || mount->kind == MOUNT_IMAGE || mount->read_only ||
           strcmp(options, "rw") == 0 || refuse(wish, "an option that is not known", options);
}

/* Apptainer takes a source from the working directory on; the other variable never did. */
static bool read_entry(const struct wish *wish, char *text, struct mount *mount)
{
    while (wish->of_apptainer && isspace((unsigned char)*text))
        text++;
    char *target = split(text), *options = split(target);
    if (wish->of_apptainer && *text != '/') {
        char *real = realpath(text, NULL);
        text = real ? real : text;
    }
    target = target && *target ? target : text;
    tidy(text);
    tidy(target);
    *mount = (struct mount){.kind = MOUNT_BIND, .source = text, .target = target};
    if (!is_absolute_path(text) || !is_absolute_path(target))
        return refuse(wish, "which is no absolute path", is_absolute_path(text) ? target : text);
    return read_options(wish, options ? options : "", mount);
}

/* --- what it adds ----------------------------------------------------------------------------- */

static bool lies_below(const char *path, const char *directory)
{
    return strcmp(path, directory) != 0 && path_is_in(path, directory);
}

/* At the end, or before the first that lies below it, which it would cover. */
static void insert(struct stack *stack, const struct mount *mount)
{
    size_t at = 0;
    while (at < stack->mount_count && !lies_below(stack->mounts[at].target, mount->target))
        at++;
    stack_insert(stack, at, mount);
}

/* Of two for one place the first counts, and what the install cannot do without before any. */
static bool is_taken(const struct wish *wish, const char *target)
{
    const struct stack *stack = wish->stack;
    for (size_t i = 0; i < stack->mount_count; i++)
        if (strcmp(stack->mounts[i].target, target) == 0 && stack->mounts[i].kind != MOUNT_TRY_BIND)
            return true;
    return strcmp(target, "/") == 0;
}

/* Whether it can be bound. In another stack, which was given the same variable, the source may be
 * out of sight, and the target is there already. */
static bool find_source(const struct wish *wish, const struct mount *bind, bool *found)
{
    *found = access(bind->source, F_OK) == 0;
    if (*found || (access(bind->target, F_OK) == 0 && inside_other(wish->stack)))
        return true;
    fail("%s has '%.300s', which cannot be bound: %m", wish->variable, bind->source);
    problem.out_of_sight = true;
    return remedy("correct the variable, or unset it");
}

static bool add_entry(const struct wish *wish, char *text)
{
    struct stack *stack = wish->stack;
    struct mount mount;
    bool found = true;
    if (wish->of_apptainer && !text[strspn(text, " \t\n")])
        return true;
    if (!read_entry(wish, text, &mount))
        return false;
    if (is_taken(wish, mount.target))
        return true;
    if (mount.kind == MOUNT_IMAGE) {
        struct image *image = stack_add_image(stack, mount.source, mount.target);
        if (!image)
            return false;
        mount.image = (size_t)(image - stack->images);
    } else if (wish->of_apptainer && !find_source(wish, &mount, &found)) {
        return false;
    }
    /* Where all of the host is seen, that is there: no mounts of their own for those who ask. */
    bool there = mount.kind == MOUNT_BIND && !stack->confs[0].root && !mount.read_only &&
                 strcmp(mount.source, mount.target) == 0;
    if (found && !there)
        insert(stack, &mount);
    return true;
}

/* --- variables -------------------------------------------------------------------------------- */

static bool add_all(const struct wish *wish, const char *value)
{
    struct stack *stack = wish->stack;
    size_t count = stack->mount_count + 1;
    for (const char *c = value; *c; c++)
        count += *c == ',';
    stack->mounts = reallocate(stack->mounts, count, sizeof *stack->mounts);
    char *text = format("%s", value); /* entries point into it */
    char *save = NULL;
    for (char *entry = strtok_r(text, ",", &save); entry; entry = strtok_r(NULL, ",", &save))
        if (!add_entry(wish, entry))
            return false;
    return true;
}

bool extra_add(struct stack *stack)
{
    const struct wish wish = {.stack = stack, .variable = "CW_EXTRA_BIND_MOUNTS"};
    const char *value = getenv(wish.variable);
    return !stack->confs[0].relocatable || stack->confs[0].root || !value || add_all(&wish, value);
}

bool extra_add_of_apptainer(struct stack *stack)
{
    static const char *const names[][2] = {{"APPTAINER_BIND", "SINGULARITY_BIND"},
                                           {"APPTAINER_BINDPATH", "SINGULARITY_BINDPATH"}};
    if (!stack->confs[0].relocatable)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        /* One that is set counts, also if it is empty. */
        const char *name = getenv(names[i][0]) ? names[i][0] : names[i][1];
        const struct wish wish = {.stack = stack, .variable = name, .of_apptainer = true};
        const char *value = getenv(name);
        if (value && !add_all(&wish, value))
            return false;
    }
    return true;
}

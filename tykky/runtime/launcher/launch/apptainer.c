#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* Set inside, to the prefix: how a command that is called there knows that it has arrived. */
#define MARK "TYKKY_INSIDE"

static const char *const usual_places[] = {"/usr/bin", "/usr/local/bin", "/opt/apptainer/bin",
                                           NULL};

/* --- variables -------------------------------------------------------------------------------- */

/* Asked only if a variable claims it, because an environment may be carried out of a container.
 * Most containers have the directory; in all of them the session's mounts can be seen. */
static bool in_container(void)
{
    struct stat status;
    return stat("/.singularity.d", &status) == 0 ||
           strstr(read_whole("/proc/self/mountinfo"), "/mnt/session/");
}

const char *apptainer_around(void)
{
    const char *mark = getenv(MARK);
    return mark && *mark && in_container() ? mark : NULL;
}

void apptainer_forget(void)
{
    static const char *const names[] = {"BIND",    "BINDPATH",    "CONTAINER", "NAME",
                                        "COMMAND", "ENVIRONMENT", "APPNAME"};
    if ((!getenv("APPTAINER_CONTAINER") && !getenv("SINGULARITY_CONTAINER")) || in_container())
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        set_variable(format("APPTAINER_%s", names[i]), NULL);
        set_variable(format("SINGULARITY_%s", names[i]), NULL);
    }
}

/* PREFIXENV_NAME: how a variable is handed over that the runtime would keep or change. */
static void hand_over_one(const char *prefix, const char *name)
{
    if (getenv(name))
        set_variable(format("%sENV_%s", prefix, name), getenv(name));
}

static void hand_over(const struct stack *stack, const char *prefix)
{
    /* The last of these are of the user, whatever the image says of who made it. */
    static const char *const always[] = {"PATH", "LD_LIBRARY_PATH", "USER",    "LOGNAME", "TMPDIR",
                                         "TERM", "DISPLAY",         "HOSTNAME"};
    set_variable(format("%s_NO_EVAL", prefix), "1"); /* values are values, not shell text */
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        hand_over_one(prefix, always[i]);
    for (size_t i = 0; i < stack->count; i++)
        for (size_t k = 0; k < stack->confs[i].env_count; k++)
            if (stack->confs[i].env[k].action != ENV_UNSET)
                hand_over_one(prefix, stack->confs[i].env[k].name);
}

static void prepare_environment(const struct stack *stack, const char *program)
{
    apptainer_forget();
    set_variable(MARK, stack->confs[0].prefix);
    /* Each rank is in a user namespace of its own and cannot read the memory of others. Some Open
     * MPI notice that and then wait for ever when a message is large. */
    if (!getenv("OMPI_MCA_btl_vader_single_copy_mechanism"))
        set_variable("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    /* A program of that name may be either one; Apptainer reads both spellings. */
    hand_over(stack, "APPTAINER");
    if (strstr(strrchr(program, '/'), "singularity"))
        hand_over(stack, "SINGULARITY");
}

/* --- the command line ------------------------------------------------------------------------- */

struct line {
    const char **words;
    size_t count, room;
};

static void add(struct line *line, const char *word)
{
    if (line->count == line->room)
        line->words = reallocate(line->words, line->room += 64, sizeof *line->words);
    line->words[line->count++] = word;
}

static bool add_bind(struct line *line, const char *source, const char *target, const char *option)
{
    if (strpbrk(source, ":,") || strpbrk(target, ":,"))
        return fail("apptainer cannot bind a path with ':' or ',' in it: %s to %s\n"
                    "use another path, or the native runtime",
                    source, target);
    add(line, format("--bind=%s:%s%s", source, target, option));
    return true;
}

/* By the kind that the listing tells: looking at the directories themselves could hang, if one of
 * them is a dead network file system. */
static bool add_host_roots(struct line *line, bool image)
{
    static const char *const left_out[] = {".", "..", "dev", "proc", "sys", "lost+found", NULL};
    /* What an image has of its own. That cannot be looked at from here, but is everywhere so. */
    static const char *const of_images[] = {
        "bin", "boot", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt",
        "opt", "root", "run", "sbin", "srv", "tmp",   "usr",   "var",    NULL};
    DIR *root = opendir("/");
    bool good = true;
    for (struct dirent *entry; root && good && (entry = readdir(root));) {
        const char *path = format("/%s", entry->d_name);
        if (entry->d_type == DT_DIR && position(left_out, entry->d_name) < 0 &&
            !(image && position(of_images, entry->d_name) >= 0))
            good = add_bind(line, path, path, "");
    }
    if (root)
        closedir(root);
    return good;
}

/* Whether a later one, of which `made` tells that it is made, lies over it. */
static bool is_covered(const struct stack *stack, const bool *made, size_t number)
{
    for (size_t i = number + 1; i < stack->mount_count; i++)
        if (made[i] && path_is_in(stack->mounts[number].target, stack->mounts[i].target))
            return true;
    return false;
}

static bool add_mount(struct line *line, const struct stack *stack, const struct mount *mount)
{
    if (mount->kind == MOUNT_IMAGE)
        return add_bind(line, stack->images[mount->image].file, mount->target, ":image-src=/");
    return add_bind(line, mount->source, mount->target, mount->read_only ? ":ro" : "");
}

/* Apptainer mounts by the depth of paths, and of two for one path the first: what would be covered
 * is left out, and the host's own directories come last. */
static bool add_mounts(struct line *line, const struct stack *stack)
{
    const struct conf *own = &stack->confs[0];
    bool *made = allocate(stack->mount_count, sizeof *made);
    struct stat status;
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        /* It sees to the working directory itself. */
        made[i] = !mount->if_missing && (!is_bind(mount) || stat(mount->source, &status) == 0);
        if (!made[i] && mount->kind == MOUNT_BIND)
            return fail("cannot find %s to bind it to %s: %m\n"
                        "create it, or take the bind out of the recipe",
                        mount->source, mount->target);
    }
    for (size_t i = 0; i < stack->mount_count; i++)
        if (made[i] && !is_covered(stack, made, i) && !add_mount(line, stack, &stack->mounts[i]))
            return false;
    return !own->host_roots || add_host_roots(line, own->root != NULL);
}

/* Whether an image will cover the working directory. */
static bool works_in_image(const struct stack *stack)
{
    char cwd[PATH_MAX];
    if (!getcwd(cwd, sizeof cwd))
        return false;
    for (size_t i = 0; i < stack->image_count; i++) {
        const char *target = stack->images[i].target;
        if (strcmp(target, "/") != 0 && path_is_in(cwd, target))
            return true;
    }
    return false;
}

/* The program's path, with what keeps Apptainer from binding the host's working directory over that
 * of an image; where an image has none of that name, a relative path would lead elsewhere. */
static const char *keep_image_directory(struct line *line, const struct stack *stack,
                                        const struct place *place)
{
    const char *path = program_path(place, &stack->confs[0]);
    if (!works_in_image(stack))
        return path;
    add(line, "--no-mount=cwd");
    return *path == '/' || place->runs_any ? path : place->exe;
}

/* Apptainer takes the home from /etc/passwd, whatever the user's $HOME is; it cannot be one that is
 * not there. */
static void keep_home(struct line *line)
{
    struct stat status;
    const char *home = getenv("HOME");
    bool chosen = getenv("APPTAINER_HOME") || getenv("SINGULARITY_HOME");
    if (!chosen && home && home[0] == '/' && !strpbrk(home, ":,") && stat(home, &status) == 0)
        add(line, format("--home=%s", home));
}

static const char *find(const struct conf *conf)
{
    const char *program = search_program("apptainer", &conf->apptainers, usual_places);
    if (!program && !conf->apptainers.count)
        program = search_program("singularity", &conf->apptainers, usual_places);
    if (program)
        return program;
    problem.out_of_sight = true;
    fail("the stack %s runs in apptainer, which this node does not have\n"
         "ask the administrator to install it, or set TYKKY_RUNTIME=native",
         conf->name);
    return NULL;
}

static bool check_container(const struct conf *conf)
{
    struct stat status;
    if (!conf->container)
        return fail("the stack %s has no container for apptainer\n"
                    "leave TYKKY_RUNTIME unset, or install it with 'runtime: apptainer'",
                    conf->name);
    if (stat(conf->container, &status) == 0)
        return true;
    return fail("cannot find the container of %s: %s: %m\n"
                "install the stack again, or ask its owner to make it readable",
                conf->name, conf->container);
}

bool apptainer_execute(struct stack *stack, const struct place *place, char **argv)
{
    const struct conf *conf = &stack->confs[0];
    const char *program;
    struct line line = {0};
    bool user_namespace = false;
    if (!check_container(conf) || !stack_check_images(stack) || !(program = find(conf)))
        return false;
    if (stack_has_layers(stack) && !stack_join_layers(stack, &user_namespace))
        return false;
    prepare_environment(stack, program);
    add(&line, program);
    add(&line, "--silent");
    add(&line, "exec");
    if (user_namespace) /* where a set-user-id program has no power */
        add(&line, "--userns");
    for (size_t i = 0; i < conf->options.count; i++)
        add(&line, conf->options.items[i]);
    keep_home(&line);
    const char *path = keep_image_directory(&line, stack, place);
    if (place->runs_any)
        path = *++argv;
    if (!add_mounts(&line, stack))
        return false;
    add(&line, conf->container);
    add(&line, path);
    for (size_t i = 1; argv[0] && argv[i]; i++)
        add(&line, argv[i]);
    add(&line, NULL);
    execv(program, (char **)line.words);
    fail("cannot execute %s: %m", program);
    return remedy(errno == E2BIG ? "the arguments are too long; pass less"
                                 : "is it made for this kind of machine?");
}

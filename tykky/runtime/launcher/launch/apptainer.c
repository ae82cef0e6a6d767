#define _GNU_SOURCE
#include "apptainer.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_values.h"
#include "program.h"
#include "search.h"

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
    char *line = NULL;
    size_t room = 0;
    bool found = stat("/.singularity.d", &status) == 0;
    FILE *table = found ? NULL : fopen("/proc/self/mountinfo", "re");
    while (table && !found && getline(&line, &room, table) > 0)
        found = strstr(line, "/mnt/session/") != NULL;
    free(line);
    if (table)
        fclose(table);
    return found;
}

bool apptainer_inside(const struct stack *stack)
{
    const char *mark = getenv(MARK);
    return mark && strcmp(mark, stack->confs[0].prefix) == 0 && in_container();
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
    char name[64];
    if ((!getenv("APPTAINER_CONTAINER") && !getenv("SINGULARITY_CONTAINER")) || in_container())
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "APPTAINER_%s", names[i]);
        unsetenv(name);
        snprintf(name, sizeof name, "SINGULARITY_%s", names[i]);
        unsetenv(name);
    }
}

/* `prefix`ENV_NAME: how a variable is handed over that the runtime would keep or change. */
static bool hand_over(const char *prefix, const char *name)
{
    const char *value = getenv(name);
    size_t size = strlen(prefix) + strlen(name) + sizeof "ENV_";
    char *long_name = value ? malloc(size) : NULL;
    if (!long_name)
        return value == NULL;
    snprintf(long_name, size, "%sENV_%s", prefix, name);
    bool done = setenv(long_name, value, 1) == 0;
    free(long_name);
    return done;
}

static bool hand_over_all(const struct stack *stack, const char *prefix)
{
    /* Of the user, whatever the image says of who made it. */
    static const char *const own[] = {"USER", "LOGNAME", "TMPDIR", "TERM", "DISPLAY", "HOSTNAME"};
    char no_eval[32];
    snprintf(no_eval, sizeof no_eval, "%s_NO_EVAL", prefix); /* values are values, not shell text */
    bool done = setenv(no_eval, "1", 1) == 0 && hand_over(prefix, "PATH") &&
                hand_over(prefix, "LD_LIBRARY_PATH");
    for (size_t i = 0; done && i < sizeof own / sizeof *own; i++)
        done = hand_over(prefix, own[i]);
    for (size_t i = 0; done && i < stack->count; i++)
        for (size_t k = 0; done && k < stack->confs[i].env_count; k++)
            if (stack->confs[i].env[k].action != ENV_UNSET)
                done = hand_over(prefix, stack->confs[i].env[k].name);
    return done;
}

static bool prepare_environment(const struct stack *stack, const char *program,
                                struct problem *problem)
{
    bool singularity = strstr(strrchr(program, '/'), "singularity") != NULL;
    apptainer_forget();
    /* Each rank is in a user namespace of its own and cannot read the memory of others. Some Open
     * MPI notice that and then wait for ever when a message is large. */
    bool set = setenv(MARK, stack->confs[0].prefix, 1) == 0 &&
               setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0) == 0;
    /* A program of that name may be either one; Apptainer reads both spellings. */
    if (set && hand_over_all(stack, "APPTAINER") &&
        (!singularity || hand_over_all(stack, "SINGULARITY")))
        return true;
    cause(problem, "no memory for the environment of %s", stack->confs[0].name);
    return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
}

/* --- the command line ------------------------------------------------------------------------- */

struct line {
    char **words;
    size_t count, room;
    bool failed;
};

static void add(struct line *line, const char *word)
{
    if (line->count + 1 >= line->room) {
        size_t room = line->room ? 2 * line->room : 64;
        char **words = realloc(line->words, room * sizeof *words);
        if (!words) {
            line->failed = true;
            return;
        }
        line->words = words;
        line->room = room;
    }
    line->words[line->count++] = (char *)word;
    line->words[line->count] = NULL;
}

static bool add_bind(struct line *line, const char *source, const char *target, const char *option,
                     struct problem *problem)
{
    if (strpbrk(source, ":,") || strpbrk(target, ":,")) {
        cause(problem, "apptainer cannot bind a path with ':' or ',' in it: %s to %s", source,
              target);
        return remedy(problem, "use another path, or the native runtime");
    }
    size_t size = strlen(source) + strlen(target) + strlen(option) + 2;
    char *word = malloc(size);
    if (!word) {
        line->failed = true;
        return true;
    }
    snprintf(word, size, "%s:%s%s", source, target, option);
    add(line, "--bind");
    add(line, word);
    return true;
}

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(names, name) is_one_of(names, sizeof names / sizeof names[0], name)

/* By the kind that the listing tells: looking at the directories themselves could hang, if one of
 * them is a dead network file system. */
static bool add_host_roots(struct line *line, bool image, struct problem *problem)
{
    static const char *const left_out[] = {".", "..", "dev", "proc", "sys", "lost+found"};
    /* What an image has of its own. That cannot be looked at from here, but is everywhere so. */
    static const char *const of_images[] = {"bin",   "boot",   "etc",   "home", "lib", "lib32",
                                            "lib64", "libx32", "media", "mnt",  "opt", "root",
                                            "run",   "sbin",   "srv",   "tmp",  "usr", "var"};
    DIR *root = opendir("/");
    bool good = true;
    for (struct dirent *entry; root && good && (entry = readdir(root));) {
        char path[NAME_MAX + 2];
        snprintf(path, sizeof path, "/%s", entry->d_name);
        if (entry->d_type == DT_DIR && !IS_ONE_OF(left_out, entry->d_name) &&
            !(image && IS_ONE_OF(of_images, entry->d_name)))
            good = add_bind(line, path, path, "", problem);
    }
    if (root)
        closedir(root);
    return good;
}

/* 1 to bind it, 0 to leave it out, -1 if it must be there and is not. */
static int is_there(const struct mount *bind, struct problem *problem)
{
    struct stat status;
    if (stat(bind->source, &status) == 0)
        return 1;
    if (bind->kind == MOUNT_TRY_BIND)
        return 0;
    cause(problem, "cannot find %s to bind it to %s: %s", bind->source, bind->target,
          strerror(errno));
    remedy(problem, "create it, or take the bind out of the recipe");
    return -1;
}

/* Whether a later one, of which `there` tells that it is made, lies over it. */
static bool is_covered(const struct stack *stack, const int *there, size_t number)
{
    for (size_t i = number + 1; i < stack->mount_count; i++)
        if (there[i] && path_is_in(stack->mounts[number].target, stack->mounts[i].target))
            return true;
    return false;
}

static bool add_mount(struct line *line, const struct stack *stack, const struct mount *mount,
                      struct problem *problem)
{
    if (mount->kind == MOUNT_IMAGE)
        return add_bind(line, stack->images[mount->image].file, mount->target, ":image-src=/",
                        problem);
    return add_bind(line, mount->source, mount->target, mount->read_only ? ":ro" : "", problem);
}

/* Apptainer mounts by the depth of paths, and of two for one path the first: what would be covered
 * is left out, and the host's own directories come last. */
static bool add_mounts(struct line *line, const struct stack *stack, struct problem *problem)
{
    const struct conf *own = &stack->confs[0];
    int *there = calloc(stack->mount_count + 1, sizeof *there);
    bool good = there || (line->failed = true);
    for (size_t i = 0; there && good && i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        /* It sees to the working directory itself. */
        there[i] = mount->if_missing ? 0 : is_bind(mount) ? is_there(mount, problem) : 1;
        good = there[i] >= 0;
    }
    for (size_t i = 0; there && good && i < stack->mount_count; i++)
        if (there[i] && !is_covered(stack, there, i))
            good = add_mount(line, stack, &stack->mounts[i], problem);
    free(there);
    return good && (!own->host_roots || add_host_roots(line, own->root != NULL, problem));
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
    return *path == '/' ? path : place->exe;
}

/* Apptainer takes the home from /etc/passwd, whatever the user's $HOME is; it cannot be one that is
 * not there. */
static void keep_home(struct line *line)
{
    struct stat status;
    const char *home = getenv("HOME");
    bool chosen = getenv("APPTAINER_HOME") || getenv("SINGULARITY_HOME");
    if (chosen || !home || home[0] != '/' || strpbrk(home, ":,") || stat(home, &status) != 0)
        return;
    size_t size = strlen(home) + sizeof "--home=";
    char *word = malloc(size);
    if (!word) {
        line->failed = true;
        return;
    }
    snprintf(word, size, "--home=%s", home);
    add(line, word);
}

static bool find(const struct conf *conf, char *program, struct problem *problem)
{
    if (search_program(program, "apptainer", &conf->apptainers, usual_places) ||
        (!conf->apptainers.count &&
         search_program(program, "singularity", &conf->apptainers, usual_places)))
        return true;
    problem->out_of_sight = true;
    cause(problem, "the stack %s runs in apptainer, which this node does not have", conf->name);
    return remedy(problem, "ask the administrator to install it, or set TYKKY_RUNTIME=native");
}

static bool check_container(const struct conf *conf, struct problem *problem)
{
    struct stat status;
    if (!conf->container) {
        cause(problem, "the stack %s has no container for apptainer", conf->name);
        return remedy(problem,
                      "leave TYKKY_RUNTIME unset, or install it with 'runtime: apptainer'");
    }
    if (stat(conf->container, &status) == 0)
        return true;
    cause(problem, "cannot find the container of %s: %s: %s", conf->name, conf->container,
          strerror(errno));
    return remedy(problem, "install the stack again, or ask its owner to make it readable");
}

bool apptainer_execute(const struct stack *stack, const struct place *place, char **argv,
                       struct problem *problem)
{
    const struct conf *conf = &stack->confs[0];
    char program[PATH_MAX];
    struct line line = {0};
    if (!check_container(conf, problem) || !stack_check_images(stack, problem) ||
        !find(conf, program, problem) || !prepare_environment(stack, program, problem))
        return false;
    add(&line, program);
    add(&line, "--silent");
    add(&line, "exec");
    for (size_t i = 0; i < conf->options.count; i++)
        add(&line, conf->options.items[i]);
    keep_home(&line);
    const char *path = keep_image_directory(&line, stack, place);
    if (!add_mounts(&line, stack, problem))
        return false;
    add(&line, conf->container);
    add(&line, path);
    for (size_t i = 1; argv[0] && argv[i]; i++)
        add(&line, argv[i]);
    if (line.failed) {
        cause(problem, "no memory for the command line of apptainer");
        return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
    }
    execv(program, line.words);
    cause(problem, "cannot execute %s: %s", program, strerror(errno));
    return remedy(problem, errno == E2BIG ? "the arguments are too long; pass less"
                                          : "is it made for this kind of machine?");
}

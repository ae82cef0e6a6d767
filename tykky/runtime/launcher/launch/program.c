#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* A copy of the launcher is one, too. Read only if it has the same size. */
static bool same_content(const char *path, const char *other, size_t size)
{
    char *left = allocate(size + 1, 1), *right = allocate(size + 1, 1);
    return read_text(path, left, size + 1) == (ssize_t)size &&
           read_text(other, right, size + 1) == (ssize_t)size && memcmp(left, right, size) == 0;
}

static bool is_launcher(const struct place *place, const char *path, const struct stat *status)
{
    if (is_same_file(status, &place->launcher))
        return true;
    return status->st_size == place->launcher.st_size &&
           same_content(path, "/proc/self/exe", (size_t)status->st_size);
}

static bool not_found(const char *path, const struct conf *conf)
{
    fail("the stack %s has no program %s: %m\n"
         "load its module again if it was updated since; else remove this command, or install it",
         conf->name, path);
    problem.status = errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    return false;
}

static bool is_elf(const char *path)
{
    char magic[5];
    return read_text(path, magic, sizeof magic) == 4 && strcmp(magic, "\177ELF") == 0;
}

/* A script without a shebang: a shell would run it itself, so the launcher does too. */
static void execute_with_shell(const char *path, char **argv)
{
    size_t count = 0;
    while (argv[count])
        count++;
    char **arguments = allocate(count + 3, sizeof *arguments);
    arguments[0] = "sh";
    arguments[1] = (char *)path;
    for (size_t i = 1; i < count; i++)
        arguments[i + 1] = argv[i];
    execv("/bin/sh", arguments);
}

static bool cannot_execute(const char *path)
{
    fail("cannot execute %s: %m", path);
    if (errno == ENOEXEC)
        remedy("it was built for another kind of machine; use a stack made for this one");
    else if (errno == ENOENT)
        remedy("its interpreter (first line of the script, or dynamic loader) is missing");
    else if (errno == E2BIG)
        remedy("the arguments and the environment together are too long; pass less");
    else
        remedy("check the mode of the file, and whether its file system allows programs");
    problem.status = STATUS_NOT_EXECUTABLE;
    return false;
}

/* NAME in <prefix>/bin/NAME; where hard links could not be made, the commands are symbolic links
 * to <prefix>/.tykky/launch, and only the invoked path tells. */
static const char *command_name(const struct place *place)
{
    const char *name = strrchr(place->exe, '/') + 1, *slash = strrchr(place->invoked, '/');
    return strcmp(name, LAUNCHER_NAME) == 0 && slash ? slash + 1 : name;
}

const char *program_path(const struct place *place, const struct conf *conf)
{
    const char *name = command_name(place);
    for (size_t i = 0; i < conf->command_count; i++)
        if (strcmp(conf->commands[i].name, name) == 0)
            return conf->commands[i].program;
    return place->invoked;
}

/* Chooses among the invoked path, and others that lead to the same program: a relative path leads
 * elsewhere if the working directory was below the prefix and is not in the image; a path may also
 * reach the prefix by a mount that the image does not cover. NULL: none leads to a program; then
 * `found` tells whether the last one is at least there. */
static const char *choose(const struct place *place, const struct conf *conf, bool *found)
{
    const char *path = program_path(place, conf);
    const int last = path == place->invoked ? 2 : 0;
    struct stat status;
    for (int attempt = 0;; attempt++) {
        *found = stat(path, &status) == 0;
        if (*found && !is_launcher(place, path, &status))
            return path;
        if (attempt == last)
            return NULL;
        path = attempt == 0 ? place->exe : format("%s/bin/%s", conf->prefix, command_name(place));
    }
}

/* Whether what was executed is a command of the install, by whatever path. */
static bool is_command(const struct place *place)
{
    const char *path = place->invoked, *slash = strrchr(path, '/');
    struct stat folder, own;
    return slash && stat(format("%.*s", (int)(slash - path) + 1, path), &folder) == 0 &&
           stat(format("%s/bin", place->prefix), &own) == 0 && is_same_file(&folder, &own);
}

/* A program that the caller names: a path, or what is found along PATH, both as seen from here. */
static bool execute_any(const struct conf *conf, char **argv)
{
    execvp(argv[0], argv);
    if (errno != ENOENT && errno != ENOTDIR)
        return cannot_execute(argv[0]);
    fail("there is no program %s in the stack %s, nor along PATH in there: %m\n"
         "'tykky which --files NAME' tells which stacks have a file of that name",
         argv[0], conf->name);
    problem.status = STATUS_NOT_FOUND;
    return false;
}

bool program_execute(const struct place *place, const struct conf *conf, char **argv)
{
    bool found;
    if (place->runs_any)
        return execute_any(conf, argv + 1);
    const char *path = choose(place, conf, &found);
    if (!path && !found)
        return not_found(program_path(place, conf), conf);
    if (!path)
        return fail("%s is still the launcher after the image was mounted\n"
                    "this command was copied into the image, or its prefix is not where it was; "
                    "install the stack again",
                    program_path(place, conf));
    /* Programs as Python look beside their path for what is theirs, which is where the stack lies
     * that this one extends; but a virtual environment on top is to be found, too. */
    if (conf->extends && is_command(place))
        argv[0] = (char *)path;
    execv(path, argv);
    if (errno == ENOEXEC && !is_elf(path)) {
        execute_with_shell(path, argv);
        errno = ENOEXEC;
    }
    return cannot_execute(path);
}

/* --- programs of the host --------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

const char *search_program(const char *name, const struct list *named, const char *const *usual)
{
    for (size_t i = 0; i < named->count; i++)
        if (is_program(named->items[i]))
            return named->items[i];
    if (named->count)
        return NULL;
    const char *program, *path = getenv("PATH");
    for (; *usual; usual++)
        if (is_program(program = format("%s/%s", *usual, name)))
            return program;
    for (size_t length; path && *path; path += length + (path[length] == ':')) {
        length = strcspn(path, ":");
        if (path[0] == '/' && is_program(program = format("%.*s/%s", (int)length, path, name)))
            return program;
    }
    return NULL;
}

/* runnable: a file that has a stack in it and runs it, on a machine without Tykky.
 *
 * `tykky export --runnable` appends to this program what a launcher has of an install: launch.conf,
 * the images, and the image server, since the machine may have none (see runnable.h). As a launcher
 * does, it enters a namespace in which the images lie at the path that they were made for, the same
 * one for all starts of a user, and becomes the program. What it executes is in the file: nothing
 * of it depends on the environment.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../launch/process.h"
#include "../launch/program.h"
#include "runnable.h"

static struct parts parts;
static struct stack stack;
static struct conf *const own = &stack.confs[0];

static bool read_conf(void)
{
    const struct part *part = parts_find(&parts, CONF_NAME);
    char *text = part_text(&parts, part);
    if (!text || !conf_parse(own, parts.carrier.file, text, part->size))
        return false;
    conf_relocate(own, own->prefix, NULL);
    stack.count = 1;
    stack.carrier = &parts.carrier;
    return true;
}

static const struct part *find_image(const char *name)
{
    const struct part *part = parts_find(&parts, name);
    if (!part) {
        fail("%s has no part %s", parts.carrier.file, name);
        remedy("have it made again: tykky export --runnable");
    }
    return part;
}

/* Says of the images, and of the root, where in the file they are. */
static bool place_images(void)
{
    const struct part *part;
    if (own->root) {
        if (!(part = find_image("root.sqfs")))
            return false;
        own->root = parts.carrier.file;
        own->root_offset = part->offset;
        own->root_size = (uint64_t)parts.carrier.status.st_size;
    }
    for (size_t i = 0; i < own->mount_count; i++) {
        if (own->mounts[i].kind == MOUNT_NEED)
            return fail("%s needs an install, and can have none", parts.carrier.file);
        if (!is_image(&own->mounts[i]))
            continue;
        if (!(part = find_image(format("images/%s", own->mounts[i].source))))
            return false;
        own->mounts[i].offset = part->offset;
    }
    return true;
}

/* The mount that is shared lies on directories of the machine, and goes with them: what is there by
 * another name now, as an install that was moved away, is another place. */
static void mark_places(void)
{
    for (size_t i = 0; i < stack.mount_count; i++) {
        struct mount *mount = &stack.mounts[i];
        char *path = format("%s", mount->target), *slash; /* of which all exists */
        struct stat status = {0};
        while (stat(path, &status) != 0 && (slash = strrchr(path, '/')))
            *slash = '\0';
        if (is_image(mount))
            mount->source = format("%s %ju:%ju", mount->source, (uintmax_t)status.st_dev,
                                   (uintmax_t)status.st_ino);
    }
}

static bool run(const struct command *command, char **argv)
{
    static struct place place;
    bool user_namespace = false;
    const char *prefix = own->prefix;
    /* As the command that an install would have; the program itself may lie elsewhere. */
    snprintf(place.prefix, sizeof place.prefix, "%s", prefix);
    snprintf(place.exe, sizeof place.exe, "%s/bin/%s", prefix, command->name);
    place.launcher = parts.carrier.status;
    place.invoked = place.exe;
    if (!place_images() || !stack_find(&stack))
        return false;
    mark_places();
    if (!stack_enter(&stack, &user_namespace))
        return layers_explain(&stack);
    if (!getenv("PATH"))
        set_variable("PATH", "/usr/bin:/bin");
    environment_apply(own, ACTIVATION_ON);
    if (user_namespace)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    argv[0] = (char *)command->program;
    program_execute(&place, own, argv);
    if (problem.status == STATUS_NOT_FOUND)
        remedy("it may be a link to a program of the system that %s was made on, and this machine "
               "has another one",
               own->name);
    return false;
}

static bool say(bool commands)
{
    const char *file = strrchr(parts.carrier.file, '/') + 1;
    if (commands)
        for (size_t i = 0; i < own->command_count; i++)
            puts(own->commands[i].name);
    else
        printf("%s, in one file that runs where there are user namespaces and /dev/fuse\n\n"
               "  %s COMMAND [ARGUMENTS...]    runs a command of it\n"
               "  %s --list                    lists the commands, as does no argument\n",
               own->name, file, file);
    return fflush(stdout) == 0 || fail("cannot write: %m");
}

static bool start(char **argv)
{
    /* The environment and the file would be those of somebody else than who gives the power. */
    if (getauxval(AT_SECURE))
        return fail("%s is not to be set-user-id, set-group-id, or to have capabilities\n"
                    "take that away: chmod 755",
                    argv[0]);
    if (!parts_read(&parts) || !read_conf())
        return false;
    const char *word = argv[1];
    if (!word || strcmp(word, "--list") == 0)
        return say(true);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return say(false);
    for (size_t i = 0; i < own->command_count; i++)
        if (strcmp(own->commands[i].name, word) == 0)
            return run(&own->commands[i], argv + 1);
    fail("%s has no command %s", own->name, word);
    remedy("'%s --list' lists those that it has", parts.carrier.file);
    problem.status = STATUS_NOT_FOUND;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 1)
        return STATUS_LAUNCHER;
    hold_stdio();
    title_remember(argv);
    if (start(argv))
        return 0;
    if (problem.forbidden && !stack_has_layers(&stack) && !strstr(problem.cause, "/dev/fuse"))
        remedy("%s", "a runnable file needs user namespaces and FUSE mounts in them: use a machine "
                     "that allows these, or ask its administrator to");
    problem_print();
    return problem.status;
}

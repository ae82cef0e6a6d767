#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "conf.h"
#include "place.h"

static bool is_launcher(const struct place *place, const char *path)
{
    struct stat status;
    return path && strchr(path, '/') && stat(path, &status) == 0 &&
           is_same_file(&status, &place->launcher);
}

/* The path given to execve; but for a script whose shebang names a command of ours that is the
 * script, and argv[0] is the path in the shebang. */
static const char *invoked_path(const struct place *place, char **argv)
{
    const char *executed = (const char *)getauxval(AT_EXECFN);
    if (executed && strcmp(executed, place->exe) == 0)
        return place->exe;
    if (is_launcher(place, executed))
        return executed;
    if (is_launcher(place, argv[0]))
        return argv[0];
    return place->exe;
}

static bool strip_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = '\0';
    return true;
}

/* Whether a path is that of the launcher itself, and not of a command. */
static bool has_own_name(const char *path)
{
    static const char own[] = "/" CONF_DIRECTORY "/" LAUNCHER_NAME;
    size_t length = strlen(path), tail = sizeof own - 1;
    return length > tail && strcmp(path + length - tail, own) == 0;
}

bool place_find(struct place *place, char **argv)
{
    static const char gone[] = " (deleted)";
    ssize_t length = readlink("/proc/self/exe", place->exe, sizeof place->exe);
    if (length < 0 || stat("/proc/self/exe", &place->launcher) != 0)
        return fail("cannot find out where this command lies: /proc/self/exe: %m\n"
                    "mount /proc in this container or chroot");
    if ((size_t)length >= sizeof place->exe)
        return fail("the path of this command is longer than %d bytes\n"
                    "install the stack at a shorter path",
                    PATH_MAX - 1);
    place->exe[length] = '\0';
    /* The command was replaced by an update while it was starting; the new one has its name. */
    size_t tail = sizeof gone - 1;
    if ((size_t)length > tail && strcmp(place->exe + length - tail, gone) == 0)
        place->exe[(size_t)length - tail] = '\0';

    strcpy(place->prefix, place->exe);
    if (!strip_last(place->prefix) || !strip_last(place->prefix))
        return fail("%s is not a command in the bin directory of an install\n"
                    "a command was copied or moved; make a symbolic link instead",
                    place->exe);
    place->invoked = invoked_path(place, argv);
    place->runs_any = has_own_name(place->exe) && has_own_name(place->invoked);
    if (!place->runs_any || argv[1])
        return true;
    fail("nothing says which program is to be run inside of %s", place->prefix);
    return remedy("name it: %s PROGRAM ARGUMENTS...", place->exe);
}

bool place_check(const struct place *place, const char *prefix)
{
    struct stat here, there;
    if (strcmp(place->prefix, prefix) == 0)
        return true;
    if (stat(place->prefix, &here) == 0 && stat(prefix, &there) == 0 && is_same_file(&here, &there))
        return true;
    fail("this install was made at %s and now lies at %s", prefix, place->prefix);
    return remedy("move it back, or let it work where it is: 'tykky relocate %s'", place->prefix);
}

/* --- pins ------------------------------------------------------------------------------------- */

#define VARIABLE "TYKKY_PINS"

/* Where the last two names of a path begin. */
static const char *last_two(const char *path, size_t length)
{
    const char *at = path + length;
    for (unsigned slashes = 0; at > path && slashes < 2; at--)
        slashes += at[-1] == '/';
    return at;
}

/* Places may be reached through symbolic links, but mostly keep their own names. Only then are they
 * looked at: a session may have pinned many others. */
static bool is_same_place(const char *item, size_t length, const char *place)
{
    char path[PATH_MAX];
    struct stat here, there;
    size_t whole = strlen(place);
    if (length == whole && memcmp(item, place, length) == 0)
        return true;
    const char *names = last_two(item, length), *own = last_two(place, whole);
    size_t size = (size_t)(item + length - names);
    if (length >= sizeof path || size != strlen(own) || memcmp(names, own, size) != 0)
        return false;
    snprintf(path, sizeof path, "%.*s", (int)length, item);
    return stat(path, &there) == 0 && stat(place, &here) == 0 && is_same_file(&here, &there);
}

/* The length of the item that a list begins with, and of the place in it; a word alone has none. */
static size_t measure(const char *list, size_t *place)
{
    size_t length = strcspn(list, ":");
    const char *equals = memrchr(list, '=', length);
    *place = equals ? (size_t)(equals - list) : 0;
    return length;
}

const char *pins_find(const char *place)
{
    static char generation[128]; /* longer than any that there can be */
    size_t length, name;
    const char *list = getenv(VARIABLE);
    for (; list && *list; list += length + (list[length] == ':')) {
        length = measure(list, &name);
        if (!name || !is_same_place(list, name, place))
            continue;
        snprintf(generation, sizeof generation, "%.*s", (int)(length - name - 1), list + name + 1);
        return generation;
    }
    return NULL;
}

void pins_add(const char *place, const char *generation)
{
    size_t length, name, own = strlen(place);
    const char *list = getenv(VARIABLE);
    if (strchr(place, ':')) /* such a place cannot be pinned */
        return;
    char *pins = format("%s=%s:%s", place, generation, list ? list : "");
    char *end = strchr(pins + own, ':'); /* and here begins a copy of the others */
    for (; list && *list; list += length + (list[length] == ':')) {
        length = measure(list, &name);
        if (!length || (name == own && memcmp(list, place, own) == 0))
            continue;
        *end++ = ':';
        memcpy(end, list, length);
        end += length;
    }
    *end = '\0';
    set_variable(VARIABLE, pins);
}

#define _GNU_SOURCE
#include "pins.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    return stat(path, &there) == 0 && stat(place, &here) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
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

bool pins_add(const char *place, const char *generation, struct problem *problem)
{
    const char *list = getenv(VARIABLE);
    size_t length, name, own = strlen(place);
    size_t size = own + strlen(generation) + (list ? strlen(list) : 0) + 3;
    char *pins = strchr(place, ':') ? NULL : malloc(size);
    if (strchr(place, ':')) /* such a place cannot be pinned */
        return true;
    char *end = pins ? pins + snprintf(pins, size, "%s=%s", place, generation) : NULL;
    for (; pins && list && *list; list += length + (list[length] == ':')) {
        length = measure(list, &name);
        if (length && !(name == own && memcmp(list, place, own) == 0))
            end += snprintf(end, size - (size_t)(end - pins), ":%.*s", (int)length, list);
    }
    bool done = pins && setenv(VARIABLE, pins, 1) == 0;
    free(pins);
    if (done)
        return true;
    cause(problem, "no memory for the variable " VARIABLE);
    return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
}

#define _GNU_SOURCE
#include "pins.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/text.h"

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

#include "search.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool is_in(char *program, const char *directory, size_t length, const char *name)
{
    return snprintf(program, PATH_MAX, "%.*s/%s", (int)length, directory, name) < PATH_MAX &&
           is_program(program);
}

bool search_program(char *program, const char *name, const struct list *named,
                    const char *const *usual)
{
    for (size_t i = 0; i < named->count; i++)
        if (snprintf(program, PATH_MAX, "%s", named->items[i]) < PATH_MAX && is_program(program))
            return true;
    if (named->count)
        return false;
    for (; *usual; usual++)
        if (is_in(program, *usual, strlen(*usual), name))
            return true;
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        if (path[0] == '/' && length < PATH_MAX && is_in(program, path, length, name))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

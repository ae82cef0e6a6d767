#include "search.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/text.h"

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

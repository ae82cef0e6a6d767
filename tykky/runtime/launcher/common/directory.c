#define _GNU_SOURCE
#include "directory.h"

#include <unistd.h>

#include "files.h"

void directory_save(struct directory *directory)
{
    directory->fd = open_file(".", O_PATH | O_DIRECTORY);
    if (!getcwd(directory->path, sizeof directory->path) || directory->path[0] != '/')
        directory->path[0] = '\0';
}

void directory_restore(const struct directory *directory)
{
    if (directory->path[0] && chdir(directory->path) == 0)
        return;
    if (directory->fd >= 0 && fchdir(directory->fd) == 0)
        return;
    /* It was out of reach before, too. */
}

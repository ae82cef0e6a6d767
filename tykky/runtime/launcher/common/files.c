#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "text.h"

ssize_t read_text(const char *path, char *text, size_t size)
{
    int fd = open_file(path, O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    int error = errno;
    text[length > 0 ? length : 0] = '\0';
    if (fd >= 0)
        close(fd);
    errno = error;
    return length;
}

char *read_whole(const char *path)
{
    char *text = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");
    ssize_t length = file ? getdelim(&text, &room, '\0', file) : -1;
    if (file)
        fclose(file);
    return length > 0 ? text : allocate(1, 1);
}

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

/* The working directory, across a change of the mounts. */
#ifndef TYKKY_DIRECTORY_H
#define TYKKY_DIRECTORY_H

#include <limits.h>

struct directory {
    int fd;              /* -1 if it cannot even be opened */
    char path[PATH_MAX]; /* empty if it has none: deleted, or out of reach */
};

void directory_save(struct directory *directory);

/* By path, so that a directory below the prefix becomes that of the image; else the directory
 * that it was. */
void directory_restore(const struct directory *directory);

#endif

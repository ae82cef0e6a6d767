/* Opening files on the way that every start takes.
 *
 * openat, because open of musl adds a call that marks the descriptor once more.
 */
#ifndef TYKKY_FILES_H
#define TYKKY_FILES_H

#include <fcntl.h>

static inline int open_file(const char *path, int flags)
{
    return openat(AT_FDCWD, path, flags | O_CLOEXEC);
}

#endif

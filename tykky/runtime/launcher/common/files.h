/* Files, on the way that every start takes; descriptors, and the working directory. */
#ifndef TYKKY_FILES_H
#define TYKKY_FILES_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* openat, because open of musl adds a call that marks the descriptor once more. */
static inline int open_file(const char *path, int flags)
{
    return openat(AT_FDCWD, path, flags | O_CLOEXEC);
}

/* Reads at most `size` - 1 bytes of a small file, as a text: how many, or -1 with errno. */
ssize_t read_text(const char *path, char *text, size_t size);

/* The whole text of a file of /proc; empty if it cannot be read. */
char *read_whole(const char *path);

/* Whether they are of the same file or directory. */
bool is_same_file(const struct stat *one, const struct stat *other);

/* Sends `size` bytes, and with them at most four descriptors. */
bool send_descriptors(int socket, const int *fds, size_t count, const void *data, size_t size);

/* The descriptor that comes with one byte; -1 if that comes alone, or nothing. */
int receive_descriptor(int socket);

/* The working directory, across a change of the mounts. */
struct directory {
    int fd;              /* -1 if it cannot even be opened */
    char path[PATH_MAX]; /* empty if it has none: deleted, or out of reach */
};

void directory_save(struct directory *directory);

/* By path, so that a directory below the prefix becomes that of the image; else the directory
 * that it was. */
void directory_restore(const struct directory *directory);

#endif

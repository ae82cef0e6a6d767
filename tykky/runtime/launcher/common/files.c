#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

void hold_stdio(void)
{
    struct pollfd stdio[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
    if (poll(stdio, 3, 0) <= 0)
        return;
    for (int i = 0; i < 3; i++)
        if (stdio[i].revents & POLLNVAL && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            return;
}

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

bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_dev == other->st_dev;
}

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(4 * sizeof(int))];
};

bool send_descriptors(int socket, const int *fds, size_t count, const void *data, size_t size)
{
    union control control = {.header = {.cmsg_len = CMSG_LEN(count * sizeof *fds),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS}};
    struct iovec bytes = {.iov_base = (void *)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof *fds)};
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)size;
}

int receive_descriptor(int socket)
{
    char byte;
    int fd = -1;
    union control control;
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = recvmsg(socket, &message, 0) == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

void directory_save(struct directory *directory)
{
    directory->fd = open_file(".", O_PATH | O_DIRECTORY);
    directory->closed = directory->fd < 0 && errno == EACCES;
    if (!getcwd(directory->path, sizeof directory->path) || directory->path[0] != '/')
        directory->path[0] = '\0';
}

bool directory_restore(const struct directory *directory)
{
    char now[PATH_MAX];
    if (directory->path[0] && chdir(directory->path) == 0)
        return true;
    if (directory->fd >= 0 && fchdir(directory->fd) == 0)
        return true;
    /* Where the namespace was made by this process, it still is the directory that it was. */
    return !directory->closed || (getcwd(now, sizeof now) && strcmp(now, directory->path) == 0);
}

#define _GNU_SOURCE
#include "members.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "relay.h"
#include "server.h"

/* Linux 5.3; the same number on every architecture. Older headers do not have it. */
enum { PIDFD_OPEN = 434 };

static bool begins(const char *pid, const char *file, const char *expected, size_t length)
{
    char path[320], text[32];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, text, length);
    close(fd);
    return got == (ssize_t)length && memcmp(text, expected, length) == 0;
}

/* Of an image that is mounted in a namespace within this one. */
static bool is_server(const char *pid)
{
    return begins(pid, "environ", SERVER_MARK, sizeof SERVER_MARK) ||
           begins(pid, "comm", RELAY_NAME "\n", sizeof RELAY_NAME);
}

pid_t members_find(void)
{
    struct stat own, other;
    char path[320], self[32] = "";
    pid_t found = 0;
    DIR *processes = opendir("/proc");
    if (!processes || stat("/proc/self/ns/mnt", &own) != 0 ||
        readlink("/proc/self", self, sizeof self - 1) < 0) {
        if (processes)
            closedir(processes);
        return 0;
    }
    for (struct dirent *entry; !found && (entry = readdir(processes));) {
        const char *pid = entry->d_name;
        if (pid[0] < '1' || pid[0] > '9' || strcmp(pid, self) == 0)
            continue;
        /* Fails for the processes of others, and they cannot be members. */
        snprintf(path, sizeof path, "/proc/%s/ns/mnt", pid);
        if (stat(path, &other) == 0 && other.st_ino == own.st_ino && other.st_dev == own.st_dev &&
            !is_server(pid))
            found = atoi(pid);
    }
    closedir(processes);
    return found;
}

void members_wait(pid_t member, unsigned seconds)
{
    struct pollfd ended = {.fd = (int)syscall(PIDFD_OPEN, member, 0), .events = POLLIN};
    poll(&ended, ended.fd >= 0, ended.fd >= 0 ? -1 : (int)seconds * 1000);
    if (ended.fd >= 0)
        close(ended.fd);
}

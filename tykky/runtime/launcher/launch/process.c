#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mount.h"
#include "process.h"
#include "relay.h"

/* Linux 5.3; the same number on every architecture. Older headers do not have it. */
enum { PIDFD_OPEN = 434 };

static ssize_t read_of(pid_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
    return read_text(path, text, size);
}

pid_t process_self(void)
{
    char self[32] = "";
    return readlink("/proc/self", self, sizeof self - 1) > 0 ? atoi(self) : 0;
}

uint64_t process_namespace(const char *kind)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

uint64_t process_start(pid_t pid)
{
    char text[1024];
    if (read_of(pid, "stat", text, sizeof text) <= 0)
        return 0;
    /* The second field is a name in parentheses and may hold anything; the start is field 22. */
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ' || strchr("ZXx", field[2])) /* dead, and not yet collected */
        return 0;
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

/* Of an image that is mounted in a namespace within this one. */
static bool is_server(pid_t pid)
{
    char text[32];
    return (read_of(pid, "environ", text, sizeof text) > 0 && strcmp(text, SERVER_MARK) == 0) ||
           (read_of(pid, "comm", text, sizeof text) > 0 && strcmp(text, RELAY_NAME "\n") == 0);
}

pid_t process_beside(void)
{
    struct stat own, other;
    char path[64];
    pid_t found = 0, self = process_self();
    DIR *processes = opendir("/proc");
    bool known = self && stat("/proc/self/ns/mnt", &own) == 0;
    for (struct dirent *entry; processes && known && !found && (entry = readdir(processes));) {
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || pid == self)
            continue;
        /* Fails for the processes of others, and they cannot be members. */
        snprintf(path, sizeof path, "/proc/%ld/ns/mnt", (long)pid);
        if (stat(path, &other) == 0 && is_same_file(&own, &other) && !is_server(pid))
            found = pid;
    }
    if (processes)
        closedir(processes);
    return found;
}

void process_wait(pid_t pid, unsigned seconds)
{
    struct pollfd ended = {.fd = (int)syscall(PIDFD_OPEN, pid, 0), .events = POLLIN};
    poll(&ended, ended.fd >= 0, ended.fd >= 0 ? -1 : (int)seconds * 1000);
    if (ended.fd >= 0)
        close(ended.fd);
}

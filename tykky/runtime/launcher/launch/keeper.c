#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "mount.h"
#include "process.h"
#include "shared.h"

#define NAME "tykky-keeper"

struct report {
    enum outcome result;
    struct problem problem;
};

static bool describe(struct entry *entry, bool user_namespace)
{
    entry->pid = process_self();
    entry->start = process_start(entry->pid);
    entry->user_namespace = user_namespace ? process_namespace("user") : 0;
    entry->mount_namespace = process_namespace("mnt");
    return entry->pid > 0 && entry->start && entry->mount_namespace;
}

/* Moves the roots to where others look: first out of the way, for one may be there already. */
static bool hold_roots(struct server *servers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((servers[i].root = fcntl(servers[i].root, F_DUPFD_CLOEXEC, KEEPER_ROOTS + MAX_IMAGES)) <
            0)
            return false;
    for (size_t i = 0; i < count; i++)
        if (dup3(servers[i].root, KEEPER_ROOTS + (int)i, O_CLOEXEC) < 0)
            return false;
    return true;
}

static void send_report(const struct keeper *keeper, enum outcome result)
{
    static struct report report;
    report = (struct report){result, problem};
    if (write(keeper->report, &report, sizeof report) < 0)
        return; /* the command was killed meanwhile; others may come */
    close(keeper->report);
}

static bool try_leave(const struct keeper *keeper, const struct entry *entry)
{
    int lock = registry_lock(&keeper->registry, false);
    if (lock < 0 && errno == EWOULDBLOCK)
        return false;
    bool alone = !process_beside();
    if (alone && lock >= 0)
        registry_remove(&keeper->registry, entry);
    close(lock);
    return alone;
}

static void pause_for(long milliseconds)
{
    poll(NULL, 0, (int)milliseconds);
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* While there is a member, it waits for the end of that one and uses no time at all. */
static void keep(const struct keeper *keeper, const struct entry *entry)
{
    const long idle = (long)keeper->idle * 1000;
    const long look = idle / 10 < 100 ? 100 : idle / 10 > 2000 ? 2000 : idle / 10;
    long last_use = now();
    for (;;) {
        pid_t member = process_beside();
        if (member) {
            process_wait(member, 1);
            last_use = now();
            pause_for(look / 2);
        } else if (!registry_names(&keeper->registry, entry)) {
            return; /* replaced, because its server died or somebody cleaned up */
        } else if (now() - last_use < idle) {
            long left = last_use + idle - now();
            pause_for(left < look ? left + 1 : look);
        } else if (try_leave(keeper, entry)) {
            return;
        } else {
            last_use = now();
        }
    }
}

static void be_keeper(void *argument)
{
    static struct server servers[MAX_IMAGES];
    struct keeper *keeper = argument;
    struct entry entry;
    bool user_namespace = keeper->user_namespace;
    int fds[] = {keeper->report, keeper->lock, keeper->registry.fd};
    daemon_detach(fds, 3);
    keeper->report = fds[0];
    keeper->registry.fd = fds[2];
    bool ready = mount_prepare(servers, keeper->stack);
    title_set(NAME, keeper->stack->confs[0].prefix); /* where the environment was */
    if (!ready || !mount_enter(servers, keeper->stack, &user_namespace)) {
        send_report(keeper, FAILED);
        return;
    }
    /* So that commands of the same user may look into /proc/PID and enter. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    bool listed =
        hold_roots(servers, keeper->stack->image_count) && describe(&entry, user_namespace);
    if (listed)
        registry_hold(&keeper->registry);
    listed = listed && registry_write(&keeper->registry, &entry);
    close(fds[1]);
    send_report(keeper, listed ? DONE : IMPOSSIBLE);
    if (!listed)
        return;
    registry_sweep(&keeper->registry);
    keep(keeper, &entry);
}

enum outcome keeper_start(struct keeper *keeper)
{
    static struct report report;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fail("cannot make a pipe: %m");
        return FAILED;
    }
    keeper->report = ends[1];
    bool started = daemon_start(be_keeper, keeper);
    close(ends[1]);
    ssize_t length = started ? read(ends[0], &report, sizeof report) : 0;
    close(ends[0]);
    if (!started)
        return FAILED;
    if (length != sizeof report) {
        fail("the process that keeps the image mounted ended too early\n"
             "out of memory, killed, or too few open files allowed (ulimit -n)? Try again");
        return FAILED;
    }
    problem = report.problem;
    return report.result;
}

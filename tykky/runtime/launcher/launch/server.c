#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mount.h"
#include "process.h"
#include "program.h"
#include "relay.h"

static const char *const usual_places[] = {
    "/usr/bin",
    "/usr/local/bin",
    "/usr/libexec/apptainer/bin",
    "/usr/local/libexec/apptainer/bin",
    "/usr/lib/x86_64-linux-gnu/apptainer/bin",
    "/usr/lib/aarch64-linux-gnu/apptainer/bin",
    "/opt/apptainer/libexec/apptainer/bin",
    NULL,
};

bool server_find(struct server *server, const struct conf *conf)
{
    server->program = search_program(SERVER_NAME, &conf->servers, usual_places);
    if (server->program)
        return true;
    if (conf->servers.count)
        return fail("the image server named in %s is not there: %s\n"
                    "install squashfuse, or correct the 'server' lines of that file",
                    conf->file, conf->servers.items[0]);
    problem.out_of_sight = true;
    return fail("this node has no " SERVER_NAME ", which makes the files of the image visible\n"
                "ask the administrator to install the package 'squashfuse' (or apptainer, which "
                "brings it)");
}

/* Becomes squashfuse_ll, which takes the socket for /dev/fuse. Nothing of the user's environment:
 * LD_PRELOAD of a profiler has no place here. Its end of the channel closes when it is executed;
 * if it cannot be, the error goes there. */
static void execute_server(const struct server *server, int channel, int socket)
{
    char mount_point[32], options[48], *words[WORDS_BEFORE + 6];
    size_t before = 0;
    static char *const environment[] = {SERVER_MARK, "PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    snprintf(mount_point, sizeof mount_point, "/dev/fd/%d", socket);
    snprintf(options, sizeof options, "-ooffset=%" PRIu64, server->image->offset);
    char *const arguments[] = {SERVER_NAME, "-f", options, (char *)server->image->file,
                               mount_point, NULL};
    bool ready = !server->carrier || (before = server->carrier->unpack(server->carrier, words));
    size_t named = before > 0; /* it has its name already */
    memcpy(words + before, arguments + named, sizeof arguments - named * sizeof *words);
    /* It has nothing to do without the relay, however that may end. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (ready && fcntl(socket, F_SETFD, 0) == 0)
        execve(before ? words[0] : server->program, words, environment);
    int error = errno;
    if (send(channel, &error, sizeof error, MSG_NOSIGNAL) < 0)
        _exit(STATUS_LAUNCHER);
    _exit(STATUS_NOT_EXECUTABLE);
}

/* Starts the server as a child: the socket to it, or -1 with errno. */
static int fork_server(const struct server *server, int channel)
{
    int ends[2];
    pid_t child = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? fork() : -1;
    if (child == 0) {
        close(ends[0]);
        execute_server(server, channel, ends[1]);
    }
    if (child < 0)
        return -1;
    close(ends[1]);
    return ends[0];
}

/* Another one, of exactly the same image, since the kernel knows what is in that already. */
static int start_again(void *argument)
{
    const struct server *server = argument;
    const struct stat *old = &server->image->status;
    struct stat new;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    if (stat(server->image->file, &new) != 0 || !is_same_file(&new, old) ||
        new.st_size != old->st_size || new.st_mtim.tv_sec != old->st_mtim.tv_sec ||
        new.st_mtim.tv_nsec != old->st_mtim.tv_nsec)
        return -1;
    return fork_server(server, -1);
}

/* In a process of its own, which is the relay; the server is its child. That loads its libraries
 * while the launcher is still making the namespace. */
static void be_relay(void *argument)
{
    struct server *server = argument;
    const struct relay_source again = {start_again, server};
    int channel = server->other_end;
    daemon_detach(&channel, 1);
    title_set(RELAY_NAME, server->image->file);
    int socket = fork_server(server, channel), error = errno;
    if (socket < 0) {
        send(channel, &error, sizeof error, MSG_NOSIGNAL);
        _exit(STATUS_LAUNCHER);
    }
    int fuse = receive_descriptor(channel);
    if (fuse < 0) /* the launcher gave up, and has said why */
        _exit(0);
    close(channel);
    relay_run(fuse, socket, image_has_attributes(server->image), &again);
    _exit(0);
}

bool server_start(struct server *server, const struct image *image)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return fail("cannot make a socket: %m");
    server->image = image;
    server->channel = ends[0];
    server->other_end = ends[1];
    bool started = daemon_start(be_relay, server);
    close(ends[1]);
    if (!started)
        server_hang_up(server);
    return started;
}

void server_hang_up(struct server *server)
{
    if (server->channel >= 0)
        close(server->channel);
    server->channel = -1;
}

/* Opens /dev/fuse and mounts it on `target`. It must be opened in the namespace that mounts.
 *
 * default_permissions: the kernel judges by the modes in the image, and overlays work on it.
 * allow_other: programs of the stack that make user namespaces themselves may still read it. */
static int mount_device(const char *source, const char *target)
{
    char options[128];
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        fail("cannot open /dev/fuse: %m\n"
             "ask the administrator of this node to load the module 'fuse' and to set /dev/fuse to "
             "mode 0666");
        problem.forbidden = true;
        return -1;
    }
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", fuse,
             (unsigned)geteuid(), (unsigned)getegid());
    if (mount(source, target, "fuse.squashfuse", MS_NOSUID | MS_NODEV | MS_RDONLY, options) == 0)
        return fuse;
    fail("cannot mount the image on %s: %m", target);
    if (errno == ENOENT || errno == ENOTDIR)
        remedy("the directory is gone; install the stack again");
    else
        remedy("mounting FUSE in a user namespace needs Linux 4.18 or newer, and a node "
               "that does not forbid it; 'tykky doctor' tells more");
    problem.forbidden = errno != ENOENT && errno != ENOTDIR;
    close(fuse);
    return -1;
}

/* Gives it the descriptor, which is closed here, and waits until it runs. */
static bool serve(struct server *server, int fuse)
{
    int error = 0;
    bool sent = send_descriptors(server->channel, &fuse, 1, "f", 1);
    close(fuse);
    /* The channel closes when the server is executed and the relay has the descriptor. */
    ssize_t length = sent ? recv(server->channel, &error, sizeof error, 0) : -1;
    server_hang_up(server);
    if (length == 0)
        return true;
    return fail("cannot run the image server %s: %s\n"
                "install squashfuse for this machine's architecture, or name another one in the "
                "'server' line of launch.conf",
                server->program, length == sizeof error ? strerror(error) : "it ended too early");
}

bool server_mount(struct server *server, const char *target)
{
    const struct image *image = server->image;
    struct statfs mounted;
    int fuse = mount_device(image->file, target);
    if (fuse < 0 || !serve(server, fuse))
        return false;
    server->root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Waits for the server's first answer; stat would not do, it may come from a cache. */
    if (server->root >= 0 && fstatfs(server->root, &mounted) == 0)
        return true;
    fail("the image server %s gave up on %s", server->program, image->file);
    return remedy("run '%s -f -o offset=%" PRIu64
                  " %s DIR' on an empty directory to see why (too old "
                  "for this compression?)",
                  server->program, image->offset, image->file);
}

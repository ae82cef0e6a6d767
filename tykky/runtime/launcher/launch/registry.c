#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "process.h"
#include "shared.h"

#define DIRECTORY_VARIABLE "TYKKY_RUNTIME_DIR"
#define ENTRY_FORMAT "pid=%ld start=%" PRIu64 " user=%" PRIu64 " mount=%" PRIu64
enum { ENTRY_SIZE = 128 };

/* --- the scope -------------------------------------------------------------------------------- */

/* Slurm's cgroups end in job_J/step_S/user/task_T: all tasks of a step share a mount. Where that
 * part ends, or NULL. */
static char *end_of_slurm(char *path)
{
    char *found = strstr(path, "/job_");
    for (char *step = path; (step = strstr(step, "/step_")); step++)
        found = step;
    return found ? found + 1 + strcspn(found + 1, "/") : NULL;
}

void scope_of_cgroup(struct scope *scope, char *text)
{
    static const char systemd[] = ":name=systemd:";
    char *lines = NULL;
    scope->text = "";
    for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        char *path = strchr(line, '/'), *end = path ? end_of_slurm(path) : NULL;
        if (end) {
            *end = '\0';
            scope->text = path;
            scope->in_job = true;
            return;
        }
        bool second = strncmp(strchrnul(line, ':'), systemd, sizeof systemd - 1) == 0;
        bool first = strncmp(line, "0::", 3) == 0;
        /* With both hierarchies, systemd's own tells the session; the other is mostly '/'. */
        if (path && (second || (first && !scope->text[0])))
            scope->text = path;
    }
}

void scope_find(struct scope *scope)
{
    char text[8192];
    const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
    scope->in_job = job && *job;
    if (scope->in_job && step && *step) {
        scope->text = format("job_%s/step_%s", job, step);
        return;
    }
    int fd = open_file("/proc/self/cgroup", O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1); /* exec closes it at no cost */
    text[length > 0 ? length : 0] = '\0';
    /* A batch script has a job and no step; not every Slurm puts jobs into cgroups of their own. */
    const char *named = scope->in_job ? job : "";
    scope_of_cgroup(scope, text);
    scope->text = format("job_%s %s", named, scope->text);
}

/* --- the key ---------------------------------------------------------------------------------- */

/* FNV-1a, twice: nobody else can write here, so it only has to be different by chance. */
struct hash {
    uint64_t a, b;
};

static void hash_add(struct hash *hash, const void *data, size_t size)
{
    for (const unsigned char *byte = data; size--; byte++) {
        hash->a = (hash->a ^ *byte) * 0x100000001b3;
        hash->b = (hash->b ^ *byte) * 0x10000000233;
    }
}

static void hash_text(struct hash *hash, const char *text)
{
    hash_add(hash, text, strlen(text) + 1);
}

bool registry_key(struct registry *registry, const struct stack *stack, const struct scope *scope)
{
    struct hash hash = {0xcbf29ce484222325, 0x9ae16a3b2f90404f};
    struct stat host;
    /* A job or a sandbox may have its own /tmp; a mount made outside would show another. */
    if (stat("/proc/self/ns/mnt", &host) != 0)
        return false;
    uint64_t numbers[] = {getegid(), host.st_ino, host.st_dev, scope->in_job};
    hash_add(&hash, numbers, sizeof numbers);
    hash_text(&hash, scope->text);
    for (size_t i = 0; i < stack->image_count; i++) {
        const struct stat *image = &stack->images[i].status;
        uint64_t identity[] = {image->st_dev, image->st_ino, (uint64_t)image->st_size,
                               (uint64_t)image->st_mtim.tv_sec, (uint64_t)image->st_mtim.tv_nsec};
        hash_add(&hash, identity, sizeof identity);
        hash_text(&hash, stack->images[i].target);
    }
    for (size_t i = 0; i < stack->count; i++)
        hash_add(&hash, stack->confs[i].text, stack->confs[i].size);
    for (size_t i = 0; i < stack->mount_count; i++) { /* with the values of variables */
        const struct mount *mount = &stack->mounts[i];
        hash_text(&hash, mount->source);
        hash_text(&hash, mount->target);
        hash_add(&hash, &mount->read_only, sizeof mount->read_only);
    }
    snprintf(registry->key, sizeof registry->key, "%016" PRIx64 "%016" PRIx64, hash.a, hash.b);
    return true;
}

/* --- the directory ---------------------------------------------------------------------------- */

static bool check_directory(int fd, const char *path)
{
    struct stat status;
    const char *why = NULL;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode))
        why = "is not a directory that can be opened";
    else if (status.st_uid != geteuid())
        why = format("belongs to the user %u", (unsigned)status.st_uid);
    else if (status.st_mode & 077)
        why = format("is open to others (mode %04o)", (unsigned)status.st_mode & 07777);
    return !why || fail("the directory %s, where your commands find their shared mount, %s\n"
                        "remove it, or ask the administrator to; or set " DIRECTORY_VARIABLE
                        " to a directory of your own on this node, mode 0700",
                        path, why);
}

/* The number of the user namespace that this process is in; 0 if it is the node's own. */
static uint64_t inner_user_namespace(void)
{
    static const char whole[] = "         0          0 4294967295";
    char map[sizeof whole];
    read_text("/proc/self/uid_map", map, sizeof map);
    return strcmp(map, whole) != 0 ? process_namespace("user") : 0;
}

/* The places, in order: in memory where every process of the node sees it, if there is one. In a
 * container that numbers its users anew, ours may be that of somebody else outside: then
 * `user_namespace` makes another name. */
static bool name_place(struct registry *registry, int place, uint64_t user_namespace)
{
    const char *given = getenv(DIRECTORY_VARIABLE), *session = getenv("XDG_RUNTIME_DIR");
    const char *base = place == 0 ? "/dev/shm" : place == 1 ? session : "/tmp";
    const char *inner = user_namespace ? format("-%" PRIu64, user_namespace) : "";
    registry->given = given && given[0] == '/';
    registry->path = registry->given
                         ? given
                         : format("%s/tykky-%u%s", base ? base : "", (unsigned)geteuid(), inner);
    return registry->given ? place == 0 : base && base[0] == '/';
}

static enum outcome open_place(struct registry *registry, bool make)
{
    if (make && mkdir(registry->path, 0700) != 0 && errno != EEXIST)
        return IMPOSSIBLE;
    registry->fd = open_file(registry->path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (registry->fd < 0 && errno == ENOENT)
        return IMPOSSIBLE;
    if (check_directory(registry->fd, registry->path))
        return DONE;
    if (registry->fd >= 0)
        close(registry->fd);
    return FAILED;
}

enum outcome registry_open(struct registry *registry, bool make)
{
    for (int place = 0; place < 3; place++) {
        if (!name_place(registry, place, 0))
            continue;
        enum outcome result = open_place(registry, make);
        uint64_t inner = result == FAILED ? inner_user_namespace() : 0;
        if (inner && name_place(registry, place, inner))
            result = open_place(registry, make);
        /* Anybody may have made a directory of that name: then the next place is as good. */
        if (result == DONE || (result == FAILED && registry->given))
            return result;
    }
    return IMPOSSIBLE;
}

/* --- entries ---------------------------------------------------------------------------------- */

static void format_entry(char *text, const struct entry *entry)
{
    snprintf(text, ENTRY_SIZE, ENTRY_FORMAT, (long)entry->pid, entry->start, entry->user_namespace,
             entry->mount_namespace);
}

bool entry_parse(const char *text, struct entry *entry)
{
    char again[ENTRY_SIZE];
    long pid;
    if (sscanf(text, ENTRY_FORMAT, &pid, &entry->start, &entry->user_namespace,
               &entry->mount_namespace) != 4)
        return false;
    entry->pid = (pid_t)pid;
    format_entry(again, entry);
    return strcmp(again, text) == 0 && entry->pid > 0 && entry->start && entry->mount_namespace;
}

static bool read_entry(int directory, const char *name, struct entry *entry)
{
    char text[ENTRY_SIZE];
    ssize_t length = readlinkat(directory, name, text, sizeof text);
    if (length < 0 || length >= (ssize_t)sizeof text)
        return false;
    text[length] = '\0';
    return entry_parse(text, entry);
}

bool registry_read(const struct registry *registry, struct entry *entry)
{
    return read_entry(registry->fd, registry->key, entry);
}

bool registry_names(const struct registry *registry, const struct entry *entry)
{
    struct entry present;
    return registry_read(registry, &present) && present.pid == entry->pid &&
           present.start == entry->start;
}

bool registry_write(const struct registry *registry, const struct entry *entry)
{
    char text[ENTRY_SIZE];
    const char *new = format("%s.new", registry->key);
    format_entry(text, entry);
    unlinkat(registry->fd, new, 0); /* of a keeper that was killed just here */
    return symlinkat(text, registry->fd, new) == 0 &&
           renameat(registry->fd, new, registry->fd, registry->key) == 0;
}

/* --- locks ------------------------------------------------------------------------------------ */

static int open_lock(int directory, const char *key, int flags)
{
    return openat(directory, format("%s.lock", key), O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
}

static int lock_key(int directory, const char *key, int how)
{
    struct stat status;
    for (;;) {
        int fd = open_lock(directory, key, O_CREAT);
        if (fd < 0)
            return -1;
        while (flock(fd, how) != 0)
            if (errno != EINTR) {
                close(fd);
                return -1;
            }
        /* Its last holder may have removed it meanwhile; then the name is of another file. */
        if (fstat(fd, &status) == 0 && status.st_nlink > 0)
            return fd;
        close(fd);
    }
}

int registry_lock(const struct registry *registry, bool wait)
{
    return lock_key(registry->fd, registry->key, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
}

/* A lock of another kind on the same file, which the creator's does not touch. */
static struct flock held(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

void registry_hold(const struct registry *registry)
{
    struct flock lock = held();
    int fd = open_lock(registry->fd, registry->key, 0);
    if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) != 0)
        close(fd);
}

static bool is_held(int fd)
{
    struct flock lock = held();
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void remove_key(int directory, const char *key)
{
    unlinkat(directory, key, 0);
    unlinkat(directory, format("%s.lock", key), 0);
}

bool entry_is_alive(const struct entry *entry)
{
    return process_start(entry->pid) == entry->start;
}

/* For a name in the directory: whether its key has no living keeper, so nobody needs it. */
static bool is_left_over(int directory, const char *key)
{
    struct entry entry;
    return !read_entry(directory, key, &entry) || !entry_is_alive(&entry);
}

void registry_sweep(const struct registry *registry)
{
    int fd = openat(registry->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        return;
    for (struct dirent *file; (file = readdir(directory));) {
        char key[KEY_SIZE];
        if (strspn(file->d_name, "0123456789abcdef") != KEY_SIZE - 1)
            continue;
        snprintf(key, sizeof key, "%.*s", KEY_SIZE - 1, file->d_name);
        if (strcmp(key, registry->key) == 0 || !is_left_over(registry->fd, key))
            continue;
        int lock = lock_key(registry->fd, key, LOCK_EX | LOCK_NB);
        if (lock < 0)
            continue; /* somebody is just starting a keeper */
        if (is_left_over(registry->fd, key) && !is_held(lock))
            remove_key(registry->fd, key);
        close(lock);
    }
    closedir(directory);
}

void registry_forget(const struct registry *registry)
{
    remove_key(registry->fd, registry->key);
    /* By the descriptor, because the path may lead elsewhere in the keeper's namespace. */
    if (!registry->given)
        unlinkat(registry->fd, format("..%s", strrchr(registry->path, '/')), AT_REMOVEDIR);
}

void registry_remove(const struct registry *registry, const struct entry *entry)
{
    if (!registry_names(registry, entry))
        return;
    registry_sweep(registry);
    registry_forget(registry);
}

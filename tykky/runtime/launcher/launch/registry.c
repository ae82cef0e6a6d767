#define _GNU_SOURCE
#include "registry.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/files.h"

#define DIRECTORY_VARIABLE "TYKKY_RUNTIME_DIR"
#define ENTRY_FORMAT "pid=%ld start=%" PRIu64 " user=%" PRIu64 " mount=%" PRIu64
enum { ENTRY_SIZE = 128 };

/* --- the key --------------------------------------------------------------------------------- */

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

bool registry_key(struct registry *registry, const struct stack *stack, const struct scope *scope)
{
    struct hash hash = {0xcbf29ce484222325, 0x9ae16a3b2f90404f};
    struct stat host;
    /* A job or a sandbox may have its own /tmp; a mount made outside would show another. */
    if (stat("/proc/self/ns/mnt", &host) != 0)
        return false;
    uint64_t numbers[] = {getegid(), host.st_ino, host.st_dev, scope->in_job};
    hash_add(&hash, numbers, sizeof numbers);
    hash_add(&hash, scope->text, strlen(scope->text) + 1);
    for (size_t i = 0; i < stack->image_count; i++) {
        const struct stat *image = &stack->images[i].status;
        uint64_t identity[] = {image->st_dev, image->st_ino, (uint64_t)image->st_size,
                               (uint64_t)image->st_mtim.tv_sec, (uint64_t)image->st_mtim.tv_nsec};
        hash_add(&hash, identity, sizeof identity);
        hash_add(&hash, stack->images[i].target, strlen(stack->images[i].target) + 1);
    }
    for (size_t i = 0; i < stack->count; i++)
        hash_add(&hash, &stack->confs[i].digest, sizeof stack->confs[i].digest);
    for (size_t i = 0; i < stack->mount_count; i++) { /* with the values of variables */
        const struct mount *mount = &stack->mounts[i];
        hash_add(&hash, mount->source, strlen(mount->source) + 1);
        hash_add(&hash, mount->target, strlen(mount->target) + 1);
        hash_add(&hash, &mount->read_only, sizeof mount->read_only);
    }
    snprintf(registry->key, sizeof registry->key, "%016" PRIx64 "%016" PRIx64, hash.a, hash.b);
    return true;
}

/* --- the directory --------------------------------------------------------------------------- */

static bool unsafe(const char *path, const char *why, struct problem *problem)
{
    cause(problem, "the directory %s, where your commands find their shared mount, %s", path, why);
    return remedy(problem, "remove it, or ask the administrator to; or set " DIRECTORY_VARIABLE
                           " to a directory of your own on this node, mode 0700");
}

static bool check_directory(int fd, const char *path, struct problem *problem)
{
    struct stat status;
    char why[64];
    if (fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode))
        return unsafe(path, "is not a directory", problem);
    if (status.st_uid != geteuid()) {
        snprintf(why, sizeof why, "belongs to the user %u", (unsigned)status.st_uid);
        return unsafe(path, why, problem);
    }
    if (status.st_mode & 077) {
        snprintf(why, sizeof why, "is open to others (mode %04o)",
                 (unsigned)status.st_mode & 07777);
        return unsafe(path, why, problem);
    }
    return true;
}

/* The number of the user namespace that this process is in; 0 if it is the node's own. */
static uint64_t inner_user_namespace(void)
{
    static const char whole[] = "         0          0 4294967295";
    char map[sizeof whole] = "";
    struct stat status;
    int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    bool outer = fd >= 0 && read(fd, map, sizeof map - 1) > 0 && strcmp(map, whole) == 0;
    if (fd >= 0)
        close(fd);
    return !outer && stat("/proc/self/ns/user", &status) == 0 ? status.st_ino : 0;
}

/* The places, in order: in memory where every process of the node sees it, if there is one. In a
 * container that numbers its users anew, ours may be that of somebody else outside: then
 * `user_namespace` makes another name. */
static bool name_place(struct registry *registry, int place, uint64_t user_namespace)
{
    const char *given = getenv(DIRECTORY_VARIABLE), *session = getenv("XDG_RUNTIME_DIR");
    const char *base = place == 0 ? "/dev/shm" : place == 1 ? session : "/tmp";
    char *path = registry->path, who[48];
    size_t size = sizeof registry->path;
    registry->given = given && given[0] == '/';
    if (registry->given)
        return place == 0 && snprintf(path, size, "%s", given) < (int)size;
    snprintf(who, sizeof who, user_namespace ? "%u-%" PRIu64 : "%u", (unsigned)geteuid(),
             user_namespace);
    return base && base[0] == '/' && snprintf(path, size, "%s/tykky-%s", base, who) < (int)size;
}

static enum registry_result open_place(struct registry *registry, bool make,
                                       struct problem *problem)
{
    if (make && mkdir(registry->path, 0700) != 0 && errno != EEXIST)
        return REGISTRY_NONE;
    registry->fd = open_file(registry->path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (registry->fd < 0) {
        if (errno == ENOENT)
            return REGISTRY_NONE;
        unsafe(registry->path, "is not a directory that can be opened", problem);
        return REGISTRY_UNSAFE;
    }
    if (check_directory(registry->fd, registry->path, problem))
        return REGISTRY_OPEN;
    close(registry->fd);
    return REGISTRY_UNSAFE;
}

enum registry_result registry_open(struct registry *registry, bool make, struct problem *problem)
{
    for (int place = 0; place < 3; place++) {
        if (!name_place(registry, place, 0))
            continue;
        enum registry_result result = open_place(registry, make, problem);
        uint64_t inner = result == REGISTRY_UNSAFE ? inner_user_namespace() : 0;
        if (inner && name_place(registry, place, inner))
            result = open_place(registry, make, problem);
        /* Anybody may have made a directory of that name: then the next place is as good. */
        if (result == REGISTRY_OPEN || (result == REGISTRY_UNSAFE && registry->given))
            return result;
    }
    return REGISTRY_NONE;
}

/* --- entries --------------------------------------------------------------------------------- */

static void format_entry(char *text, const struct entry *entry)
{
    snprintf(text, ENTRY_SIZE, ENTRY_FORMAT, (long)entry->pid, entry->start, entry->user_namespace,
             entry->mount_namespace);
}

static bool parse_field(const char **text, const char *name, char after, uint64_t *number)
{
    size_t length = strlen(name);
    if (strncmp(*text, name, length) != 0 || (*text)[length] < '0' || (*text)[length] > '9')
        return false;
    char *end;
    errno = 0;
    *number = strtoull(*text + length, &end, 10);
    if (errno != 0 || *end != after)
        return false;
    *text = end + (after != '\0');
    return true;
}

bool entry_parse(const char *text, struct entry *entry)
{
    uint64_t pid;
    if (!parse_field(&text, "pid=", ' ', &pid) ||
        !parse_field(&text, "start=", ' ', &entry->start) ||
        !parse_field(&text, "user=", ' ', &entry->user_namespace) ||
        !parse_field(&text, "mount=", '\0', &entry->mount_namespace))
        return false;
    entry->pid = (pid_t)pid;
    return pid > 0 && pid <= INT32_MAX && entry->start > 0 && entry->mount_namespace > 0;
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
    char text[ENTRY_SIZE], new[KEY_SIZE + 8];
    format_entry(text, entry);
    snprintf(new, sizeof new, "%s.new", registry->key);
    unlinkat(registry->fd, new, 0); /* of a keeper that was killed just here */
    return symlinkat(text, registry->fd, new) == 0 &&
           renameat(registry->fd, new, registry->fd, registry->key) == 0;
}

/* --- locks ----------------------------------------------------------------------------------- */

static int lock_key(int directory, const char *key, int how)
{
    char name[KEY_SIZE + 8];
    struct stat status;
    snprintf(name, sizeof name, "%s.lock", key);
    for (;;) {
        int fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
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
    char name[KEY_SIZE + 8];
    struct flock lock = held();
    snprintf(name, sizeof name, "%s.lock", registry->key);
    int fd = openat(registry->fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
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
    char name[KEY_SIZE + 8];
    unlinkat(directory, key, 0);
    snprintf(name, sizeof name, "%s.lock", key);
    unlinkat(directory, name, 0);
}

uint64_t process_start(const char *pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open_file(path, O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    /* The second field is a name in parentheses and may hold anything; the start is field 22. */
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ' || strchr("ZXx", field[2])) /* dead, and not yet collected */
        return 0;
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

static bool is_alive(const struct entry *entry)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%ld", (long)entry->pid);
    return process_start(pid) == entry->start;
}

/* For a name in the directory: whether its key has no living keeper, so nobody needs it. */
static bool is_left_over(int directory, const char *key)
{
    struct entry entry;
    return !read_entry(directory, key, &entry) || !is_alive(&entry);
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
    const char *name = strrchr(registry->path, '/');
    char again[NAME_MAX + 8];
    /* By the descriptor, because the path may lead elsewhere in the keeper's namespace. */
    if (!registry->given && name && snprintf(again, sizeof again, "..%s", name) < (int)sizeof again)
        unlinkat(registry->fd, again, AT_REMOVEDIR);
}

void registry_remove(const struct registry *registry, const struct entry *entry)
{
    if (!registry_names(registry, entry))
        return;
    registry_sweep(registry);
    registry_forget(registry);
}

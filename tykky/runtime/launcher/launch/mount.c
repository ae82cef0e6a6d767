#define _GNU_SOURCE
#include "mount.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* --- mount points in a tree that cannot be written --------------------------------------------
 *
 * A directory in which a name is missing is covered by one in memory, which has all its entries
 * bound into it, and the missing one as well. Nothing on the disk changes. */

enum { MAX_OURS = 64, MAX_ENTRIES = 4096 };

/* The file systems made here: in them, directories may simply be made. */
static dev_t ours[MAX_OURS];
static unsigned our_count;

static bool cannot_make(const char *path)
{
    return fail("cannot make the mount point %s: %m\n"
                "make the directory on the host, or mount at another path",
                path);
}

static bool too_many(const char *path)
{
    errno = EMLINK;
    return cannot_make(path);
}

static bool is_ours(const struct stat *status)
{
    for (unsigned i = 0; i < our_count; i++)
        if (ours[i] == status->st_dev)
            return true;
    return false;
}

/* Mounts a new, empty directory in memory over `path`; mountinfo shows `name` as its source. */
static bool tree_mount_empty(const char *path, const char *name)
{
    struct stat status;
    if (our_count == MAX_OURS)
        return too_many(path);
    if (mount(name, path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=555") != 0 ||
        stat(path, &status) != 0)
        return cannot_make(path);
    ours[our_count++] = status.st_dev;
    return true;
}

/* What cannot be bound (no permission to look at it, say) stays an empty place with that name. */
static void bind_entry(int from, int into, const char *name)
{
    char text[PATH_MAX];
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISLNK(status.st_mode)) {
        ssize_t length = readlinkat(from, name, text, sizeof text - 1);
        text[length > 0 ? length : 0] = '\0';
        if (length <= 0 || symlinkat(text, into, name) != 0)
            return;
        return;
    }
    if ((S_ISDIR(status.st_mode) ? mkdirat(into, name, 0755)
                                 : mknodat(into, name, S_IFREG | 0444, 0)) != 0)
        return; /* it is there already */
    int old = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bind_descriptor(old, format("/proc/self/fd/%d/%s", into, name));
    close(old);
}

/* Binds all entries of the directory that `source` is open on into `path`, which must be one of
 * ours; names that are there already are left alone. */
static bool tree_fill(const char *path, int source)
{
    int from = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int into = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = from >= 0 && into >= 0 ? fdopendir(from) : NULL;
    int count = 0;
    if (!entries) {
        bool result = cannot_make(path);
        close(from);
        close(into);
        return result;
    }
    for (struct dirent *entry; (entry = readdir(entries)) && count < MAX_ENTRIES;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            bind_entry(source, into, entry->d_name);
            count++;
        }
    closedir(entries);
    close(into);
    return count < MAX_ENTRIES || too_many(path);
}

/* Covers a directory that cannot be written with one that can and looks the same. */
static bool make_writable(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && is_ours(&status))
        return true;
    int source = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source < 0)
        return cannot_make(path);
    bool made = tree_mount_empty(path, "tykky") && tree_fill(path, source);
    close(source);
    return made;
}

/* Makes sure that there is a directory, or anything, at `path`. */
static bool tree_make(const char *path, bool directory)
{
    struct stat status;
    if (stat(path, &status) == 0) {
        errno = ENOTDIR;
        return !directory || S_ISDIR(status.st_mode) || cannot_make(path);
    }
    char *part = format("%s", path); /* of which all exists */
    for (char *slash; stat(part, &status) != 0 && (slash = strrchr(part, '/'));)
        slash[slash == part] = '\0';
    return make_writable(part) && (make_mount_point(path, directory) || cannot_make(path));
}

/* --- the root directory ----------------------------------------------------------------------- */

#define ROOT_IMAGE "/.root-image" /* while the root is being made */

/* /s, of /s/x. */
static const char *first_name(const struct mount *mount)
{
    return format("%.*s", 1 + (int)strcspn(mount->target + 1, "/"), mount->target);
}

/* Whether it asks for a root image, or for a path whose first name the host does not have. */
static bool root_is_needed(const struct stack *stack)
{
    struct stat status;
    for (size_t i = 0; i < stack->mount_count; i++)
        if (lstat(first_name(&stack->mounts[i]), &status) != 0 && errno == ENOENT)
            return true;
    return stack->confs[0].root;
}

static bool failed(const char *what)
{
    return fail("cannot %s: %m\n"
                "'tykky doctor' tells what this node can do",
                what);
}

/* The kernel's file systems are the host's in any root. */
static bool bind_kernel(const char *stage)
{
    static const char *const names[] = {"/proc", "/sys", "/dev"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *target = format("%s%s", stage, names[i]);
        if ((mkdir(target, 0755) != 0 && errno != EEXIST) ||
            mount(names[i], target, NULL, MS_BIND | MS_REC, NULL) != 0)
            return failed("bind the host's /proc, /sys and /dev");
    }
    return true;
}

/* Mounts the root image below the stage, from where its entries are bound. */
static bool fill_from_image(const char *stage, struct server *server)
{
    const char *path = format("%s" ROOT_IMAGE, stage);
    if (mkdir(path, 0755) != 0)
        return failed("make a directory in the new root");
    return server_mount(server, path) && tree_fill(stage, server->root);
}

/* First what belongs to the kernel, then the root that is asked for, then what else the host has:
 * what is there already is not replaced. */
static bool fill(const struct stack *stack, const char *stage, int host, int directory,
                 struct server *server)
{
    const struct conf *conf = &stack->confs[0];
    if (conf->root && (!bind_kernel(stage) || !(directory >= 0 ? tree_fill(stage, directory)
                                                               : fill_from_image(stage, server))))
        return false;
    if ((!conf->root || conf->host_roots) && !tree_fill(stage, host))
        return false;
    for (size_t i = 0; i < stack->mount_count; i++) {
        /* A name that is there is good, whatever it is. */
        const char *path = format("%s%s", stage, first_name(&stack->mounts[i]));
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return failed("make a directory in the new root");
    }
    return true;
}

/* The new root covers the old one; moving it works also where / is the kernel's first root, from
 * which pivot_root cannot lead away. */
static bool enter(const char *stage, int new_root)
{
    struct stat new, clone;
    if (fstat(new_root, &new) != 0 || mount(stage, "/", NULL, MS_MOVE, NULL) != 0 ||
        fchdir(new_root) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return failed("enter the new root directory");
    /* The entries of the host were bound with all that was mounted below, this root too. */
    if (stat(stage, &clone) == 0 && is_same_file(&clone, &new))
        umount2(stage, MNT_DETACH);
    umount2(ROOT_IMAGE, MNT_DETACH);
    rmdir(ROOT_IMAGE);
    return true;
}

/* Makes another root directory that of this process and its namespace: that of an image, which
 * `server` serves, or of a directory, or that of the host with new names in it. */
static bool root_make(const struct stack *stack, struct server *server)
{
    /* Made on top of a directory that is there for certain: the prefix, but for what is carried.
     * By the name of the prefix, commands that are called inside know the root again. */
    const char *stage = stack->carrier ? SPARE_DIRECTORY : stack->confs[0].prefix;
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), directory = -1;
    if (stack->root_directory)
        directory = open(stack->root_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (host < 0 || (stack->root_directory && directory < 0))
        return failed("open the root directory");
    if (!tree_mount_empty(stage, stack->confs[0].prefix))
        return false;
    int new_root = open(stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool entered = fill(stack, stage, host, directory, server) && enter(stage, new_root);
    close(host);
    close(directory);
    close(new_root);
    return entered;
}

/* --- images and binds ------------------------------------------------------------------------- */

static bool hang_up(struct server *servers)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        server_hang_up(&servers[i]);
    return false;
}

bool mount_prepare(struct server *servers, const struct stack *stack)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        servers[i].channel = -1;
    servers[0].program = stack->carrier ? stack->carrier->file : NULL;
    if (!stack_check_images(stack) || (stack->image_count && !servers[0].program &&
                                       !server_find(&servers[0], &stack->confs[0])))
        return false;
    for (size_t i = 0; i < stack->image_count; i++) {
        servers[i].program = servers[0].program;
        servers[i].carrier = stack->carrier;
        if (!server_start(&servers[i], &stack->images[i]))
            return hang_up(servers);
    }
    return true;
}

/* The sources of binds, opened while the host's paths still lead there; -1 if there is none. */
static bool open_sources(const struct stack *stack, int *sources)
{
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        sources[i] = is_bind(mount) ? open(mount->source, O_PATH | O_CLOEXEC) : -1;
        if (sources[i] < 0 && mount->kind == MOUNT_BIND)
            return fail("the stack %s asks for %s, which is not there: %m\n"
                        "is a file system of this node not mounted? Else correct the binds",
                        stack->confs[0].name, mount->source);
    }
    return true;
}

static bool mount_bind(const struct mount *bind, int source)
{
    struct stat status;
    if (source < 0 || (bind->if_missing && stat(bind->target, &status) == 0))
        return true;
    if (!tree_make(bind->target, fstat(source, &status) == 0 && S_ISDIR(status.st_mode)))
        return false;
    if (!bind_descriptor(source, bind->target))
        return fail("cannot bind %s over %s: %m\n"
                    "is one a directory and the other a file?",
                    bind->source, bind->target);
    return !bind->read_only || remount(bind->target, true) ||
           fail("cannot make %s read-only: %m\n"
                "leave out ':ro' of this bind",
                bind->target);
}

/* Joins the layers and the image under them, each of which is mounted over that path, at that path.
 * The kernel judges the modes of each by itself, and finds what is deleted by the whiteouts. With
 * xino=on all of it is of one device, and directories keep their numbers: tar and du, told to stay
 * on one file system, leave nothing out. */
static bool join_layers(const struct server *servers, const struct stack *stack, size_t top)
{
    const struct mount *layer = &stack->mounts[top];
    const char *lower = format("lowerdir=/proc/self/fd/%d", servers[layer->image].root);
    do
        lower = format("%s:/proc/self/fd/%d", lower, servers[(--layer)->image].root);
    while (layer->kind == MOUNT_LAYER);
    if (mount("overlay", layer->target, "overlay", MS_NOSUID | MS_NODEV | MS_RDONLY,
              format("%s,userxattr,xino=on", lower)) == 0)
        return true;
    fail("cannot lay the layers of %s over each other: %m", stack->confs[0].name);
    problem.forbidden = true;
    return false;
}

static bool mount_image(struct server *servers, const struct stack *stack, size_t number)
{
    const struct mount *mount = &stack->mounts[number];
    if (!tree_make(mount->target, true) || !server_mount(&servers[mount->image], mount->target))
        return false;
    bool more = number + 1 < stack->mount_count && mount[1].kind == MOUNT_LAYER;
    return mount->kind != MOUNT_LAYER || more || join_layers(servers, stack, number);
}

static bool mount_all(struct server *servers, const struct stack *stack, const int *sources)
{
    if (root_is_needed(stack) && !root_make(stack, &servers[0]))
        return false;
    for (size_t i = 0; i < stack->mount_count; i++) {
        const struct mount *mount = &stack->mounts[i];
        if (is_bind(mount) ? !mount_bind(mount, sources[i]) : !mount_image(servers, stack, i))
            return false;
    }
    return true;
}

bool mount_enter(struct server *servers, const struct stack *stack, bool *user_namespace)
{
    int *sources = allocate(stack->mount_count, sizeof *sources);
    if (!namespace_enter(0, user_namespace) || !open_sources(stack, sources) ||
        !mount_all(servers, stack, sources))
        return hang_up(servers);
    for (size_t i = 0; i < stack->mount_count; i++)
        if (sources[i] >= 0)
            close(sources[i]);
    if (*user_namespace)
        mount_for_ssh();
    return true;
}

/* slowfs: makes the files of a directory as slow to find as on a busy parallel file system.
 *
 *     slowfs DIRECTORY DELAY_US TIMEOUT_S COUNTS
 *
 * Mounts itself over DIRECTORY, read-only, and passes on what lies below. Each operation that a
 * parallel file system answers from its metadata server waits DELAY_US microseconds first: looking
 * up a name, asking for attributes, reading a link, opening a file or a directory, listing it.
 * Reading waits for nothing. What was looked up, found or not, is good for TIMEOUT_S seconds; data
 * and listings stay in the page cache until the mount ends. COUNTS is a file of six 64-bit numbers,
 * in the order of `struct counts`, that counts along. Runs in the foreground; ends with its parent.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#define FUSE_USE_VERSION 314
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* How many operations reached this program, by kind; a lookup is a question for attributes, too. */
struct counts {
    _Atomic uint64_t attributes, links, opens, listings, reads, bytes;
};

static struct counts *counts;
static struct timespec delay;
static double timeout;
static int root;

/* One operation for the metadata server. */
static void metadata(_Atomic uint64_t *count)
{
    atomic_fetch_add(count, 1);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);
}

/* Below the directory that is covered; paths come with a slash in front. */
static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int get_attributes(const char *path, struct stat *status, struct fuse_file_info *file)
{
    metadata(&counts->attributes);
    int done = file ? fstat((int)file->fh, status)
                    : fstatat(root, below(path), status, AT_SYMLINK_NOFOLLOW);
    return done == 0 ? 0 : -errno;
}

static int read_link(const char *path, char *text, size_t size)
{
    metadata(&counts->links);
    ssize_t length = readlinkat(root, below(path), text, size - 1);
    if (length < 0)
        return -errno;
    text[length] = '\0';
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
    metadata(&counts->opens);
    int fd = openat(root, below(path), (file->flags & O_ACCMODE) | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    file->fh = (uint64_t)fd;
    return 0;
}

static int read_file(const char *path, char *data, size_t size, off_t offset,
                     struct fuse_file_info *file)
{
    (void)path;
    ssize_t length = pread((int)file->fh, data, size, offset);
    if (length < 0)
        return -errno;
    atomic_fetch_add(&counts->reads, 1);
    atomic_fetch_add(&counts->bytes, (uint64_t)length);
    return (int)length;
}

static int release_file(const char *path, struct fuse_file_info *file)
{
    (void)path;
    close((int)file->fh);
    return 0;
}

static int open_directory(const char *path, struct fuse_file_info *file)
{
    metadata(&counts->opens);
    int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        return -errno;
    file->fh = (uint64_t)(uintptr_t)directory;
    file->cache_readdir = 1;
    file->keep_cache = 1;
    return 0;
}

static int list_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                          struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
    (void)path, (void)offset, (void)flags;
    DIR *directory = (DIR *)(uintptr_t)file->fh;
    metadata(&counts->listings);
    rewinddir(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        struct stat status = {.st_ino = entry->d_ino, .st_mode = (mode_t)DTTOIF(entry->d_type)};
        if (fill(buffer, entry->d_name, &status, 0, 0))
            return -ENOMEM;
    }
    return 0;
}

static int release_directory(const char *path, struct fuse_file_info *file)
{
    (void)path;
    closedir((DIR *)(uintptr_t)file->fh);
    return 0;
}

static int get_statistics(const char *path, struct statvfs *statistics)
{
    (void)path;
    metadata(&counts->attributes);
    return fstatvfs(root, statistics) == 0 ? 0 : -errno;
}

static void *start(struct fuse_conn_info *connection, struct fuse_config *config)
{
    /* Attributes come when they are asked for, and not with a listing. */
    connection->want &= ~(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    config->use_ino = 1;
    config->kernel_cache = 1;
    config->entry_timeout = config->negative_timeout = config->attr_timeout = timeout;
    return NULL;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .readlink = read_link,
    .open = open_file,
    .read = read_file,
    .release = release_file,
    .opendir = open_directory,
    .readdir = list_directory,
    .releasedir = release_directory,
    .statfs = get_statistics,
    .init = start,
};

static int fail(const char *what)
{
    perror(what);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: slowfs DIRECTORY DELAY_US TIMEOUT_S COUNTS\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1UL); /* nanosecond, for all threads: a wait is as long as it says */
    long microseconds = atol(argv[2]);
    delay = (struct timespec){microseconds / 1000000, microseconds % 1000000 * 1000};
    timeout = atof(argv[3]);
    root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fail(argv[1]);
    int file = open(argv[4], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *counts) != 0)
        return fail(argv[4]);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED)
        return fail(argv[4]);
    char *mount[] = {argv[0], "-f", "-o", "ro,default_permissions,fsname=slowfs,max_idle_threads=10", argv[1], NULL};
    return fuse_main(5, mount, &operations, NULL);
}

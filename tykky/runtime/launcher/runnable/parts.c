#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "../launch/mount.h"
#include "runnable.h"

#define MARK "tykky-runnable 1 "
enum { DIGITS = 16, END = sizeof MARK - 1 + 2 * (DIGITS + 1), MAX_TEXT = 1 << 20 };

#define SERVER_PARTS "server/"
#define SERVER_PATH SPARE_DIRECTORY "/" SERVER_NAME
#define LOADER_PATH SPARE_DIRECTORY "/loader"

static bool not_whole(const struct carrier *carrier)
{
    fail("%s is not whole: its end is missing, or something stands behind it", carrier->file);
    return remedy("copy it again, or have it made again: tykky export --runnable");
}

/* --- the server ------------------------------------------------------------------------------- */

static bool copy(int file, const struct part *part)
{
    const char *path = format(SPARE_DIRECTORY "/%s", part->name + sizeof SERVER_PARTS - 1);
    off_t from = (off_t)part->offset, end = from + (off_t)part->size;
    int into = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    while (into >= 0 && from < end)
        if (sendfile(into, file, &from, (size_t)(end - from)) <= 0)
            break;
    if (into >= 0)
        close(into);
    return into >= 0 && from == end;
}

/* Into memory, where this process alone sees it and what is executed: nothing has to be cleaned up,
 * and nobody can change it. */
static size_t unpack(const struct carrier *carrier, char **words)
{
    const struct parts *parts = (const struct parts *)carrier; /* of which it is the first */
    bool user_namespace = false;
    struct stat status;
    int file = open_file(carrier->file, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    bool good = file >= 0 && fstat(file, &status) == 0 && is_same_file(&status, &carrier->status) &&
                namespace_enter(0, &user_namespace) &&
                mount("tykky", SPARE_DIRECTORY, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700") == 0;
    for (size_t i = 0; good && i < parts->count; i++)
        if (strncmp(parts->items[i].name, SERVER_PARTS, sizeof SERVER_PARTS - 1) == 0)
            good = copy(file, &parts->items[i]);
    size_t count = 0;
    if (good && parts_find(parts, SERVER_PARTS "loader")) {
        words[count++] = LOADER_PATH;
        words[count++] = "--library-path";
        words[count++] = SPARE_DIRECTORY;
    }
    if (good)
        words[count++] = SERVER_PATH;
    return count;
}

/* --- the parts -------------------------------------------------------------------------------- */

static bool read_hex(const char *text, uint64_t *number)
{
    static const char digits[] = "0123456789abcdef";
    *number = 0;
    for (int i = 0; i < DIGITS; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return false;
        *number = *number << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

static char *read_text_at(const char *file, uint64_t offset, uint64_t size)
{
    char *text = allocate(size + 1, 1);
    int fd = open_file(file, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    bool read = fd >= 0 && pread(fd, text, size, (off_t)offset) == (ssize_t)size;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return read ? text : NULL;
}

/* Its own path, if that still leads to it. */
static bool find_file(struct carrier *carrier)
{
    static char path[PATH_MAX];
    struct stat own;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || stat("/proc/self/exe", &own) != 0)
        return fail("cannot find out where this file lies: /proc/self/exe: %m\n"
                    "mount /proc in this container or chroot");
    carrier->file = path;
    if (stat(path, &carrier->status) == 0 && is_same_file(&carrier->status, &own))
        return true;
    return fail("%s is not there any more, or another file has its name by now\n"
                "run it again",
                path);
}

static bool read_line(struct parts *parts, char *line, uint64_t end)
{
    char *words[3];
    struct part *part = &parts->items[parts->count++];
    if (!split_words(line, words, 3) || !parse_number(words[1], end, &part->offset) ||
        !parse_number(words[2], end - part->offset, &part->size))
        return false;
    part->name = words[0];
    /* It becomes the name of a file. */
    size_t skip = sizeof SERVER_PARTS - 1;
    return strncmp(part->name, SERVER_PARTS, skip) != 0 || is_file_name(part->name + skip);
}

bool parts_read(struct parts *parts)
{
    struct carrier *carrier = &parts->carrier;
    uint64_t table, size;
    *parts = (struct parts){.carrier = {.unpack = unpack}};
    if (!find_file(carrier))
        return false;
    uint64_t own = (uint64_t)carrier->status.st_size;
    char *text = own > END ? read_text_at(carrier->file, own - END, END) : NULL;
    if (!text && own > END)
        return fail("cannot read %s: %m\n"
                    "ask its owner to make it readable for you",
                    carrier->file);
    if (!text || strncmp(text, MARK, sizeof MARK - 1) != 0 ||
        !read_hex(text + sizeof MARK - 1, &table) ||
        !read_hex(text + sizeof MARK + DIGITS, &size) || size != own || table > own - END ||
        own - END - table > MAX_TEXT)
        return not_whole(carrier);
    text = read_text_at(carrier->file, table, own - END - table);
    if (!text)
        return not_whole(carrier);
    size_t lines = 1;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    parts->items = allocate(lines, sizeof *parts->items);
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line && !read_line(parts, line, table))
            return not_whole(carrier);
    return true;
}

const struct part *parts_find(const struct parts *parts, const char *name)
{
    for (size_t i = 0; i < parts->count; i++)
        if (strcmp(parts->items[i].name, name) == 0)
            return &parts->items[i];
    return NULL;
}

char *part_text(const struct parts *parts, const struct part *part)
{
    char *text = part && part->size <= MAX_TEXT
                     ? read_text_at(parts->carrier.file, part->offset, part->size) : NULL;
    if (!text)
        not_whole(&parts->carrier);
    return text;
}

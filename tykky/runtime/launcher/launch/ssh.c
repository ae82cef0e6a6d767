#define _GNU_SOURCE
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount.h"

/* ssh refuses a file that its configuration includes unless root or the user owns it, and in a user
 * namespace what root owns is nobody's. So such files are covered by copies that are the user's. */

enum { MAX_FILES = 64 };

struct found {
    char *paths[MAX_FILES];
    int files[MAX_FILES]; /* open on what is nobody's; else -1 */
    size_t count;
    size_t strange; /* how many of them are nobody's */
};

static void read_conf(struct found *found, const char *path);

static void add_file(struct found *found, char *path)
{
    struct stat status;
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->paths[i], path) == 0)
            return;
    if (found->count == MAX_FILES || stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    bool strange = status.st_uid != 0 && status.st_uid != geteuid();
    found->files[found->count] = strange ? open_file(path, O_PATH) : -1;
    found->strange += found->files[found->count] >= 0;
    found->paths[found->count++] = path;
    read_conf(found, path); /* which may include others */
}

static void add_pattern(struct found *found, const char *pattern)
{
    glob_t match;
    if (*pattern != '/')
        pattern = format("/etc/ssh/%s", pattern);
    if (glob(pattern, 0, NULL, &match) != 0)
        return;
    for (size_t i = 0; i < match.gl_pathc; i++)
        add_file(found, format("%s", match.gl_pathv[i]));
    globfree(&match);
}

/* The words behind "Include", each perhaps in quotes. */
static void add_words(struct found *found, char *text)
{
    static const char blank[] = " \t\r=";
    while (*(text += strspn(text, blank)) && *text != '#') {
        bool quoted = *text == '"';
        char *word = text + quoted, *end = word + strcspn(word, quoted ? "\"" : blank);
        text = *end ? end + 1 : end;
        *end = '\0';
        add_pattern(found, word);
    }
}

static void read_conf(struct found *found, const char *path)
{
    static const char include[] = "include";
    const size_t length = sizeof include - 1;
    char *lines = NULL, *text = read_whole(path);
    for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        line += strspn(line, " \t");
        if (strncasecmp(line, include, length) == 0 && strchr(" \t=\"", line[length]))
            add_words(found, line + length);
    }
    free(text);
}

static bool copy(const char *from, const char *to)
{
    struct stat status;
    const char *text = read_whole(from);
    size_t size = strlen(text);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool copied = fd >= 0 && stat(from, &status) == 0 &&
                  write(fd, text, size) == (ssize_t)size && fchmod(fd, status.st_mode & 0777) == 0;
    close(fd);
    return copied;
}

/* The copies are in a directory in memory, which lies over that of the first file until they are
 * bound. A file that cannot be copied stays as it is. */
static void cover(const struct found *found)
{
    const char *stage = format("%.*s", (int)(strrchr(found->paths[0], '/') - found->paths[0]),
                               found->paths[0]);
    if (mount("tykky", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0)
        return;
    for (size_t i = 0; i < found->count; i++) {
        const char *name = format("%s/%zu", stage, i);
        const char *file = format("/proc/self/fd/%d", found->files[i]);
        if (found->files[i] >= 0 && copy(file, name))
            mount(name, file, NULL, MS_BIND, NULL);
    }
    umount2(stage, MNT_DETACH);
}

void mount_for_ssh(void)
{
    static struct found found;
    found = (struct found){.count = 0};
    read_conf(&found, "/etc/ssh/ssh_config");
    read_conf(&found, "/usr/etc/ssh/ssh_config");
    if (found.strange)
        cover(&found);
    for (size_t i = 0; i < found.count; i++)
        if (found.files[i] >= 0)
            close(found.files[i]);
}

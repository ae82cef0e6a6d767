/* What all programs have: problems, texts, files and namespaces. */
#ifndef TYKKY_COMMON_H
#define TYKKY_COMMON_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* --- what went wrong, for a person: one line of cause, one of remedy -----------------------------
 *
 * Functions that can fail return bool and say why; only main prints it. So a caller may also try
 * another way. A process has one problem, as it has one errno: the last. */

enum {
    STATUS_LAUNCHER = 125,       /* the launcher could not do its part */
    STATUS_NOT_EXECUTABLE = 126, /* the program is there and cannot be executed */
    STATUS_NOT_FOUND = 127,      /* the program is not there */
};

struct problem {
    int status;
    bool out_of_sight; /* what is missing may be hidden by another stack around this process */
    bool forbidden;    /* by this node: a user namespace, or a mount in one */
    char cause[1536];
    char remedy[1024];
};

extern struct problem problem;

/* Says "CAUSE\nREMEDY", or a cause alone; the remedy has no arguments. Or says another remedy. Both
 * return false, so that a failing function can end in `return fail(...)`, and keep errno: %m in
 * a format is what it means. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool remedy(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints both lines on stderr. */
void problem_print(void);

/* Prints one line on stderr about what is not as it was asked for, but can be lived with. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- texts and the memory for them ---------------------------------------------------------------
 *
 * What the launcher makes so, it keeps: it ends as another program. If there is no memory, the
 * process says so and ends. */

/* Zeroed. */
void *allocate(size_t count, size_t size);

/* The same memory with room for more. */
void *reallocate(void *memory, size_t count, size_t size);

/* The text that printf would write. */
char *format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sets a variable of the environment; NULL unsets it. */
void set_variable(const char *name, const char *value);

/* Where some bytes are written \ooo, as in /etc/fstab, /proc/self/mountinfo and launch.conf: in
 * place. False, with the text in an unknown state, if a backslash is followed by anything else than
 * three octal digits of a byte from 1 to 255. */
bool octal_decode(char *text);

/* --- files ------------------------------------------------------------------------------------ */

/* openat, because open of musl adds a call that marks the descriptor once more. */
static inline int open_file(const char *path, int flags)
{
    return openat(AT_FDCWD, path, flags | O_CLOEXEC);
}

/* If the caller closed stdin, stdout or stderr, what is opened here must not take its number.
 * The placeholders close on exec: the program finds them closed, as it was started. */
void hold_stdio(void);

/* Reads at most `size` - 1 bytes of a small file, as a text: how many, or -1 with errno. */
ssize_t read_text(const char *path, char *text, size_t size);

/* The whole text of a file of /proc; empty if it cannot be read. */
char *read_whole(const char *path);

/* Whether they are of the same file or directory. */
bool is_same_file(const struct stat *one, const struct stat *other);

/* Sends `size` bytes, and with them at most four descriptors. */
bool send_descriptors(int socket, const int *fds, size_t count, const void *data, size_t size);

/* The descriptor that comes with one byte; -1 if that comes alone, or nothing. */
int receive_descriptor(int socket);

/* The working directory, across a change of the mounts. */
struct directory {
    int fd;              /* -1 if it cannot even be opened */
    bool closed;         /* the user may not enter it, and is in it all the same */
    char path[PATH_MAX]; /* empty if it has none: deleted, or out of reach */
};

void directory_save(struct directory *directory);

/* By path, so that a directory below the prefix becomes that of the image; else the directory
 * that it was. False if it is another one now, because the user may not enter it. */
bool directory_restore(const struct directory *directory);

/* --- a mount namespace of one's own ----------------------------------------------------------- */

/* Enters a new mount namespace that still receives the host's mounts and sends none back.
 *
 * Root gets only a mount namespace, so that it keeps its power over other users' files. Everyone
 * else gets a user namespace too, in which the user and the group are mapped to themselves; but
 * not again if `*user_namespace` says that the process has already entered one of ours. Afterwards
 * it says whether the process is in one. `more` are further CLONE_NEW* flags (the box asks for a
 * PID namespace). */
bool namespace_enter(int more, bool *user_namespace);

/* Binds what a descriptor is open on over `target`, with all that is mounted below it. */
bool bind_descriptor(int fd, const char *target);

/* Makes a mount read-only or writable. Its other flags stay: who made it may have locked them. */
bool remount(const char *path, bool read_only);

/* Makes a directory or an empty file, and the directories above it. */
bool make_mount_point(const char *path, bool directory);

#endif

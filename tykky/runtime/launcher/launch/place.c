#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "conf.h"

static bool is_launcher(const struct place *place, const char *path)
{
    struct stat status;
    return path && strchr(path, '/') && stat(path, &status) == 0 &&
           status.st_ino == place->launcher.st_ino && status.st_dev == place->launcher.st_dev;
}

/* The path given to execve; but for a script whose shebang names a command of ours that is the
 * script, and argv[0] is the path in the shebang. */
static const char *invoked_path(const struct place *place, char **argv)
{
    const char *executed = (const char *)getauxval(AT_EXECFN);
    if (executed && strcmp(executed, place->exe) == 0)
        return place->exe;
    if (is_launcher(place, executed))
        return executed;
    if (is_launcher(place, argv[0]))
        return argv[0];
    return place->exe;
}

static bool strip_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = '\0';
    return true;
}

bool place_find(struct place *place, char **argv)
{
    static const char gone[] = " (deleted)";
    ssize_t length = readlink("/proc/self/exe", place->exe, sizeof place->exe);
    if (length < 0 || stat("/proc/self/exe", &place->launcher) != 0)
        return fail("cannot find out where this command lies: /proc/self/exe: %s\n"
                    "mount /proc in this container or chroot",
                    strerror(errno));
    if ((size_t)length >= sizeof place->exe)
        return fail("the path of this command is longer than %d bytes\n"
                    "install the stack at a shorter path",
                    PATH_MAX - 1);
    place->exe[length] = '\0';
    /* The command was replaced by an update while it was starting; the new one has its name. */
    size_t tail = sizeof gone - 1;
    if ((size_t)length > tail && strcmp(place->exe + length - tail, gone) == 0)
        place->exe[(size_t)length - tail] = '\0';

    strcpy(place->prefix, place->exe);
    if (!strip_last(place->prefix) || !strip_last(place->prefix))
        return fail("%s is not a command in the bin directory of an install\n"
                    "a command was copied or moved; make a symbolic link instead",
                    place->exe);
    place->invoked = invoked_path(place, argv);
    return true;
}

bool place_check(const struct place *place, const char *prefix)
{
    struct stat here, there;
    if (strcmp(place->prefix, prefix) == 0)
        return true;
    if (stat(place->prefix, &here) == 0 && stat(prefix, &there) == 0 &&
        here.st_ino == there.st_ino && here.st_dev == there.st_dev)
        return true;
    return fail("this install was made at %s and now lies at %s\n"
                "move it back, or install the stack again at the new place",
                prefix, place->prefix);
}

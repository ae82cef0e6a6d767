/* The mount that all commands of a user on this node share, and where they find its keeper. */
#ifndef TYKKY_SHARED_H
#define TYKKY_SHARED_H

#include "stack.h"

/* How an attempt to share a mount ends. */
enum outcome {
    DONE,
    IMPOSSIBLE, /* here; a mount of the command's own still may work */
    FAILED,     /* and so would any other way; the problem says why */
};

/* Enters the namespace of the keeper for this stack; starts one if there is none. */
enum outcome shared_enter(const struct stack *stack, bool *user_namespace);

/* --- the registry --------------------------------------------------------------------------------
 *
 * A directory of the user's own (mode 0700) on the node, in memory. For each mount it has a
 * symbolic link whose text names the keeper: it is read and replaced in one step, so that nobody
 * ever sees half of it, and readers need no lock. Beside it lies an empty file that is locked by
 * whoever creates the keeper or ends it. */

/* The scope in which a mount is shared. A batch system ends all processes of a step together, and
 * so does a login session; a keeper that lived in one must not serve another. The scope is that of
 * Slurm's job and step, else the cgroup that the process is in. */
struct scope {
    const char *text;
    bool in_job; /* mounts are kept for a shorter time */
};

void scope_find(struct scope *scope);

/* The scope that the text of /proc/self/cgroup tells, which is cut to pieces. */
void scope_of_cgroup(struct scope *scope, char *text);

enum { KEY_SIZE = 33 };

struct registry {
    int fd;
    const char *path;
    bool given;         /* by the user, who may want to keep the directory */
    char key[KEY_SIZE]; /* of the mount that this command wants */
};

struct entry {
    pid_t pid;      /* of the keeper, as /proc names it */
    uint64_t start; /* its start time in clock ticks: a number may be used again, the pair not */
    uint64_t user_namespace; /* 0 if the keeper is in the user namespace of its callers */
    uint64_t mount_namespace;
};

/* The key of the mount for a stack: who, what, where, and the scope in which it is shared. */
bool registry_key(struct registry *registry, const struct stack *stack, const struct scope *scope);

/* Opens the directory, and makes it if `make` is set. IMPOSSIBLE: there is none, or this node has
 * no place for one. FAILED: others could write in the one that the user names. A usual place that
 * is unsafe is passed over. */
enum outcome registry_open(struct registry *registry, bool make);

/* The entry for the key; false if there is none or it cannot be read. */
bool registry_read(const struct registry *registry, struct entry *entry);

/* The text of an entry as a struct; false unless it is exactly as written. */
bool entry_parse(const char *text, struct entry *entry);

bool entry_is_alive(const struct entry *entry);

/* For a keeper: shows all processes of the node that its entry is somebody's, as long as it lives.
 * Its pid means nothing in another PID namespace, a build's box for one. */
void registry_hold(const struct registry *registry);

bool registry_write(const struct registry *registry, const struct entry *entry);

/* Whether the entry for the key is this one. */
bool registry_names(const struct registry *registry, const struct entry *entry);

/* Waits for the lock of the key (`wait`), or gives up at once. Returns a descriptor which holds
 * it until it is closed, or -1. */
int registry_lock(const struct registry *registry, bool wait);

/* For the holder of the lock: removes the entry, if it still is `entry`, the lock's file, what
 * registry_sweep finds, and the directory if it is ours and nothing else is in it. */
void registry_remove(const struct registry *registry, const struct entry *entry);

/* For the holder of the lock who could not start a keeper: as if it had never been tried. */
void registry_forget(const struct registry *registry);

/* Removes what belongs to other mounts whose keeper was killed and could not do it. */
void registry_sweep(const struct registry *registry);

/* --- the keeper: a process whose only task is to be in the namespace that commands share ---------
 *
 * It makes the namespace, enters itself in the registry, and leaves when nobody else has been in
 * there for some time. The mount goes with the last process that sees it, which need not be the
 * keeper: if it is killed, running programs notice nothing. */

/* The keeper holds the root of image number i open with this descriptor plus i, so that others
 * can look at the mount without being inside. */
enum { KEEPER_ROOTS = 16 };

struct keeper {
    const struct stack *stack;
    struct registry registry;
    unsigned idle;       /* seconds */
    bool user_namespace; /* the caller has entered that of an earlier keeper */
    int lock;            /* of the registry's key; the keeper lets go of it when it can be found */
    int report;
};

/* Starts a keeper and waits until it is ready. IMPOSSIBLE: the registry takes no entry. */
enum outcome keeper_start(struct keeper *keeper);

#endif

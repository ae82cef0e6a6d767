#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box.h"

/* --- network ---------------------------------------------------------------------------------- */

bool box_leave_network(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    if (unshare(CLONE_NEWNET) != 0)
        return false;
    /* All that is there, and down at first. */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        ioctl(fd, SIOCSIFFLAGS, &request);
    }
    if (fd >= 0)
        close(fd);
    return true;
}

/* --- system calls ----------------------------------------------------------------------------- */

/* What <linux/filter.h>, <linux/seccomp.h> and <linux/audit.h> say; musl comes without these. */
struct line {
    uint16_t code;
    uint8_t when, unless; /* how many lines to skip */
    uint32_t value;
};
enum { LOAD = 0x20, IF_EQUAL = 0x15, IF_NOT_LESS = 0x35, IF_ANY_BIT = 0x45, RETURN = 0x06 };
enum { NUMBER = 0, ARCH = 4, ARGUMENTS = 16 };
enum { X86_64 = 0xC000003EU, I386 = 0x40000003, AARCH64 = 0xC00000B7U, ARM = 0x40000028 };
enum { ALLOWED = 0x7FFF0000, DENIED = 0x00050000 };

enum { ANY = -1, TYPE_INTO = 0x5412 /* TIOCSTI */, OF_CONSOLE = 0x541C /* TIOCLINUX */ };
enum { OF_KERNEL_KEYS = 38 /* AF_ALG */, TO_HYPERVISOR = 40 /* AF_VSOCK */ };

enum call {
    CALL_IOCTL,
    CALL_ADD_KEY,
    CALL_REQUEST_KEY,
    CALL_KEYCTL,
    CALL_SOCKET,
    CALL_SOCKETCALL,
    CALL_UNSHARE,
    CALL_CLONE,
    CALL_SHMGET,
    CALL_MSGGET,
    CALL_SEMGET,
    CALL_IPC,
    CALLS
};

/* These have one number everywhere. */
enum { RING = 425 /* io_uring_setup */, CLONE3 = 435 };

/* The kinds of programs that this machine runs, and how each numbers the calls; 0: has it not. */
static const struct kind {
    uint32_t arch, calls[CALLS];
} kinds[] = {
#if defined(__x86_64__) || defined(__aarch64__)
    {
#if defined(__x86_64__)
        X86_64,
#else
        AARCH64,
#endif
        {SYS_ioctl, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_socket, 0, SYS_unshare, SYS_clone,
         SYS_shmget, SYS_msgget, SYS_semget, 0}},
#endif
#if defined(__x86_64__)
    {I386, {54, 286, 287, 288, 359, 102, 310, 120, 395, 399, 393, 117}},
#elif defined(__aarch64__)
    {ARM, {54, 309, 310, 311, 281, 102, 337, 120, 307, 303, 299, 117}},
#endif
    {0},
};

/* A call that is answered with an error, if one of its arguments has some value, or some bit. */
static const struct denial {
    enum call call;
    int argument;
    uint32_t value;
    int error;
    bool bit;
    unsigned if_open; /* only where one of these could not be left */
} denials[] = {
    {CALL_IOCTL, 1, TYPE_INTO, EPERM, false, 0}, /* types into the terminal */
    {CALL_IOCTL, 1, OF_CONSOLE, EPERM, false, 0},
    {CALL_ADD_KEY, ANY, 0, ENOSYS, false, 0}, /* the user's tickets and passwords */
    {CALL_REQUEST_KEY, ANY, 0, ENOSYS, false, 0},
    {CALL_KEYCTL, ANY, 0, ENOSYS, false, 0},
    {CALL_SOCKET, 0, OF_KERNEL_KEYS, EACCES, false, 0},
    {CALL_SOCKET, 0, TO_HYPERVISOR, EACCES, false, 0}, /* to the machine around this one */
    {CALL_SOCKETCALL, ANY, 0, EACCES, false, 0},       /* whose arguments cannot be seen */
    {CALL_UNSHARE, 0, CLONE_NEWCGROUP, EPERM, true, 0}, /* in which the host's could be mounted */
    {CALL_CLONE, 0, CLONE_NEWCGROUP, EPERM, true, 0},
    {CALL_SOCKET, 0, AF_INET, EACCES, false, BOX_NETWORK},
    {CALL_SOCKET, 0, AF_INET6, EACCES, false, BOX_NETWORK},
    {CALL_SHMGET, ANY, 0, ENOSYS, false, BOX_SHARED_MEMORY},
    {CALL_MSGGET, ANY, 0, ENOSYS, false, BOX_SHARED_MEMORY},
    {CALL_SEMGET, ANY, 0, ENOSYS, false, BOX_SHARED_MEMORY},
    {CALL_IPC, ANY, 0, ENOSYS, false, BOX_SHARED_MEMORY},
};

enum { DENIALS = sizeof denials / sizeof denials[0] };

struct program {
    struct line lines[2 * (10 + 5 * DENIALS)];
    unsigned short count;
};

static void add(struct program *program, uint16_t code, uint32_t value, uint8_t unless)
{
    program->lines[program->count++] = (struct line){code, 0, unless, value};
}

static void deny(struct program *program, int error)
{
    add(program, RETURN, DENIED | (uint32_t)error, 0);
}

static void deny_call(struct program *program, uint32_t number, const struct denial *denial)
{
    add(program, LOAD, NUMBER, 0);
    add(program, IF_EQUAL, number, denial->argument == ANY ? 1 : 3);
    if (denial->argument != ANY) {
        /* Its low half, which is all that the kernel looks at; these machines have it first. */
        add(program, LOAD, ARGUMENTS + 8 * (uint32_t)denial->argument, 0);
        add(program, denial->bit ? IF_ANY_BIT : IF_EQUAL, denial->value, 1);
    }
    deny(program, denial->error);
}

static void deny_calls_of(struct program *program, const struct kind *kind, unsigned open)
{
    add(program, LOAD, NUMBER, 0);
    if (kind->arch == X86_64) { /* programs with short pointers, who number some differently */
        add(program, IF_NOT_LESS, 0x40000000, 1);
        deny(program, ENOSYS);
    }
    /* They do what other calls do, and say what in memory; libraries can do without. */
    add(program, IF_EQUAL, RING, 1);
    deny(program, ENOSYS);
    add(program, IF_EQUAL, CLONE3, 1);
    deny(program, ENOSYS);
    for (size_t i = 0; i < DENIALS; i++)
        if (kind->calls[denials[i].call] && (!denials[i].if_open || denials[i].if_open & open))
            deny_call(program, kind->calls[denials[i].call], &denials[i]);
}

static bool deny_calls(unsigned open)
{
    struct program program = {.count = 0};
    for (const struct kind *kind = kinds; kind->arch; kind++) {
        add(&program, LOAD, ARCH, 0);
        add(&program, IF_EQUAL, kind->arch, 0);
        unsigned short start = program.count;
        deny_calls_of(&program, kind, open);
        program.lines[start - 1].unless = (uint8_t)(program.count - start);
    }
    add(&program, RETURN, ALLOWED, 0);
    struct {
        unsigned short count;
        struct line *lines;
    } filter = {program.count, program.lines};
    if (prctl(PR_SET_SECCOMP, 2 /* a filter */, &filter) == 0)
        return true;
    /* A kernel without it; then a network that could not be left is open. */
    return !(open & BOX_NETWORK) ||
           fail("the network of this node cannot be kept from the build: %m\n"
                "ask the administrator to allow network namespaces (see sysctl "
                "user.max_net_namespaces), or say network = True in the recipe");
}

/* --- a second wall around what may be written --------------------------------------------------- */

/* Landlock, Linux 5.13; older headers do not have it. The numbers are the same on every machine. */
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
static const uint64_t of_files = 1 << 1 | 1 << 14;   /* write, and shorten */
static const uint64_t of_directories = 0x1ff0 | 1 << 13; /* make, remove, and move elsewhere */

static bool allow(int rules, const char *path, uint64_t rights)
{
    struct {
        uint64_t rights;
        int32_t fd;
    } __attribute__((packed)) rule = {rights, open(path, O_PATH | O_CLOEXEC)};
    struct stat status;
    if (rule.fd < 0 || fstat(rule.fd, &status) != 0)
        return false;
    if (!S_ISDIR(status.st_mode))
        rule.rights &= of_files;
    bool added = syscall(LANDLOCK_ADD, rules, 1, &rule, 0) == 0;
    close(rule.fd);
    return added;
}

void box_restrict(const struct box_mount *mounts, size_t count)
{
    long abi = syscall(LANDLOCK_CREATE, NULL, 0, 1 /* ask for the version */);
    if (abi < 1)
        return;
    struct {
        uint64_t files, network, scopes;
    } handled = {of_files | of_directories, 0, 1 | 2 /* abstract sockets, signals */};
    if (abi < 3)
        handled.files &= ~(uint64_t)(1 << 14);
    if (abi < 2)
        handled.files &= ~(uint64_t)(1 << 13);
    size_t size = abi < 4 ? 8 : abi < 6 ? 16 : 24;
    int rules = (int)syscall(LANDLOCK_CREATE, &handled, size, 0);
    bool complete = rules >= 0 && allow(rules, "/proc", handled.files) &&
                    allow(rules, "/dev", handled.files);
    for (size_t i = 0; complete && i < count; i++)
        if (mounts[i].kind != BOX_RO_BIND)
            complete = allow(rules, mounts[i].target, handled.files);
    if (complete)
        syscall(LANDLOCK_RESTRICT, rules, 0);
    if (rules >= 0)
        close(rules);
}

/* --- power ------------------------------------------------------------------------------------ */

static void drop_capabilities(void)
{
    /* By which root may make a user namespace, as everybody can, in which a stack is entered. */
    enum { SET_FILE_CAPABILITIES = 31 };
    uint32_t kept = geteuid() == 0 ? 1U << SET_FILE_CAPABILITIES : 0;
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } sets[2] = {{kept, kept, 0}, {0, 0, 0}};
    for (unsigned long i = 0; i < 64; i++)
        if (!(kept && i == SET_FILE_CAPABILITIES))
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &header, sets);
}

bool box_give_up_power(unsigned open)
{
    drop_capabilities();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return deny_calls(open);
}

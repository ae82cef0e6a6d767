/* What the relay must know of the FUSE protocol (Linux: include/uapi/linux/fuse.h). */
#ifndef TYKKY_RELAY_PROTOCOL_H
#define TYKKY_RELAY_PROTOCOL_H

#include <stdint.h>

enum {
    FUSE_LOOKUP = 1,
    FUSE_FORGET = 2,
    FUSE_GETATTR = 3,
    FUSE_READLINK = 5,
    FUSE_OPEN = 14,
    FUSE_READ = 15,
    FUSE_STATFS = 17,
    FUSE_RELEASE = 18,
    FUSE_GETXATTR = 22,
    FUSE_LISTXATTR = 23,
    FUSE_INIT = 26,
    FUSE_OPENDIR = 27,
    FUSE_READDIR = 28,
    FUSE_RELEASEDIR = 29,
    FUSE_INTERRUPT = 36,
    FUSE_DESTROY = 38,
    FUSE_BATCH_FORGET = 42,
    FUSE_READDIRPLUS = 44,
};

/* Flags of FUSE_INIT: what the kernel offers, and what is wanted of it. */
enum {
    FUSE_NO_OPEN_SUPPORT = 1 << 17,    /* Linux 4.7 */
    FUSE_MAX_PAGES = 1 << 22,          /* Linux 4.20 */
    FUSE_CACHE_SYMLINKS = 1 << 23,     /* Linux 4.20 */
    FUSE_NO_OPENDIR_SUPPORT = 1 << 24, /* Linux 5.1 */
    FUSE_INIT_EXT = 1 << 30,           /* Linux 5.17 */
};

struct fuse_request {
    uint32_t length, opcode;
    uint64_t unique, node;
    uint32_t uid, gid, pid, padding;
};

struct fuse_answer {
    uint32_t length;
    int32_t error;
    uint64_t unique;
};

struct fuse_init {
    uint32_t major, minor, max_readahead, flags; /* the same in request and answer */
    uint16_t max_background, congestion;
    uint32_t max_write;
};

/* Of a read of a file or a directory; more follows that the relay passes on. */
struct fuse_read {
    uint64_t handle, offset;
};

struct fuse_open {
    uint32_t flags, open_flags;
};

struct fuse_opened {
    uint64_t handle;
};

struct fuse_release {
    uint64_t handle;
    uint32_t flags, release_flags;
    uint64_t lock_owner;
};

struct fuse_batch_forget {
    uint32_t count, padding;
};

struct fuse_forget_one {
    uint64_t node, lookups;
};

#endif

/* The keys of launch.conf: what reads the value of each. */
#ifndef TYKKY_CONF_KEYS_H
#define TYKKY_CONF_KEYS_H

#include "conf.h"

struct parser {
    struct conf *conf;
    struct problem *problem;
    unsigned line;
    uint64_t seen; /* one bit for each key */
};

enum repeat { ONCE, NEEDED, REPEATED };

struct key {
    const char *name;
    bool (*read)(struct parser *p, char *value);
    enum repeat repeat;
};

extern const struct key conf_keys[]; /* `format` is the first */
extern const unsigned conf_key_count;

/* Says what is wrong in the present line, and about which word (or NULL). Returns false. */
bool conf_refuse(struct parser *p, const char *what, const char *word);

#endif

/* What one command needs: its own install, and those that it is used together with. */
#ifndef TYKKY_STACK_H
#define TYKKY_STACK_H

#include <limits.h>
#include <sys/stat.h>

#include "conf.h"
#include "problem.h"

enum { MAX_INSTALLS = 16 };

struct image {
    char file[PATH_MAX];
    struct stat status;
    const char *target; /* the directory that it covers */
};

struct stack {
    struct conf confs[MAX_INSTALLS]; /* [0] is the command's own */
    struct image images[MAX_INSTALLS];
    size_t count;
};

/* Reads the command's own launch.conf and, from there, those of all that it needs. */
bool stack_read(struct stack *stack, const char *file, struct problem *problem);

/* Looks at the image files: are they there, and which are they? */
bool stack_find_images(struct stack *stack, struct problem *problem);

/* Checks that every image is whole; for the one who mounts them. */
bool stack_check_images(const struct stack *stack, struct problem *problem);

#endif

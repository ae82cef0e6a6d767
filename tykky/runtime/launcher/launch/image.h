/* A squashfs image: is it whole, before anything is mounted? */
#ifndef TYKKY_IMAGE_H
#define TYKKY_IMAGE_H

#include <stdint.h>
#include <sys/stat.h>

#include "../common/problem.h"

struct image {
    const char *file;
    struct stat status;
    uint64_t size, offset;
    const char *target; /* the directory that it covers; "/" for a root */
};

/* Checks that it is a file of its size that this user can read, with a squashfs in it that begins
 * at its offset and is whole. */
bool image_check(const struct image *image);

/* Says, from errno, why the image cannot be had. Returns false. */
bool image_missing(const char *path);

/* Whether it has extended attributes, as far as can be told. */
bool image_has_attributes(const struct image *image);

#endif

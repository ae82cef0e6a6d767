/* The squashfs image: is it whole, before anything is mounted? */
#ifndef TYKKY_IMAGE_H
#define TYKKY_IMAGE_H

#include <stdint.h>

#include "../common/problem.h"

/* Checks that `path` is a file of `size` bytes that this user can read, with a squashfs in it that
 * begins at `offset` and is whole. */
bool image_check(const char *path, uint64_t size, uint64_t offset);

/* Says, from errno, why the image cannot be had. Returns false. */
bool image_missing(const char *path);

/* Whether it has extended attributes, as far as can be told. */
bool image_has_attributes(const char *path, uint64_t offset);

#endif

/* The squashfs image: is it whole, before anything is mounted? */
#ifndef TYKKY_IMAGE_H
#define TYKKY_IMAGE_H

#include <stdint.h>

#include "problem.h"

/* Checks that `path` is a squashfs image of `size` bytes that this user can read. */
bool image_check(const char *path, uint64_t size, struct problem *problem);

/* Says, from errno, why the image cannot be had. Returns false. */
bool image_missing(const char *path, struct problem *problem);

#endif

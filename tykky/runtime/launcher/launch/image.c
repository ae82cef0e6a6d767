#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "stack.h"

/* The superblock of squashfs 4.0, little endian (Linux: Documentation/filesystems/squashfs.rst):
 * magic at byte 0, major version at 28, bytes used at 40, where extended attributes begin at 56. */
enum { SUPERBLOCK = 96, VERSION_AT = 28, BYTES_USED_AT = 40, ATTRIBUTES_AT = 56 };

static uint64_t little_endian(const unsigned char *bytes, unsigned count)
{
    uint64_t number = 0;
    while (count--)
        number = number << 8 | bytes[count];
    return number;
}

static bool check_open_image(int fd, const char *path, uint64_t size, uint64_t offset)
{
    struct stat status;
    unsigned char block[SUPERBLOCK];
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return fail("the image %s is not a regular file\n"
                    "install the stack again",
                    path);
    if ((uint64_t)status.st_size != size)
        fail("the image %s is damaged: it has %" PRIu64 " bytes instead of %" PRIu64, path,
             (uint64_t)status.st_size, size);
    else if (pread(fd, block, sizeof block, (off_t)offset) != sizeof block ||
             memcmp(block, "hsqs", 4) != 0 || little_endian(block + VERSION_AT, 2) != 4)
        fail("the image %s is not a squashfs 4 image", path);
    else if (offset > size || little_endian(block + BYTES_USED_AT, 8) > size - offset)
        fail("the image %s is damaged: its end is missing", path);
    else
        return true;
    return remedy("install the stack again, or restore the file from a copy");
}

bool image_missing(const char *path)
{
    problem.out_of_sight = errno == ENOENT;
    fail("cannot read the image %s: %m", path);
    return remedy(errno == ENOENT ? "install the stack again"
                                  : "ask the owner of the install to make it readable for you");
}

bool image_check(const struct image *image)
{
    int fd = open_file(image->file, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return image_missing(image->file);
    bool good = check_open_image(fd, image->file, image->size, image->offset);
    close(fd);
    return good;
}

bool image_has_attributes(const struct image *image)
{
    unsigned char where[8];
    int fd = open_file(image->file, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    ssize_t length = pread(fd, where, sizeof where, (off_t)image->offset + ATTRIBUTES_AT);
    close(fd);
    return length != sizeof where || little_endian(where, sizeof where) != UINT64_MAX;
}

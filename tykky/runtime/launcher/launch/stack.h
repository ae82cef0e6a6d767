/* What one command needs: its own install, and those that it is used together with. */
#ifndef TYKKY_STACK_H
#define TYKKY_STACK_H

#include "conf.h"
#include "image.h"
#include "place.h"

enum { MAX_INSTALLS = 16, MAX_IMAGES = 32 };

struct stack {
    struct conf confs[MAX_INSTALLS]; /* [0] is the command's own */
    size_t count;
    struct image images[MAX_IMAGES]; /* if there is a root image, it is the first */
    size_t image_count;
    const char *root_directory; /* instead of a root image */
    struct mount *mounts;       /* of all of them, in their order, without needs and the root */
    size_t mount_count;
};

/* Reads the command's own launch.conf, of the generation that it is pinned to or else the current
 * one, and from there those of all that it needs. */
bool stack_read(struct stack *stack, const struct place *place);

/* Lists the mounts. Looks at the image files: are they there, and which are they? And puts the
 * values of variables into the paths of binds; one whose variable has no path is left out if it is
 * optional. */
bool stack_find(struct stack *stack);

/* Looks at the file of an image that covers `target`, and adds it to the images; or NULL. */
struct image *stack_add_image(struct stack *stack, const char *file, const char *target);

/* Checks that every image is whole; for the one who mounts them. */
bool stack_check_images(const struct stack *stack);

/* Whether the commands of an install stay launchers when its images are mounted: the prefix is not
 * covered. */
bool stays_outside(const struct conf *conf);

/* Pins every install whose commands stay launchers: what the program starts is of its generation,
 * and inside already, whatever becomes the current one meanwhile. */
void stack_pin(const struct stack *stack, const struct place *place);

#endif

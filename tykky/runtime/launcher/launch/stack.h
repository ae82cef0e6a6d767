/* What one command needs: its own install, and those that it is used together with. */
#ifndef TYKKY_STACK_H
#define TYKKY_STACK_H

#include "conf.h"
#include "place.h"

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

/* A file that has the images in it, and the image server with them (see ../runnable). */
struct carrier {
    const char *file;
    struct stat status;
    /* Makes the server ready, in a namespace of the process's own: how many `words`, at most
     * WORDS_BEFORE, stand before its arguments on its command line; 0: it cannot, with errno. */
    size_t (*unpack)(const struct carrier *carrier, char **words);
};

/* A directory that each node has, and nobody keeps files in. */
#define SPARE_DIRECTORY "/proc/sys"

enum { MAX_INSTALLS = 16, MAX_IMAGES = 32, WORDS_BEFORE = 4 };

struct stack {
    struct conf confs[MAX_INSTALLS]; /* [0] is the command's own */
    size_t count;
    struct image images[MAX_IMAGES]; /* if there is a root image, it is the first */
    size_t image_count;
    const char *root_directory; /* instead of a root image */
    struct mount *mounts;       /* of all of them, in their order, without needs and the root */
    size_t mount_count;
    const struct carrier *carrier; /* NULL: the images are those of the installs */
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

/* Puts a mount before the one that has that number; there must be room for it. */
void stack_insert(struct stack *stack, size_t at, const struct mount *mount);

/* Checks that every image is whole; for the one who mounts them. */
bool stack_check_images(const struct stack *stack);

/* Enters the namespace of the stack: that of its keeper, or a new one. Afterwards it says whether
 * the process is in a user namespace of ours. The working directory stays, by its path. */
bool stack_enter(const struct stack *stack, bool *user_namespace);

bool stack_has_layers(const struct stack *stack);

/* For Apptainer, whose overlays lie over / and nowhere else: enters a namespace in which each image
 * is mounted, with its layers, where nothing else is, and makes a bind of each. */
bool stack_join_layers(struct stack *stack, bool *user_namespace);

/* Says, if this node forbids what layers need, what makes the stack do without. Returns false. */
bool layers_explain(const struct stack *stack);

/* Whether the commands of an install stay launchers when its images are mounted: the prefix is not
 * covered. */
bool stays_outside(const struct conf *conf);

/* Pins every install whose commands stay launchers: what the program starts is of its generation,
 * and inside already, whatever becomes the current one meanwhile. */
void stack_pin(const struct stack *stack, const struct place *place);

/* --- what users of the classic commands want to be mounted besides -------------------------------
 *
 * They say it in variables, as apptainer's --bind has it: SOURCE[:TARGET[:OPTION]] between commas.
 * An image has the option image-src=/; the install's own is left out. */

/* CW_EXTRA_BIND_MOUNTS, for installs that are not isolated. */
bool extra_add(struct stack *stack);

/* APPTAINER_BIND and its other spellings, for whom there is no Apptainer that reads them. */
bool extra_add_of_apptainer(struct stack *stack);

/* --- is this process inside a stack already? -------------------------------------------------- */

/* Whether the command was called from inside this stack: its own image is mounted, and it stayed a
 * launcher because its prefix is not covered; or a command of it has started the container. */
bool inside_this_stack(const struct stack *stack);

/* The stack around this process, by its image or its prefix, if that is another one; or NULL. */
const char *inside_other(const struct stack *stack);

/* For a stack that refuses it: false, with a problem, if this is inside another stack, or in a
 * container that a command of another one has started. */
bool inside_check_others(const struct stack *stack);

/* Says, if something that is needed was out of sight, that this may be because of the stack around
 * this process. Returns false. */
bool inside_explain(const struct stack *stack);

#endif

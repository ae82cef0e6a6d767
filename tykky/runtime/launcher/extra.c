#include "extra.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_values.h"
#include "image.h"

#define VARIABLE "CW_EXTRA_BIND_MOUNTS"

static bool refuse(const char *what, const char *word, struct problem *problem)
{
    cause(problem, VARIABLE " has '%.300s', %s", word, what);
    return remedy(problem, "write SOURCE:TARGET with absolute paths, IMAGE:TARGET:image-src=/ for "
                           "an image, and commas between them; or unset it");
}

static bool add_image(struct stack *stack, const char *file, const char *target,
                      struct problem *problem)
{
    if (stack->image_count == MAX_IMAGES)
        return refuse("one image more than can be mounted", file, problem);
    struct image *image = &stack->images[stack->image_count];
    *image = (struct image){.target = target};
    if (snprintf(image->file, sizeof image->file, "%s", file) >= (int)sizeof image->file)
        return refuse("whose path is too long", file, problem);
    if (stat(image->file, &image->status) != 0)
        return image_missing(image->file, problem);
    image->size = (uint64_t)image->status.st_size;
    stack->image_count++;
    return true;
}

static bool add_entry(struct stack *stack, char *entry, struct problem *problem)
{
    struct conf *conf = &stack->confs[0];
    char *target = strchr(entry, ':'), *options = NULL;
    if (target) {
        *target++ = '\0';
        if ((options = strchr(target, ':')))
            *options++ = '\0';
    } else {
        target = entry;
    }
    if (!is_absolute_path(entry) || !is_absolute_path(target))
        return refuse("which is no absolute path", is_absolute_path(entry) ? target : entry,
                      problem);
    if (strcmp(target, conf->target) == 0)
        return true;
    if (options && strstr(options, "image-src="))
        return add_image(stack, entry, target, problem);
    conf->binds[conf->bind_count++] = (struct bind){.source = entry, .target = target};
    return true;
}

bool extra_add(struct stack *stack, struct problem *problem)
{
    struct conf *conf = &stack->confs[0];
    const char *value = getenv(VARIABLE);
    if (!conf->relocatable || conf->root || !value || !*value)
        return true;
    size_t count = conf->bind_count + 1;
    for (const char *c = value; *c; c++)
        count += *c == ',';
    char *text = strdup(value); /* entries point into it as long as the launcher lives */
    struct bind *binds = realloc(conf->binds, count * sizeof *binds);
    if (binds)
        conf->binds = binds;
    if (!text || !binds) {
        cause(problem, "no memory for " VARIABLE);
        return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
    }
    char *save = NULL;
    for (char *entry = strtok_r(text, ",", &save); entry; entry = strtok_r(NULL, ",", &save))
        if (!add_entry(stack, entry, problem))
            return false;
    return true;
}

#include "relocate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_values.h"
#include "place.h"

struct directory_names {
    const char *prefix; /* NULL: the install cannot be moved */
    char generation[PATH_MAX];
};

static bool replace(const char **value, const char *token, const char *directory)
{
    const char *rest = directory ? after_token(*value, token) : NULL;
    if (!rest)
        return true;
    size_t size = strlen(directory) + strlen(rest) + 1;
    char *whole = malloc(size); /* lives as long as the launcher */
    if (!whole)
        return false;
    snprintf(whole, size, "%s%s", directory, rest);
    *value = whole;
    return true;
}

static bool replace_both(const char **path, const struct directory_names *names)
{
    return replace(path, PREFIX_TOKEN, names->prefix) &&
           replace(path, GENERATION_TOKEN, names->generation);
}

bool relocate(struct conf *conf, const char *prefix, const char *generation,
              struct problem *problem)
{
    struct directory_names names = {.prefix = conf->relocatable ? prefix : NULL};
    if (conf->relocatable)
        conf->prefix = prefix;
    if (generation)
        conf->generation = generation;
    bool good = place_file(names.generation, conf->prefix, "generations", conf->generation) &&
                replace_both(&conf->root, &names) && replace_both(&conf->container, &names);
    for (size_t i = 0; good && i < conf->env_count; i++)
        good = replace(&conf->env[i].value, PREFIX_TOKEN, names.prefix);
    for (size_t i = 0; good && i < conf->mount_count; i++)
        if (conf->mounts[i].kind != MOUNT_NEED)
            good = replace_both(&conf->mounts[i].source, &names) &&
                   replace(&conf->mounts[i].target, PREFIX_TOKEN, names.prefix);
    if (good)
        return true;
    cause(problem, "no memory to read the stack %s, or its path is too long", conf->name);
    return remedy(problem, "free some memory, raise the limit (ulimit -v), or install the stack at "
                           "a shorter path");
}

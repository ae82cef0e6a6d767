#include "relocate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_values.h"

static const char token[] = "$PREFIX";

/* What follows the token; NULL if the value does not begin with it. */
static const char *after_token(const char *value)
{
    size_t length = sizeof token - 1;
    if (!value || strncmp(value, token, length) != 0)
        return NULL;
    const char *rest = value + length;
    return *rest == '/' || *rest == ':' || *rest == '\0' ? rest : NULL;
}

bool is_prefix_path(const char *path)
{
    return after_token(path) && is_variable_path(path);
}

static bool replace(const char **value, const char *prefix)
{
    const char *rest = after_token(*value);
    if (!rest)
        return true;
    size_t size = strlen(prefix) + strlen(rest) + 1;
    char *whole = malloc(size); /* lives as long as the launcher */
    if (!whole)
        return false;
    snprintf(whole, size, "%s%s", prefix, rest);
    *value = whole;
    return true;
}

bool relocate(struct conf *conf, const char *prefix, struct problem *problem)
{
    if (!conf->relocatable)
        return true;
    if (conf->target == conf->prefix)
        conf->target = prefix;
    conf->prefix = prefix;
    bool good = replace(&conf->root, prefix) && replace(&conf->container, prefix);
    for (size_t i = 0; good && i < conf->env_count; i++)
        good = replace(&conf->env[i].value, prefix);
    for (size_t i = 0; good && i < conf->bind_count; i++)
        good = replace(&conf->binds[i].source, prefix) && replace(&conf->binds[i].target, prefix);
    if (good)
        return true;
    cause(problem, "no memory to read the stack %s", conf->name);
    return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
}

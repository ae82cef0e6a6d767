#include "environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool starts_with_item(const char *list, const char *item)
{
    size_t length = strlen(item);
    return strncmp(list, item, length) == 0 && (list[length] == ':' || list[length] == '\0');
}

static bool ends_with_item(const char *list, const char *item)
{
    size_t all = strlen(list), length = strlen(item);
    return all >= length && strcmp(list + all - length, item) == 0 &&
           (all == length || list[all - length - 1] == ':');
}

/* An empty list stays without an empty item, which would mean the working directory. */
static bool add(const struct env_op *op, const char *list)
{
    if (!list || !*list)
        return setenv(op->name, op->value, 1) == 0;
    bool first = op->action == ENV_PREPEND;
    if (first ? starts_with_item(list, op->value) : ends_with_item(list, op->value))
        return true;
    size_t size = strlen(list) + strlen(op->value) + 2;
    char *joined = malloc(size);
    if (!joined)
        return false;
    snprintf(joined, size, "%s:%s", first ? op->value : list, first ? list : op->value);
    bool done = setenv(op->name, joined, 1) == 0;
    free(joined);
    return done;
}

static bool apply(const struct env_op *op)
{
    switch (op->action) {
    case ENV_SET:
        return setenv(op->name, op->value, 1) == 0;
    case ENV_UNSET:
        return unsetenv(op->name) == 0;
    default:
        return add(op, getenv(op->name));
    }
}

bool environment_apply(const struct conf *conf, struct problem *problem)
{
    for (size_t i = 0; i < conf->env_count; i++)
        if (!apply(&conf->env[i])) {
            cause(problem, "no memory to set the variable %s", conf->env[i].name);
            return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
        }
    return true;
}

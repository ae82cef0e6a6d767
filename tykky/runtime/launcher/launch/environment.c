#define _GNU_SOURCE
#include "environment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static bool has_item(const char *list, const char *item)
{
    for (; list; list = strchr(list, ':'), list = list ? list + 1 : NULL)
        if (starts_with_item(list, item))
            return true;
    return false;
}

static bool stands_there(enum env_action action, const char *list, const char *item)
{
    switch (action) {
    case ENV_APPEND: return ends_with_item(list, item);
    case ENV_INSERT: return has_item(list, item);
    default: return starts_with_item(list, item);
    }
}

/* An empty list stays without an empty item, which would mean the working directory. */
static bool add(enum env_action action, const char *name, const char *item)
{
    const char *list = getenv(name);
    if (!list || !*list)
        return setenv(name, item, 1) == 0;
    if (stands_there(action, list, item))
        return true;
    bool last = action == ENV_APPEND;
    size_t size = strlen(list) + strlen(item) + 2;
    char *joined = malloc(size);
    if (!joined)
        return false;
    snprintf(joined, size, "%s:%s", last ? list : item, last ? item : list);
    bool done = setenv(name, joined, 1) == 0;
    free(joined);
    return done;
}

/* A variable of whoever calls; those that say who and where have a value in any case. */
static const char *look_up(const char *name)
{
    static char host[HOST_NAME_MAX + 1];
    const char *value = getenv(name);
    if (value && *value)
        return value;
    if (strcmp(name, "TMPDIR") == 0)
        return "/tmp";
    if (strcmp(name, "USER") == 0 && (value = getenv("LOGNAME")))
        return value;
    if (strcmp(name, "HOSTNAME") == 0 && gethostname(host, sizeof host - 1) == 0)
        return host;
    return "";
}

/* Writes what a template means: ${NAME} is a variable, $$ is a dollar. */
static void expand(FILE *out, const char *template)
{
    char name[256];
    for (const char *from = template; *from; from++) {
        const char *end = from[0] == '$' && from[1] == '{' ? strchr(from, '}') : NULL;
        size_t length = end ? (size_t)(end - from) - 2 : 0;
        if (end && length < sizeof name) {
            memcpy(name, from + 2, length);
            name[length] = '\0';
            fputs(look_up(name), out);
            from = end;
        } else {
            fputc(*from, out);
            from += from[0] == '$' && from[1] == '$';
        }
    }
}

static bool set_expanded(const char *name, const char *template)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return false;
    expand(out, template);
    bool done = fclose(out) == 0 && setenv(name, text, 1) == 0;
    free(text);
    return done;
}

static bool apply(const struct env_op *op)
{
    const char *value = getenv(op->name);
    switch (op->action) {
    case ENV_SET: return setenv(op->name, op->value, 1) == 0;
    case ENV_UNSET: return unsetenv(op->name) == 0;
    case ENV_DEFAULT: return (value && *value) || set_expanded(op->name, op->value);
    case ENV_EXPAND: return set_expanded(op->name, op->value);
    default: return add(op->action, op->name, op->value);
    }
}

static bool no_memory(const char *name, struct problem *problem)
{
    cause(problem, "no memory to set the variable %s", name);
    return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
}

bool environment_apply(const struct conf *conf, enum activation activation, struct problem *problem)
{
    for (size_t i = 0; i < conf->env_count; i++) {
        const struct env_op *op = &conf->env[i];
        if (op->activates && activation == ACTIVATION_OFF)
            continue;
        if (!apply(op))
            return no_memory(op->name, problem);
    }
    return true;
}

/* --- what is set for the inside of containers -------------------------------------------------- */

/* Without the empty items of a list, which would mean the working directory. */
static void squeeze(char *list)
{
    char *to = list;
    for (const char *from = list; *from; from++)
        if (*from != ':' || (to > list && from[1] && from[1] != ':'))
            *to++ = *from;
    *to = '\0';
}

static bool take_list(enum env_action action, const char *name, const char *value)
{
    char *list = strdup(value);
    if (list)
        squeeze(list);
    bool done = list && (!*list || add(action, name, list));
    free(list);
    return done;
}

static bool take(const char *name, const char *value, bool others, bool lists)
{
    if (strcmp(name, "PATH") == 0 || strcmp(name, "PREPEND_PATH") == 0)
        return !lists || take_list(ENV_PREPEND, "PATH", value);
    if (strcmp(name, "APPEND_PATH") == 0)
        return !lists || take_list(ENV_APPEND, "PATH", value);
    if (strcmp(name, "LD_LIBRARY_PATH") == 0)
        return !lists || take_list(ENV_PREPEND, name, value);
    return !others || !*name || strcmp(name, "HOME") == 0 || setenv(name, value, 1) == 0;
}

/* Takes a variable that begins with `prefix`; `other` is the spelling that counts before it. */
static bool take_variable(const char *variable, const char *prefix, const char *other, bool others,
                          bool lists)
{
    char name[256], rival[sizeof name + 32];
    size_t skip = strlen(prefix), length = strcspn(variable, "=");
    if (strncmp(variable, prefix, skip) != 0 || !variable[length] || length - skip >= sizeof name)
        return true;
    snprintf(name, sizeof name, "%.*s", (int)(length - skip), variable + skip);
    snprintf(rival, sizeof rival, "%s%s", other, name);
    return (*other && getenv(rival)) || take(name, variable + length + 1, others, lists);
}

bool environment_take(bool others, bool lists, struct problem *problem)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **all = calloc(count + 1, sizeof *all); /* setting one may move them */
    bool done = all != NULL;
    for (size_t i = 0; done && i < count; i++)
        all[i] = environ[i];
    for (size_t i = 0; done && i < count; i++)
        done = take_variable(all[i], "SINGULARITYENV_", "APPTAINERENV_", others, lists) &&
               take_variable(all[i], "APPTAINERENV_", "", others, lists);
    free(all);
    return done || no_memory("of a container", problem);
}

/* --- conda ------------------------------------------------------------------------------------ */

/* The directory above the one that `invoked` lies in, followed by `tail`. */
static bool above(char path[PATH_MAX], const char *invoked, const char *tail)
{
    const char *slash = strrchr(invoked, '/');
    return slash &&
           snprintf(path, PATH_MAX, "%.*s/../%s", (int)(slash - invoked), invoked, tail) < PATH_MAX;
}

static bool wished(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

enum activation environment_activation(const char *invoked)
{
    char settings[PATH_MAX];
    if (wished("CW_NO_CONDA_ACTIVATE"))
        return ACTIVATION_OFF;
    if (!above(settings, invoked, "pyvenv.cfg") || access(settings, F_OK) != 0)
        return ACTIVATION_ON;
    return wished("CW_FORCE_CONDA_ACTIVATE") ? ACTIVATION_FORCED : ACTIVATION_OFF;
}

bool environment_join_venv(const char *invoked, struct problem *problem)
{
    char path[PATH_MAX], venv[PATH_MAX + sizeof "/bin"];
    if (!above(path, invoked, "") || !realpath(path, venv))
        return true;
    if (setenv("VIRTUAL_ENV", venv, 1) != 0)
        return no_memory("VIRTUAL_ENV", problem);
    strcat(venv, "/bin");
    return add(ENV_PREPEND, "PATH", venv) || no_memory("PATH", problem);
}

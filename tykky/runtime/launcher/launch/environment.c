#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

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
static void add(enum env_action action, const char *name, const char *item)
{
    const char *list = getenv(name);
    if (!list || !*list)
        set_variable(name, item);
    else if (!stands_there(action, list, item))
        set_variable(name, action == ENV_APPEND ? format("%s:%s", list, item)
                                                : format("%s:%s", item, list));
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
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
    if (strcmp(name, "XDG_CACHE_HOME") == 0 && (value = getenv("HOME")))
        return format("%s/.cache", value);
    if (strcmp(name, "USER") == 0 && (value = getenv("LOGNAME")))
        return value;
    if (strcmp(name, "HOSTNAME") == 0 && gethostname(host, sizeof host - 1) == 0)
        return host;
    return "";
}

/* Sets what a template means: ${NAME} is a variable, $$ is a dollar. */
static void set_expanded(const char *name, const char *template)
{
    const char *text = "", *end;
    for (const char *from = template; *from; from = end) {
        if (strncmp(from, "${", 2) == 0 && (end = strchr(from, '}'))) {
            char *of = format("%.*s", (int)(end++ - from) - 2, from + 2);
            text = format("%s%s", text, look_up(of));
        } else if (strncmp(from, "$$", 2) == 0) {
            end = from + 2;
            text = format("%s$", text);
        } else {
            end = from + 1 + strcspn(from + 1, "$");
            text = format("%s%.*s", text, (int)(end - from), from);
        }
    }
    set_variable(name, text);
}

static void apply(const struct env_op *op)
{
    switch (op->action) {
    case ENV_SET:
    case ENV_UNSET: set_variable(op->name, op->value); break;
    case ENV_EXPAND: set_expanded(op->name, op->value); break;
    case ENV_DEFAULT:
        if (!is_set(op->name))
            set_expanded(op->name, op->value);
        break;
    default: add(op->action, op->name, op->value);
    }
}

void environment_apply(const struct conf *conf, enum activation activation)
{
    for (size_t i = 0; i < conf->env_count; i++)
        if (!conf->env[i].activates || activation != ACTIVATION_OFF)
            apply(&conf->env[i]);
}

/* --- what is set for the inside of containers ------------------------------------------------- */

/* Without the empty items of the list, which would mean the working directory. */
static void take_list(enum env_action action, const char *name, const char *value)
{
    char *list = format("%s", value), *to = list;
    for (const char *from = list; *from; from++)
        if (*from != ':' || (to > list && from[1] && from[1] != ':'))
            *to++ = *from;
    *to = '\0';
    if (*list)
        add(action, name, list);
}

static void take(const char *name, const char *value, enum take what)
{
    bool path = strcmp(name, "PATH") == 0 || strcmp(name, "PREPEND_PATH") == 0;
    bool append = strcmp(name, "APPEND_PATH") == 0, library = strcmp(name, "LD_LIBRARY_PATH") == 0;
    if (path || append || library) {
        if (what & TAKE_LISTS)
            take_list(append ? ENV_APPEND : ENV_PREPEND, library ? name : "PATH", value);
    } else if (what & TAKE_OTHERS && *name && strcmp(name, "HOME") != 0) {
        set_variable(name, value);
    }
}

/* Takes a variable that begins with `prefix`; `other` is the spelling that counts before it. */
static void take_variable(const char *variable, const char *prefix, const char *other,
                          enum take what)
{
    size_t skip = strlen(prefix), length = strcspn(variable, "=");
    if (strncmp(variable, prefix, skip) != 0 || !variable[length])
        return;
    const char *name = format("%.*s", (int)(length - skip), variable + skip);
    if (!*other || !getenv(format("%s%s", other, name)))
        take(name, variable + length + 1, what);
}

void environment_take(enum take what)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **all = allocate(count, sizeof *all); /* setting one may move them */
    memcpy(all, environ, count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        take_variable(all[i], "SINGULARITYENV_", "APPTAINERENV_", what);
        take_variable(all[i], "APPTAINERENV_", "", what);
    }
}

/* --- conda ------------------------------------------------------------------------------------ */

/* The directory above the one that `invoked` lies in, followed by `tail`. */
static char *above(const char *invoked, const char *tail)
{
    return format("%.*s/../%s", (int)(strrchr(invoked, '/') - invoked), invoked, tail);
}

enum activation environment_activation(const char *invoked)
{
    if (is_set("CW_NO_CONDA_ACTIVATE"))
        return ACTIVATION_OFF;
    if (access(above(invoked, "pyvenv.cfg"), F_OK) != 0)
        return ACTIVATION_ON;
    return is_set("CW_FORCE_CONDA_ACTIVATE") ? ACTIVATION_FORCED : ACTIVATION_OFF;
}

void environment_keep_venv(const struct conf *conf, const char *invoked)
{
    bool replaced = false;
    for (size_t i = 0; i < conf->env_count; i++)
        replaced |= conf->env[i].action == ENV_SET && strcmp(conf->env[i].name, "PATH") == 0;
    const char *venv = replaced ? realpath(above(invoked, ""), NULL) : NULL;
    if (venv && access(format("%s/pyvenv.cfg", venv), F_OK) == 0)
        add(ENV_PREPEND, "PATH", format("%s/bin", venv));
}

void environment_join_venv(const char *invoked)
{
    const char *venv = realpath(above(invoked, ""), NULL);
    if (!venv)
        return;
    set_variable("VIRTUAL_ENV", venv);
    add(ENV_PREPEND, "PATH", format("%s/bin", venv));
}

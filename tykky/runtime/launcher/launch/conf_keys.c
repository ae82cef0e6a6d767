#include "conf_keys.h"

#include <string.h>

#include "conf_values.h"
#include "relocate.h"

bool conf_refuse(struct parser *p, const char *what, const char *word)
{
    const char *quote = word ? "'" : "";
    cause(p->problem, "%s:%u: %s%s%s%.200s%s", p->conf->file, p->line, what, word ? " " : "", quote,
          word ? word : "", quote);
    return remedy(p->problem, "the file does not belong to this launcher or was edited by hand; "
                              "install the stack again, or run 'tykky refresh'");
}

/* --- one function for each kind of value ------------------------------------------------------ */

static bool read_path(struct parser *p, char *value, const char **path)
{
    *path = value;
    return is_absolute_path(value) || conf_refuse(p, "not an absolute, plain path:", value);
}

/* The same; or below the install, wherever that lies. */
static bool read_own_path(struct parser *p, char *value, const char **path)
{
    *path = value;
    return is_prefix_path(value) || read_path(p, value, path);
}

static bool read_number(struct parser *p, char *value, uint64_t *number)
{
    return parse_number(value, INT64_MAX, number) ||
           conf_refuse(p, "not a number of bytes:", value);
}

static bool read_seconds(struct parser *p, const char *value, unsigned *seconds)
{
    uint64_t number;
    if (!parse_number(value, 7 * 24 * 3600, &number) || number == 0)
        return conf_refuse(p, "not a number of seconds from 1 to 604800:", value);
    *seconds = (unsigned)number;
    return true;
}

static bool read_choice(struct parser *p, const char *value, const char *const *choices,
                        unsigned *choice)
{
    for (*choice = 0; choices[*choice]; ++*choice)
        if (strcmp(choices[*choice], value) == 0)
            return true;
    return conf_refuse(p, "not a value that this key can have:", value);
}

static bool read_listed_path(struct parser *p, char *value, struct list *list)
{
    return read_path(p, value, &list->items[list->count++]);
}

static bool read_env(struct parser *p, enum env_action action, char *value)
{
    char *rest = action == ENV_UNSET ? NULL : strchr(value, ' ');
    if (action != ENV_UNSET) {
        if (!rest)
            return conf_refuse(p, "a variable needs a name and a value:", value);
        *rest++ = '\0';
        if (!*rest && action != ENV_SET)
            return conf_refuse(p, "nothing to add to", value);
    }
    if (!value[0] || strpbrk(value, "= "))
        return conf_refuse(p, "not the name of a variable:", value);
    p->conf->env[p->conf->env_count++] = (struct env_op){action, value, rest, false};
    return true;
}

/* An operation whose name is the first word. */
static bool read_activation(struct parser *p, char *value)
{
    static const char *const names[] = {"set",    "prepend", "append",  "unset",
                                        "insert", "expand",  "default", NULL};
    unsigned action;
    char *rest = strchr(value, ' ');
    if (!rest)
        return conf_refuse(p, "not an operation on a variable:", value);
    *rest++ = '\0';
    if (!read_choice(p, value, names, &action) || !read_env(p, (enum env_action)action, rest))
        return false;
    p->conf->env[p->conf->env_count - 1].activates = true;
    return true;
}

static bool read_bind(struct parser *p, char *value, bool optional)
{
    char *words[2];
    if (!split_words(value, words, 2))
        return conf_refuse(p, "not a source and a target:", value);
    struct bind *bind = &p->conf->binds[p->conf->bind_count++];
    *bind = (struct bind){.source = words[0], .target = words[1], .optional = optional};
    for (int i = 0; i < 2; i++)
        if (!is_absolute_path(words[i]) && !is_variable_path(words[i]))
            return conf_refuse(p, "not an absolute, plain path:", words[i]);
    return true;
}

/* --- the keys --------------------------------------------------------------------------------- */

static bool key_format(struct parser *p, char *value)
{
    return strcmp(value, "1") == 0 || conf_refuse(p, "this launcher reads format 1, not", value);
}

static bool key_name(struct parser *p, char *value)
{
    p->conf->name = value;
    return true;
}

static bool key_prefix(struct parser *p, char *value)
{
    return read_path(p, value, &p->conf->prefix);
}

static bool key_runtime(struct parser *p, char *value)
{
    unsigned choice;
    if (!read_choice(p, value, runtime_names, &choice))
        return false;
    p->conf->runtime = (enum runtime)choice;
    return true;
}

static bool key_mount(struct parser *p, char *value)
{
    static const char path[] = "path ";
    if (strcmp(value, "prefix") == 0)
        return true;
    if (strncmp(value, path, sizeof path - 1) != 0)
        return conf_refuse(p, "unknown mount plan", value);
    return read_path(p, value + sizeof path - 1, &p->conf->target);
}

static bool key_image(struct parser *p, char *value)
{
    p->conf->image = value;
    return is_file_name(value) || conf_refuse(p, "not a plain file name:", value);
}

static bool key_image_size(struct parser *p, char *value)
{
    return read_number(p, value, &p->conf->image_size);
}

static bool key_root(struct parser *p, char *value)
{
    return read_own_path(p, value, &p->conf->root);
}

static bool key_root_offset(struct parser *p, char *value)
{
    return read_number(p, value, &p->conf->root_offset);
}

static bool key_root_size(struct parser *p, char *value)
{
    return read_number(p, value, &p->conf->root_size);
}

static bool read_switch(struct parser *p, const char *value, bool *on)
{
    static const char *const choices[] = {"no", "yes", NULL};
    unsigned choice;
    bool good = read_choice(p, value, choices, &choice);
    *on = good && choice;
    return good;
}

static bool key_host_roots(struct parser *p, char *value)
{
    return read_switch(p, value, &p->conf->host_roots);
}

static bool key_relocatable(struct parser *p, char *value)
{
    return read_switch(p, value, &p->conf->relocatable);
}

static bool key_bind(struct parser *p, char *value)
{
    return read_bind(p, value, false);
}

static bool key_try_bind(struct parser *p, char *value)
{
    return read_bind(p, value, true);
}

static bool key_need(struct parser *p, char *value)
{
    return read_listed_path(p, value, &p->conf->needs);
}

static bool key_command(struct parser *p, char *value)
{
    char *words[2];
    if (!split_words(value, words, 2) || !is_file_name(words[0]))
        return conf_refuse(p, "not a command and its program:", value);
    p->conf->commands[p->conf->command_count++] = (struct command){words[0], words[1]};
    return is_absolute_path(words[1]) || conf_refuse(p, "not an absolute, plain path:", words[1]);
}

static bool key_gpu(struct parser *p, char *value)
{
    unsigned choice;
    if (!read_choice(p, value, gpu_names, &choice))
        return false;
    p->conf->gpu = (int)choice;
    return true;
}

static bool key_other_stacks(struct parser *p, char *value)
{
    static const char *const choices[] = {"allow", "refuse", NULL};
    unsigned choice;
    bool good = read_choice(p, value, choices, &choice);
    p->conf->refuse_other_stacks = good && choice;
    return good;
}

static bool key_set(struct parser *p, char *value)
{
    return read_env(p, ENV_SET, value);
}

static bool key_prepend(struct parser *p, char *value)
{
    return read_env(p, ENV_PREPEND, value);
}

static bool key_append(struct parser *p, char *value)
{
    return read_env(p, ENV_APPEND, value);
}

static bool key_unset(struct parser *p, char *value)
{
    return read_env(p, ENV_UNSET, value);
}

static bool key_insert(struct parser *p, char *value)
{
    return read_env(p, ENV_INSERT, value);
}

static bool key_expand(struct parser *p, char *value)
{
    return read_env(p, ENV_EXPAND, value);
}

static bool key_default(struct parser *p, char *value)
{
    return read_env(p, ENV_DEFAULT, value);
}

static bool key_idle(struct parser *p, char *value)
{
    return read_seconds(p, value, &p->conf->idle);
}

static bool key_idle_step(struct parser *p, char *value)
{
    return read_seconds(p, value, &p->conf->idle_step);
}

static bool key_server(struct parser *p, char *value)
{
    return read_listed_path(p, value, &p->conf->servers);
}

static bool key_container(struct parser *p, char *value)
{
    return read_own_path(p, value, &p->conf->container);
}

static bool key_apptainer(struct parser *p, char *value)
{
    return read_listed_path(p, value, &p->conf->apptainers);
}

static bool key_option(struct parser *p, char *value)
{
    p->conf->options.items[p->conf->options.count++] = value;
    return value[0] == '-' || conf_refuse(p, "not an option:", value);
}

const struct key conf_keys[] = {
    {"format", key_format, NEEDED},
    {"name", key_name, NEEDED},
    {"prefix", key_prefix, NEEDED},
    {"runtime", key_runtime, NEEDED},
    {"relocatable", key_relocatable, ONCE},
    {"mount", key_mount, ONCE},
    {"image", key_image, ONCE},
    {"image_size", key_image_size, ONCE},
    {"root", key_root, ONCE},
    {"root_offset", key_root_offset, ONCE},
    {"root_size", key_root_size, ONCE},
    {"host_roots", key_host_roots, ONCE},
    {"bind", key_bind, REPEATED},
    {"try_bind", key_try_bind, REPEATED},
    {"need", key_need, REPEATED},
    {"command", key_command, REPEATED},
    {"other_stacks", key_other_stacks, ONCE},
    {"gpu", key_gpu, ONCE},
    {"set", key_set, REPEATED},
    {"prepend", key_prepend, REPEATED},
    {"append", key_append, REPEATED},
    {"unset", key_unset, REPEATED},
    {"insert", key_insert, REPEATED},
    {"expand", key_expand, REPEATED},
    {"default", key_default, REPEATED},
    {"activate", read_activation, REPEATED},
    {"idle", key_idle, ONCE},
    {"idle_step", key_idle_step, ONCE},
    {"server", key_server, REPEATED},
    {"container", key_container, ONCE},
    {"apptainer", key_apptainer, REPEATED},
    {"option", key_option, REPEATED},
};

const unsigned conf_key_count = sizeof conf_keys / sizeof conf_keys[0];

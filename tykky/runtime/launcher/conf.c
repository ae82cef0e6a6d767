#include "conf.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

enum { MAX_SIZE = 1 << 20 };

/* A key: what reads its value, and whether it may come again. */
struct parser {
    struct conf *conf;
    struct problem *problem;
    unsigned line;
    unsigned seen; /* one bit for each key */
};

static bool refuse(struct parser *p, const char *what, const char *word)
{
    const char *quote = word ? "'" : "";
    cause(p->problem, "%s:%u: %s%s%s%.200s%s", p->conf->file, p->line, what, word ? " " : "", quote,
          word ? word : "", quote);
    return remedy(p->problem, "the file does not belong to this launcher or was edited by hand; "
                              "install the stack again, or run 'tykky refresh'");
}

/* A path of /-separated names that stays what it is: absolute, without . and .. */
static bool is_absolute_path(const char *path)
{
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return false;
    for (const char *name = path; name; name = strchr(name, '/')) {
        name++;
        size_t length = strcspn(name, "/");
        if ((length == 0 && path[1]) || (length == 1 && name[0] == '.') ||
            (length == 2 && name[0] == '.' && name[1] == '.'))
            return false;
    }
    return true;
}

static bool is_file_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

static bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    if (!text[0] || strlen(text) > 19 || strspn(text, "0123456789") != strlen(text))
        return false;
    *number = strtoull(text, NULL, 10);
    return *number <= most;
}

static bool key_format(struct parser *p, char *value)
{
    return strcmp(value, "1") == 0 || refuse(p, "this launcher reads format 1, not", value);
}

static bool key_name(struct parser *p, char *value)
{
    p->conf->name = value;
    return true;
}

static bool key_prefix(struct parser *p, char *value)
{
    p->conf->prefix = value;
    return is_absolute_path(value) || refuse(p, "not an absolute, plain path:", value);
}

static bool key_runtime(struct parser *p, char *value)
{
    return strcmp(value, "native") == 0 || refuse(p, "unknown runtime", value);
}

static bool key_mount(struct parser *p, char *value)
{
    return strcmp(value, "prefix") == 0 || refuse(p, "unknown mount plan", value);
}

static bool key_image(struct parser *p, char *value)
{
    p->conf->image = value;
    return is_file_name(value) || refuse(p, "not a plain file name:", value);
}

static bool key_image_size(struct parser *p, char *value)
{
    return parse_number(value, INT64_MAX, &p->conf->image_size) ||
           refuse(p, "not a size in bytes:", value);
}

static bool parse_seconds(struct parser *p, const char *value, unsigned *seconds)
{
    uint64_t number;
    if (!parse_number(value, 7 * 24 * 3600, &number) || number == 0)
        return refuse(p, "not a number of seconds from 1 to 604800:", value);
    *seconds = (unsigned)number;
    return true;
}

static bool key_idle(struct parser *p, char *value)
{
    return parse_seconds(p, value, &p->conf->idle);
}

static bool key_idle_step(struct parser *p, char *value)
{
    return parse_seconds(p, value, &p->conf->idle_step);
}

static bool key_server(struct parser *p, char *value)
{
    p->conf->servers[p->conf->server_count++] = value;
    return is_absolute_path(value) || refuse(p, "not an absolute, plain path:", value);
}

static bool key_need(struct parser *p, char *value)
{
    p->conf->needs[p->conf->need_count++] = value;
    return is_absolute_path(value) || refuse(p, "not an absolute, plain path:", value);
}

static bool parse_env(struct parser *p, enum env_action action, char *value)
{
    char *rest = action == ENV_UNSET ? NULL : strchr(value, ' ');
    if (action != ENV_UNSET) {
        if (!rest)
            return refuse(p, "a variable needs a name and a value:", value);
        *rest++ = '\0';
        if (!*rest && action != ENV_SET)
            return refuse(p, "nothing to add to", value);
    }
    if (!value[0] || strpbrk(value, "= "))
        return refuse(p, "not the name of a variable:", value);
    p->conf->env[p->conf->env_count++] = (struct env_op){action, value, rest};
    return true;
}

static bool key_set(struct parser *p, char *value)
{
    return parse_env(p, ENV_SET, value);
}

static bool key_prepend(struct parser *p, char *value)
{
    return parse_env(p, ENV_PREPEND, value);
}

static bool key_append(struct parser *p, char *value)
{
    return parse_env(p, ENV_APPEND, value);
}

static bool key_unset(struct parser *p, char *value)
{
    return parse_env(p, ENV_UNSET, value);
}

enum repeat { ONCE, NEEDED, REPEATED };

static const struct key {
    const char *name;
    bool (*parse)(struct parser *p, char *value);
    enum repeat repeat;
} keys[] = {
    {"format", key_format, NEEDED},
    {"name", key_name, NEEDED},
    {"prefix", key_prefix, NEEDED},
    {"runtime", key_runtime, NEEDED},
    {"mount", key_mount, NEEDED},
    {"image", key_image, NEEDED},
    {"image_size", key_image_size, NEEDED},
    {"idle", key_idle, ONCE},
    {"idle_step", key_idle_step, ONCE},
    {"server", key_server, REPEATED},
    {"need", key_need, REPEATED},
    {"set", key_set, REPEATED},
    {"prepend", key_prepend, REPEATED},
    {"append", key_append, REPEATED},
    {"unset", key_unset, REPEATED},
};

enum { KEYS = sizeof keys / sizeof keys[0] };

static bool parse_line(struct parser *p, char *line)
{
    if (line[0] == '\0' || line[0] == '#')
        return true;
    char *value = strchr(line, ' ');
    if (!value || value == line || !value[1])
        return refuse(p, "not 'key value':", line);
    *value++ = '\0';
    unsigned k = 0;
    while (k < KEYS && strcmp(keys[k].name, line) != 0)
        k++;
    if (k == KEYS)
        return refuse(p, "unknown key", line);
    if (p->seen == 0 && k != 0)
        return refuse(p, "the first line must be 'format 1', not", line);
    if (keys[k].repeat != REPEATED && (p->seen & 1u << k))
        return refuse(p, "a second", line);
    p->seen |= 1u << k;
    return keys[k].parse(p, value);
}

/* FNV-1a. */
static uint64_t digest(const char *text, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)text[i]) * 0x100000001b3;
    return sum;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

static bool parse_lines(struct parser *p, char *text, size_t size)
{
    char *end = text + size;
    p->line = 1;
    for (char *line = text; line < end; p->line++) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline)
            return refuse(p, "the file ends in the middle of a line", NULL);
        *newline = '\0';
        if (strlen(line) != (size_t)(newline - line))
            return refuse(p, "a NUL byte", NULL);
        if (!parse_line(p, line))
            return false;
        line = newline + 1;
    }
    for (unsigned k = 0; k < KEYS; k++)
        if (keys[k].repeat == NEEDED && !(p->seen & 1u << k))
            return refuse(p, "the file ends here without the key", keys[k].name);
    return true;
}

bool conf_parse(struct conf *conf, const char *file, char *text, size_t size,
                struct problem *problem)
{
    *conf = (struct conf){.file = file, .text = text, .idle = 60, .idle_step = 10};
    conf->digest = digest(text, size);
    size_t lines = count_lines(text, size) + 1;
    conf->env = calloc(lines, sizeof *conf->env);
    conf->servers = calloc(lines, sizeof *conf->servers);
    conf->needs = calloc(lines, sizeof *conf->needs);
    if (!conf->env || !conf->servers || !conf->needs) {
        cause(problem, "no memory to read %s", file);
        return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
    }
    struct parser parser = {.conf = conf, .problem = problem};
    return parse_lines(&parser, text, size);
}

static bool cannot_read(const char *file, struct problem *problem)
{
    cause(problem, "cannot read %s: %s", file, strerror(errno));
    if (errno == ENOENT)
        return remedy(problem, "a command works only where it was installed: if it was copied, "
                               "make a symbolic link instead; else install the stack again");
    return remedy(problem, "ask the owner of the install to make it readable for you");
}

/* The whole file, in as few calls as can be: every start of a command reads it. */
static char *read_all(int fd, size_t *size)
{
    char *text = NULL;
    *size = 0;
    for (size_t room = 8192; room <= MAX_SIZE; room *= 8) {
        char *larger = realloc(text, room);
        if (!larger)
            break;
        text = larger;
        ssize_t length = read(fd, text + *size, room - *size);
        if (length < 0)
            break;
        *size += (size_t)length;
        if (*size < room)
            return text;
        errno = EFBIG;
    }
    int error = errno;
    free(text);
    errno = error;
    return NULL;
}

bool conf_read(struct conf *conf, const char *file, struct problem *problem)
{
    size_t size;
    *conf = (struct conf){.file = file};
    int fd = open_file(file, O_RDONLY | O_NOCTTY);
    if (fd < 0)
        return cannot_read(file, problem);
    char *text = read_all(fd, &size);
    int error = errno;
    close(fd);
    errno = error;
    return text ? conf_parse(conf, file, text, size, problem) : cannot_read(file, problem);
}

void conf_free(struct conf *conf)
{
    free(conf->text);
    free(conf->env);
    free(conf->servers);
    free(conf->needs);
    *conf = (struct conf){0};
}

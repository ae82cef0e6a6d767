#include "conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_keys.h"
#include "../common/files.h"
#include "relocate.h"

enum { MAX_SIZE = 1 << 20 };

static bool parse_line(struct parser *p, char *line)
{
    if (line[0] == '\0' || line[0] == '#')
        return true;
    char *value = strchr(line, ' ');
    if (!value || value == line || !value[1])
        return conf_refuse(p, "not 'key value':", line);
    *value++ = '\0';
    unsigned k = 0;
    while (k < conf_key_count && strcmp(conf_keys[k].name, line) != 0)
        k++;
    if (k == conf_key_count)
        return conf_refuse(p, "unknown key", line);
    if (p->seen == 0 && k != 0)
        return conf_refuse(p, "the first line must be 'format 1', not", line);
    uint64_t bit = UINT64_C(1) << k;
    if (conf_keys[k].repeat != REPEATED && (p->seen & bit))
        return conf_refuse(p, "a second", line);
    p->seen |= bit;
    return conf_keys[k].read(p, value);
}

/* What one key alone cannot tell. */
static bool check_whole(struct parser *p)
{
    struct conf *conf = p->conf;
    for (unsigned k = 0; k < conf_key_count; k++)
        if (conf_keys[k].repeat == NEEDED && !(p->seen & UINT64_C(1) << k))
            return conf_refuse(p, "the file ends here without the key", conf_keys[k].name);
    if (!conf->target)
        conf->target = conf->prefix;
    if (!conf->relocatable && ((conf->root && is_prefix_path(conf->root)) ||
                               (conf->container && is_prefix_path(conf->container))))
        return conf_refuse(p, "the file ends here without the key", "relocatable");
    if (!conf->image && !conf->root && !conf->container)
        return conf_refuse(p, "the file ends here without the key", "image");
    if (conf->image && conf->image_size == 0)
        return conf_refuse(p, "the file ends here without the key", "image_size");
    if (conf->runtime == RUNTIME_APPTAINER && !conf->container)
        return conf_refuse(p, "the file ends here without the key", "container");
    return true;
}

static bool parse_lines(struct parser *p, char *text, size_t size)
{
    char *end = text + size;
    p->line = 1;
    for (char *line = text; line < end; p->line++) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline)
            return conf_refuse(p, "the file ends in the middle of a line", NULL);
        *newline = '\0';
        if (strlen(line) != (size_t)(newline - line))
            return conf_refuse(p, "a NUL byte", NULL);
        if (!parse_line(p, line))
            return false;
        line = newline + 1;
    }
    return check_whole(p);
}

/* FNV-1a. */
static uint64_t digest(const char *text, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)text[i]) * 0x100000001b3;
    return sum;
}

/* Room for as many of each as the file has lines. */
static bool make_room(struct conf *conf, size_t lines)
{
    struct list *lists[] = {&conf->servers, &conf->needs, &conf->apptainers, &conf->options};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (!(lists[i]->items = calloc(lines, sizeof *lists[i]->items)))
            return false;
    conf->env = calloc(lines, sizeof *conf->env);
    conf->binds = calloc(lines, sizeof *conf->binds);
    conf->commands = calloc(lines, sizeof *conf->commands);
    return conf->env && conf->binds && conf->commands;
}

bool conf_parse(struct conf *conf, const char *file, char *text, size_t size,
                struct problem *problem)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    *conf = (struct conf){.file = file, .text = text, .idle = 60, .idle_step = 10, .gpu = -1};
    conf->digest = digest(text, size);
    if (!make_room(conf, lines)) {
        cause(problem, "no memory to read %s", file);
        return remedy(problem, "free some memory, or raise the limit (ulimit -v)");
    }
    struct parser parser = {.conf = conf, .problem = problem};
    return parse_lines(&parser, text, size);
}

static bool cannot_read(const char *file, struct problem *problem)
{
    int error = errno;
    cause(problem, "cannot read %s: %s", file, strerror(error));
    if (error == ENOENT)
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
    free(conf->binds);
    free(conf->commands);
    free(conf->servers.items);
    free(conf->needs.items);
    free(conf->apptainers.items);
    free(conf->options.items);
    *conf = (struct conf){0};
}

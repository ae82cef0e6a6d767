#include "conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/files.h"
#include "conf_values.h"

enum { FORMAT = 2, MAX_SIZE = 1 << 20, MAX_IDLE = 7 * 24 * 3600, MAX_WORDS = 3 };

struct parser {
    struct conf *conf;
    struct problem *problem;
    unsigned line;
    uint64_t seen;    /* one bit for each key */
    bool uses_prefix; /* $PREFIX stands in a path */
};

/* Says what is wrong in the present line, and about which word (or NULL). Returns false. */
static bool refuse(struct parser *p, const char *what, const char *word)
{
    const char *quote = word ? "'" : "";
    cause(p->problem, "%s:%u: %s%s%s%.200s%s", p->conf->file, p->line, what, word ? " " : "", quote,
          word ? word : "", quote);
    return remedy(p->problem, "the file does not belong to this launcher or was edited by hand; "
                              "install the stack again, or run 'tykky refresh'");
}

/* --- the keys --------------------------------------------------------------------------------- */

enum repeat { ONCE, NEEDED, REPEATED };
enum into { VERSION, STRING, CHOICE, SECONDS, LIST, COMMAND, ROOT, MOUNT, CHANGE, ACTIVATION };

struct key {
    const char *name;
    const char *words; /* what each word of the value must be, see check_word; empty: any text */
    enum repeat repeat;
    enum into into;
    size_t field; /* of struct conf */
    const char *const *choices;
    int kind; /* of mount or change */
};

static const char *const switches[] = {"no", "yes", NULL};
static const char *const refusals[] = {"allow", "refuse", NULL};
static const char *const changes[] = {"set",    "prepend", "append",  "unset",
                                      "insert", "expand",  "default", NULL};

#define IN(name) offsetof(struct conf, name)

static const struct key keys[] = {
    {"format", "n", NEEDED, VERSION, 0, NULL, 0},
    {"name", "", NEEDED, STRING, IN(name), NULL, 0},
    {"prefix", "p", NEEDED, STRING, IN(prefix), NULL, 0},
    {"generation", "#", NEEDED, STRING, IN(generation), NULL, 0},
    {"runtime", "", NEEDED, CHOICE, IN(runtime), runtime_names, 0},
    {"relocatable", "", ONCE, CHOICE, IN(relocatable), switches, 0},
    {"host_roots", "", ONCE, CHOICE, IN(host_roots), switches, 0},
    {"other_stacks", "", ONCE, CHOICE, IN(refuse_other_stacks), refusals, 0},
    {"gpu", "", ONCE, CHOICE, IN(gpu), gpu_names, 0},
    {"idle", "", ONCE, SECONDS, IN(idle), NULL, 0},
    {"idle_step", "", ONCE, SECONDS, IN(idle_step), NULL, 0},
    {"container", "o", ONCE, STRING, IN(container), NULL, 0},
    {"server", "p", REPEATED, LIST, IN(servers), NULL, 0},
    {"apptainer", "p", REPEATED, LIST, IN(apptainers), NULL, 0},
    {"option", "-", REPEATED, LIST, IN(options), NULL, 0},
    {"command", "fp", REPEATED, COMMAND, 0, NULL, 0},
    {"root", "onn", ONCE, ROOT, 0, NULL, 0},
    {"need", "pg", REPEATED, MOUNT, 0, NULL, MOUNT_NEED},
    {"image", "f#t", REPEATED, MOUNT, 0, NULL, MOUNT_IMAGE},
    {"bind", "sd", REPEATED, MOUNT, 0, NULL, MOUNT_BIND},
    {"try_bind", "sd", REPEATED, MOUNT, 0, NULL, MOUNT_TRY_BIND},
    {"set", "", REPEATED, CHANGE, 0, NULL, ENV_SET},
    {"prepend", "", REPEATED, CHANGE, 0, NULL, ENV_PREPEND},
    {"append", "", REPEATED, CHANGE, 0, NULL, ENV_APPEND},
    {"unset", "", REPEATED, CHANGE, 0, NULL, ENV_UNSET},
    {"insert", "", REPEATED, CHANGE, 0, NULL, ENV_INSERT},
    {"expand", "", REPEATED, CHANGE, 0, NULL, ENV_EXPAND},
    {"default", "", REPEATED, CHANGE, 0, NULL, ENV_DEFAULT},
    {"activate", "", REPEATED, ACTIVATION, 0, changes, 0},
};

enum { KEYS = sizeof keys / sizeof keys[0] };

/* --- values ----------------------------------------------------------------------------------- */

/* By the letter of a kind: s and d are the two sides of a bind, # is a number from 1 on. */
static bool check_word(struct parser *p, char kind, const char *word, uint64_t *number)
{
    bool good = is_absolute_path(word), prefix = is_path_after(word, PREFIX_TOKEN);
    bool generation = is_path_after(word, GENERATION_TOKEN);
    const char *what = "not an absolute, plain path:";
    switch (kind) {
    case 'p': break;
    case 'o': good |= prefix || generation; break; /* of the install's own */
    case 't': good |= prefix; break;               /* the target of an image */
    case 's': good |= is_variable_path(word); break;
    case 'd': good |= is_variable_path(word) && !generation; break;
    case 'f': good = is_file_name(word), what = "not a plain file name:"; break;
    case 'g': good = is_generation(word), what = "not the name of a generation:"; break;
    case '-': good = word[0] == '-', what = "not an option:"; break;
    case 'n': good = parse_number(word, INT64_MAX, number), what = "not a number:"; break;
    default: /* # */
        good = word[0] != '0' && parse_number(word, INT64_MAX, number);
        what = "not a number from 1 on:";
    }
    p->uses_prefix |= prefix && strchr("otsd", kind);
    return good || refuse(p, what, word);
}

static bool check_format(struct parser *p, uint64_t format)
{
    bool newer = format > FORMAT;
    if (format == FORMAT)
        return true;
    cause(p->problem,
          "%s was written by %s Tykky: it has format %" PRIu64 ", and this command reads format %d",
          p->conf->file, newer ? "a newer" : "an older", format, FORMAT);
    return remedy(p->problem, "ask whoever keeps this install to run %s'tykky refresh'",
                  newer ? "a newer Tykky's " : "");
}

static bool choose(struct parser *p, const char *word, const char *const *choices, int *choice)
{
    for (*choice = 0; choices[*choice]; ++*choice)
        if (strcmp(choices[*choice], word) == 0)
            return true;
    return refuse(p, "not a value that this key can have:", word);
}

static bool read_seconds(struct parser *p, const char *word, unsigned *seconds)
{
    uint64_t number;
    if (!parse_number(word, MAX_IDLE, &number) || number == 0)
        return refuse(p, "not a number of seconds from 1 to 604800:", word);
    *seconds = (unsigned)number;
    return true;
}

static bool read_change(struct parser *p, int action, char *value, bool activates)
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
    p->conf->env[p->conf->env_count++] =
        (struct env_op){(enum env_action)action, value, rest, activates};
    return true;
}

/* A change whose key is the first word. */
static bool read_activation(struct parser *p, const char *const *choices, char *value)
{
    int action;
    char *rest = strchr(value, ' ');
    if (!rest)
        return refuse(p, "not an operation on a variable:", value);
    *rest++ = '\0';
    return choose(p, value, choices, &action) && read_change(p, action, rest, true);
}

static bool read_root(struct parser *p, const char *path, const uint64_t *numbers)
{
    struct conf *conf = p->conf;
    conf->root = path;
    conf->root_offset = numbers[1];
    conf->root_size = numbers[2];
    return !conf->mount_count || refuse(p, "a root must come before what is mounted in it:", path);
}

static bool read_value(struct parser *p, const struct key *key, char *value)
{
    struct conf *conf = p->conf;
    char *words[MAX_WORDS] = {value};
    uint64_t numbers[MAX_WORDS] = {0};
    size_t count = strlen(key->words);
    void *field = (char *)conf + key->field;
    struct list *list = field;
    if (count > 1 && !split_words(value, words, count))
        return refuse(p, "not as many words as there must be:", value);
    for (size_t i = 0; i < count; i++)
        if (!check_word(p, key->words[i], words[i], &numbers[i]))
            return false;
    switch (key->into) {
    case VERSION: return check_format(p, numbers[0]);
    case STRING: *(const char **)field = value; break;
    case CHOICE: return choose(p, value, key->choices, field);
    case SECONDS: return read_seconds(p, value, field);
    case LIST: list->items[list->count++] = value; break;
    case COMMAND:
        conf->commands[conf->command_count++] = (struct command){words[0], words[1]};
        break;
    case ROOT: return read_root(p, words[0], numbers);
    case MOUNT:
        conf->mounts[conf->mount_count++] = (struct mount){.kind = (enum mount_kind)key->kind,
                                                           .source = words[0],
                                                           .target = words[count - 1],
                                                           .size = numbers[1]};
        break;
    case CHANGE: return read_change(p, key->kind, value, false);
    case ACTIVATION: return read_activation(p, key->choices, value);
    }
    return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

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
        return refuse(p, "the first line must be 'format 2', not", line);
    uint64_t bit = UINT64_C(1) << k;
    if (keys[k].repeat != REPEATED && (p->seen & bit))
        return refuse(p, "a second", line);
    p->seen |= bit;
    return read_value(p, &keys[k], value);
}

/* What one key alone cannot tell. */
static bool check_whole(struct parser *p)
{
    const struct conf *conf = p->conf;
    const char *missing = NULL;
    for (unsigned k = 0; k < KEYS && !missing; k++)
        if (keys[k].repeat == NEEDED && !(p->seen & UINT64_C(1) << k))
            missing = keys[k].name;
    if (!missing && p->uses_prefix && !conf->relocatable)
        missing = "relocatable";
    if (!missing && !conf->root && !conf->container && !conf_has_image(conf, NULL))
        missing = "image";
    if (!missing && conf->runtime == RUNTIME_APPTAINER && !conf->container)
        missing = "container";
    return !missing || refuse(p, "the file ends here without the key", missing);
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
    struct list *lists[] = {&conf->servers, &conf->apptainers, &conf->options};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (!(lists[i]->items = calloc(lines, sizeof *lists[i]->items)))
            return false;
    conf->env = calloc(lines, sizeof *conf->env);
    conf->mounts = calloc(lines, sizeof *conf->mounts);
    conf->commands = calloc(lines, sizeof *conf->commands);
    return conf->env && conf->mounts && conf->commands;
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

/* --- the file --------------------------------------------------------------------------------- */

static bool cannot_read(struct conf *conf, const char *file, struct problem *problem)
{
    int error = conf->error = errno;
    cause(problem, "cannot read %s: %s", file, strerror(error));
    if (error == ENOENT)
        return remedy(problem, "a command works only where it was installed: if it was copied, "
                               "make a symbolic link instead; else install the stack again");
    return remedy(problem, "ask the owner of the install to make it readable for you");
}

/* The whole file, in as few calls as can be: every start of a command reads it. What is not used of
 * the room takes no memory. */
static char *read_all(int fd, size_t *size)
{
    char *text = malloc(MAX_SIZE);
    ssize_t length = text ? read(fd, text, MAX_SIZE) : -1;
    int error = length < 0 ? errno : EFBIG;
    *size = (size_t)length;
    if (length >= 0 && length < MAX_SIZE)
        return text;
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
        return cannot_read(conf, file, problem);
    char *text = read_all(fd, &size);
    int error = errno;
    close(fd);
    errno = error;
    return text ? conf_parse(conf, file, text, size, problem) : cannot_read(conf, file, problem);
}

bool conf_has_image(const struct conf *conf, const char *target)
{
    for (size_t i = 0; i < conf->mount_count; i++)
        if (conf->mounts[i].kind == MOUNT_IMAGE &&
            (!target || strcmp(conf->mounts[i].target, target) == 0))
            return true;
    return false;
}

void conf_free(struct conf *conf)
{
    free(conf->text);
    free(conf->env);
    free(conf->mounts);
    free(conf->commands);
    free(conf->servers.items);
    free(conf->apptainers.items);
    free(conf->options.items);
    *conf = (struct conf){0};
}

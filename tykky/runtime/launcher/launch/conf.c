#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"

enum { FORMAT = 2, MAX_SIZE = 1 << 20, MAX_IDLE = 7 * 24 * 3600, MAX_WORDS = 3 };

struct parser {
    struct conf *conf;
    unsigned line;
    uint64_t seen;    /* one bit for each key */
    bool uses_prefix; /* $PREFIX stands in a path */
};

/* Says what is wrong in the present line, and about which word (or NULL). Returns false. */
static bool refuse(struct parser *p, const char *what, const char *word)
{
    const char *quote = word ? "'" : "";
    fail("%s:%u: %s%s%s%.200s%s", p->conf->file, p->line, what, word ? " " : "", quote,
         word ? word : "", quote);
    return remedy("the file does not belong to this launcher or was edited by hand; "
                  "install the stack again, or run 'tykky refresh'");
}

/* --- the keys --------------------------------------------------------------------------------- */

enum repeat { ONCE, NEEDED, REPEATED };
enum into { VERSION, STRING, CHOICE, SECONDS, LIST, COMMAND, ROOT, MOUNT };

struct key {
    const char *name;
    const char *words; /* what each word of the value must be, see check_word; empty: any text */
    enum repeat repeat;
    enum into into;
    size_t field; /* of struct conf */
    const char *const *choices;
    int kind; /* of mount */
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
    {"mpi", "", ONCE, CHOICE, IN(mpi), mpi_names, 0},
    {"mpi_library", "p", ONCE, STRING, IN(mpi_library), NULL, 0},
    {"idle", "", ONCE, SECONDS, IN(idle), NULL, 0},
    {"idle_step", "", ONCE, SECONDS, IN(idle_step), NULL, 0},
    {"extends", "f", ONCE, STRING, IN(extends), NULL, 0},
    {"container", "o", ONCE, STRING, IN(container), NULL, 0},
    {"server", "p", REPEATED, LIST, IN(servers), NULL, 0},
    {"apptainer", "p", REPEATED, LIST, IN(apptainers), NULL, 0},
    {"option", "-", REPEATED, LIST, IN(options), NULL, 0},
    {"command", "fp", REPEATED, COMMAND, 0, NULL, 0},
    {"root", "onn", ONCE, ROOT, 0, NULL, 0},
    {"need", "pgf", REPEATED, MOUNT, 0, NULL, MOUNT_NEED},
    {"image", "f#t", REPEATED, MOUNT, 0, NULL, MOUNT_IMAGE},
    {"layer", "f#t", REPEATED, MOUNT, 0, NULL, MOUNT_LAYER},
    {"bind", "sd", REPEATED, MOUNT, 0, NULL, MOUNT_BIND},
    {"try_bind", "sd", REPEATED, MOUNT, 0, NULL, MOUNT_TRY_BIND},
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
    fail("%s was written by %s Tykky: it has format %" PRIu64 ", and this command reads format %d",
         p->conf->file, newer ? "a newer" : "an older", format, FORMAT);
    return remedy("ask whoever keeps this install to run %s'tykky refresh'",
                  newer ? "a newer Tykky's " : "");
}

static bool choose(struct parser *p, const char *word, const char *const *choices, int *choice)
{
    *choice = position(choices, word);
    return *choice >= 0 || refuse(p, "not a value that this key can have:", word);
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
    if (key->kind == MOUNT_NEED && strchr(value, ' ') == strrchr(value, ' '))
        count = 2; /* written by an earlier Tykky */
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
        conf->mounts[conf->mount_count++] =
            (struct mount){.kind = (enum mount_kind)key->kind,
                           .source = words[0],
                           .target = words[key->kind == MOUNT_IMAGE || key->kind == MOUNT_LAYER
                                               ? 2 : 1],
                           .images = key->kind == MOUNT_NEED ? words[2] : NULL,
                           .size = numbers[1]};
        break;
    }
    return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Ends the text at its first space; what comes behind, or NULL if there is nothing on a side. */
static char *split(char *text)
{
    char *space = strchr(text, ' ');
    if (!space || space == text || !space[1])
        return NULL;
    *space = '\0';
    return space + 1;
}

static bool parse_line(struct parser *p, char *line)
{
    if (line[0] == '\0' || line[0] == '#')
        return true;
    char *value = split(line);
    if (!value)
        return refuse(p, "not 'key value':", line);
    unsigned k = 0;
    while (k < KEYS && strcmp(keys[k].name, line) != 0)
        k++;
    if (p->seen == 0 && k != 0)
        return refuse(p, "the first line must be 'format 2', not", line);
    if (k == KEYS) {
        bool activates = strcmp(line, "activate") == 0;
        char *rest = activates ? split(value) : value;
        int action = position(changes, activates ? value : line);
        if (action >= 0 && rest)
            return read_change(p, action, rest, activates);
        return activates ? refuse(p, "not an operation on a variable:", value)
                         : refuse(p, "unknown key", line);
    }
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

bool conf_parse(struct conf *conf, const char *file, char *text, size_t size)
{
    struct parser parser = {.conf = conf};
    size_t lines = 1; /* there may be as many of each */
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    *conf = (struct conf){.file = file, .text = text, .size = size, .gpu = -1, .mpi = -1};
    conf->idle = 60;
    conf->idle_step = 10;
    conf->env = allocate(lines, sizeof *conf->env);
    conf->mounts = allocate(lines, sizeof *conf->mounts);
    conf->commands = allocate(lines, sizeof *conf->commands);
    conf->servers.items = allocate(lines, sizeof *conf->servers.items);
    conf->apptainers.items = allocate(lines, sizeof *conf->apptainers.items);
    conf->options.items = allocate(lines, sizeof *conf->options.items);
    return parse_lines(&parser, text, size);
}

/* --- the file --------------------------------------------------------------------------------- */

static bool cannot_read(struct conf *conf, const char *file)
{
    conf->error = errno;
    fail("cannot read %s: %m", file);
    if (errno == ENOENT)
        return remedy("a command works only where it was installed: if it was copied, "
                      "make a symbolic link instead; if files of it were deleted: "
                      "'tykky doctor --store --fix', or install the stack again");
    return remedy("ask the owner of the install to make it readable for you");
}

bool conf_read(struct conf *conf, const char *file)
{
    *conf = (struct conf){.file = file};
    /* In as few calls as can be: every start of a command reads it. What is not used of the room
     * takes no memory. */
    char *text = allocate(MAX_SIZE, 1);
    int fd = open_file(file, O_RDONLY | O_NOCTTY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, MAX_SIZE);
    int error = length < 0 ? errno : EFBIG;
    if (fd >= 0)
        close(fd);
    errno = error;
    return length >= 0 && length < MAX_SIZE ? conf_parse(conf, file, text, (size_t)length)
                                            : cannot_read(conf, file);
}

bool conf_has_image(const struct conf *conf, const char *target)
{
    for (size_t i = 0; i < conf->mount_count; i++)
        if (is_image(&conf->mounts[i]) &&
            (!target || strcmp(conf->mounts[i].target, target) == 0))
            return true;
    return false;
}

char *install_file(const char *prefix, const char *directory, const char *name)
{
    return format("%s/" CONF_DIRECTORY "/%s/%s", prefix, directory, name);
}

/* Puts the directory in the place of the token; NULL: the install cannot be moved. */
static void replace(const char **value, const char *token, const char *directory)
{
    const char *rest = directory ? after_token(*value, token) : NULL;
    if (rest)
        *value = format("%s%s", directory, rest);
}

void conf_relocate(struct conf *conf, const char *prefix, const char *generation)
{
    const char *moved = conf->relocatable ? prefix : NULL;
    if (moved)
        conf->prefix = moved;
    if (generation)
        conf->generation = generation;
    const char *own = install_file(conf->prefix, "generations", conf->generation);
    const char **paths[] = {&conf->root, &conf->container};
    for (size_t i = 0; i < 2; i++) {
        replace(paths[i], PREFIX_TOKEN, moved);
        replace(paths[i], GENERATION_TOKEN, own);
    }
    for (size_t i = 0; i < conf->env_count; i++)
        replace(&conf->env[i].value, PREFIX_TOKEN, moved);
    for (size_t i = 0; i < conf->mount_count; i++) {
        struct mount *mount = &conf->mounts[i];
        if (mount->kind == MOUNT_NEED)
            continue;
        replace(&mount->source, PREFIX_TOKEN, moved);
        replace(&mount->source, GENERATION_TOKEN, own);
        replace(&mount->target, PREFIX_TOKEN, moved);
    }
}

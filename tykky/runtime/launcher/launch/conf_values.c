#include <stdlib.h>
#include <string.h>

#include "conf.h"

const char *const runtime_names[] = {"native", "apptainer", "auto", NULL};
const char *const gpu_names[] = {"nvidia", "amd", NULL};
const char *const mpi_names[] = {"openmpi", "pmix", "pmi", "slurm", NULL};

int position(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool has_plain_names(const char *path)
{
    for (const char *name = path; name; name = strchr(name, '/')) {
        name++;
        size_t length = strcspn(name, "/");
        if (length == 0 || (length == 1 && name[0] == '.') ||
            (length == 2 && name[0] == '.' && name[1] == '.'))
            return false;
    }
    return true;
}

bool is_absolute_path(const char *path)
{
    return path[0] == '/' && strlen(path) < PATH_MAX && (!path[1] || has_plain_names(path));
}

bool path_is_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool is_variable_path(const char *path)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    if (path[0] != '$')
        return false;
    size_t length = strspn(path + 1, letters);
    const char *rest = path + 1 + length;
    return length > 0 && (!*rest || is_absolute_path(rest));
}

const char *after_token(const char *value, const char *token)
{
    size_t length = strlen(token);
    if (!value || strncmp(value, token, length) != 0)
        return NULL;
    const char *rest = value + length;
    return *rest == '/' || *rest == ':' || *rest == '\0' ? rest : NULL;
}

bool is_path_after(const char *path, const char *token)
{
    const char *rest = after_token(path, token);
    return rest && (!*rest || is_absolute_path(rest));
}

bool is_generation(const char *word)
{
    static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-";
    size_t length = strspn(word, plain);
    return length > 0 && length <= 64 && !word[length];
}

bool is_file_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    if (!text[0] || strlen(text) > 19 || strspn(text, "0123456789") != strlen(text))
        return false;
    *number = strtoull(text, NULL, 10);
    return *number <= most;
}

bool split_words(char *value, char **words, size_t count)
{
    char *rest = value;
    for (size_t i = 0; i < count; i++) {
        words[i] = rest;
        rest = strchr(rest, ' ');
        if ((rest != NULL) != (i + 1 < count) || !*words[i] || words[i] == rest)
            return false;
        if (rest)
            *rest++ = '\0';
    }
    for (size_t i = 0; i < count; i++)
        if (!octal_decode(words[i]))
            return false;
    return true;
}

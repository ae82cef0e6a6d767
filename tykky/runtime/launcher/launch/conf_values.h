/* The kinds of values that launch.conf has. */
#ifndef TYKKY_CONF_VALUES_H
#define TYKKY_CONF_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of enum runtime; ends with NULL. */
extern const char *const runtime_names[];
extern const char *const gpu_names[];

/* Where a name stands among names that end with NULL; -1 if it does not. */
int position(const char *const *names, const char *name);

/* A path that stays what it is: from / on, without empty names, . and .. */
bool is_absolute_path(const char *path);

/* Whether a path is that of `directory`, which is not /, or lies below it. */
bool path_is_in(const char *path, const char *directory);

/* $NAME or $NAME/more: below the directory that a variable names when the command starts. */
bool is_variable_path(const char *path);

/* The directories that stand for themselves at the beginning of a path: where the install lies, and
 * the one of its generation. */
#define PREFIX_TOKEN "$PREFIX"
#define GENERATION_TOKEN "$GENERATION"

/* What follows the token, a list or path of its own; NULL if the value does not begin with it. */
const char *after_token(const char *value, const char *token);

/* TOKEN or TOKEN/more. */
bool is_path_after(const char *path, const char *token);

/* What the directory of a generation can be called: letters, digits and -. */
bool is_generation(const char *word);

/* A name without slash that is not hidden. */
bool is_file_name(const char *name);

bool parse_number(const char *text, uint64_t most, uint64_t *number);

/* Splits at single spaces into exactly `count` words, in which \ooo becomes a byte. */
bool split_words(char *value, char **words, size_t count);

#endif

/* The kinds of values that launch.conf has. */
#ifndef TYKKY_CONF_VALUES_H
#define TYKKY_CONF_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of enum runtime; ends with NULL. */
extern const char *const runtime_names[];
extern const char *const gpu_names[];

/* A path that stays what it is: from / on, without empty names, . and .. */
bool is_absolute_path(const char *path);

/* $NAME or $NAME/more: below the directory that a variable names when the command starts. */
bool is_variable_path(const char *path);

/* A name without slash that is not hidden. */
bool is_file_name(const char *name);

bool parse_number(const char *text, uint64_t most, uint64_t *number);

/* Splits at single spaces into exactly `count` words, in which \ooo becomes a byte. */
bool split_words(char *value, char **words, size_t count);

#endif

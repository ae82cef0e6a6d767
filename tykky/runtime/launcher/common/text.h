/* Texts and the memory for them. What the launcher makes so, it keeps: it ends as another program.
 * If there is no memory, the process says so and ends. */
#ifndef TYKKY_TEXT_H
#define TYKKY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed. */
void *allocate(size_t count, size_t size);

/* The same memory with room for more. */
void *reallocate(void *memory, size_t count, size_t size);

/* The text that printf would write. */
char *format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sets a variable of the environment; NULL unsets it. */
void set_variable(const char *name, const char *value);

/* Where some bytes are written \ooo, as in /etc/fstab, /proc/self/mountinfo and launch.conf: in
 * place. False, with the text in an unknown state, if a backslash is followed by anything else than
 * three octal digits of a byte from 1 to 255. */
bool octal_decode(char *text);

#endif

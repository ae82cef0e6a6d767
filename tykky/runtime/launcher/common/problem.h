/* What went wrong, for a person: one line of cause, one of remedy.
 *
 * Functions that can fail return bool and say why; only main prints it. So a caller may also try
 * another way. A process has one problem, as it has one errno: the last.
 */
#ifndef TYKKY_PROBLEM_H
#define TYKKY_PROBLEM_H

#include <stdbool.h>

enum {
    STATUS_LAUNCHER = 125,       /* the launcher could not do its part */
    STATUS_NOT_EXECUTABLE = 126, /* the program is there and cannot be executed */
    STATUS_NOT_FOUND = 127,      /* the program is not there */
};

struct problem {
    int status;
    bool out_of_sight; /* what is missing may be hidden by another stack around this process */
    char cause[1536];
    char remedy[1024];
};

extern struct problem problem;

/* Says "CAUSE\nREMEDY", or a cause alone; the remedy has no arguments. Returns false, as the other
 * two do, so that a failing function can end in `return fail(...)`. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says another remedy. */
bool remedy(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints both lines on stderr. */
void problem_print(void);

/* Prints one line on stderr about what is not as it was asked for, but can be lived with. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

#include "problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 3, 0))) static void format_line(char *line, size_t size,
                                                              const char *format, va_list arguments)
{
    if (vsnprintf(line, size, format, arguments) < 0)
        line[0] = '\0';
    /* A path may hold a newline; the message must stay one line. */
    for (char *c = line; *c; c++)
        if (*c == '\n' || *c == '\r')
            *c = '?';
}

bool cause(struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_line(problem->cause, sizeof problem->cause, format, arguments);
    va_end(arguments);
    problem->status = STATUS_LAUNCHER;
    problem->remedy[0] = '\0';
    return false;
}

bool remedy(struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_line(problem->remedy, sizeof problem->remedy, format, arguments);
    va_end(arguments);
    return false;
}

void problem_print(const struct problem *problem)
{
    char text[sizeof problem->cause + sizeof problem->remedy + 64];
    int length = problem->remedy[0]
                     ? snprintf(text, sizeof text, "tykky: %s\ntykky: what to do: %s\n",
                                problem->cause, problem->remedy)
                     : snprintf(text, sizeof text, "tykky: %s\n", problem->cause);
    /* One write, so that the lines of many ranks do not mix. Nobody is left to tell if it fails. */
    if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
        return;
}

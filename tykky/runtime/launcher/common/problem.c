#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

struct problem problem;

/* What helps if a process may open no more files, whatever it was about. */
static const char *const more_files = "too many files are open: raise the limit (ulimit -n 1024)";
static bool is_limit;

/* The length that the line would have if it had room. */
__attribute__((format(printf, 3, 0))) static size_t
format_line(char *line, size_t size, const char *format, va_list arguments)
{
    int error = errno, length = vsnprintf(line, size, format, arguments);
    errno = error;
    if (length < 0)
        line[0] = '\0';
    /* A path may hold anything; the message must stay one line and leave the terminal alone. */
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return length < 0 ? 0 : (size_t)length;
}

bool fail(const char *format, ...)
{
    /* It has no arguments, so the text ends with it. */
    const char *advice = strchr(format, '\n');
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_line(problem.cause, sizeof problem.cause, format, arguments);
    va_end(arguments);
    size_t end = length - (advice ? strlen(advice) : 0);
    if (end < sizeof problem.cause)
        problem.cause[end] = '\0';
    problem.status = STATUS_LAUNCHER;
    problem.forbidden = false;
    is_limit = (errno == EMFILE || errno == ENFILE) && strstr(format, "%m");
    const char *text = is_limit ? more_files : advice ? advice + 1 : "";
    snprintf(problem.remedy, sizeof problem.remedy, "%s", text);
    return false;
}

bool remedy(const char *format, ...)
{
    if (is_limit)
        return false;
    va_list arguments;
    va_start(arguments, format);
    format_line(problem.remedy, sizeof problem.remedy, format, arguments);
    va_end(arguments);
    return false;
}

/* One write, so that the lines of many ranks do not mix. Nobody is left to tell if it fails. */
static void print(const char *text, int length)
{
    if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
        return;
}

void problem_print(void)
{
    char text[sizeof problem.cause + sizeof problem.remedy + 64];
    print(text, problem.remedy[0]
                    ? snprintf(text, sizeof text, "tykky: error: %s\ntykky: what to do: %s\n",
                               problem.cause, problem.remedy)
                    : snprintf(text, sizeof text, "tykky: error: %s\n", problem.cause));
}

void warn(const char *format, ...)
{
    char line[1024], text[sizeof line + 32];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, sizeof line, format, arguments);
    va_end(arguments);
    print(text, snprintf(text, sizeof text, "tykky: warning: %s\n", line));
}

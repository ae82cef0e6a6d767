#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"

static void *checked(void *memory)
{
    if (memory)
        return memory;
    fail("there is no memory left\nfree some memory, or raise the limit (ulimit -v)");
    problem_print();
    exit(STATUS_LAUNCHER);
}

void *allocate(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size));
}

void *reallocate(void *memory, size_t count, size_t size)
{
    return checked(realloc(memory, count * size));
}

char *format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return checked(text);
}

void set_variable(const char *name, const char *value)
{
    if ((value ? setenv(name, value, 1) : unsetenv(name)) != 0)
        checked(NULL);
}

bool octal_decode(char *text)
{
    char *to = text;
    for (char *from = text; *from; to++) {
        if (*from != '\\') {
            *to = *from++;
            continue;
        }
        for (int i = 1; i <= 3; i++)
            if (from[i] < '0' || from[i] > '7')
                return false;
        int byte = (from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0');
        if (byte == 0 || byte > 255)
            return false;
        *to = (char)byte;
        from += 4;
    }
    *to = '\0';
    return true;
}

#define _GNU_SOURCE
#include "title.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *start;
static size_t size;

static const char *end_of_strings(char **strings, const char *end)
{
    /* The kernel put them one after the other. */
    for (char **string = strings; *string && (!end || *string == end); string++)
        end = *string + strlen(*string) + 1;
    return end;
}

void title_remember(char **argv)
{
    start = argv[0];
    if (start)
        size = (size_t)(end_of_strings(environ, end_of_strings(argv, NULL)) - start);
}

void title_set(const char *name, const char *subject)
{
    char title[PATH_MAX + 32];
    prctl(PR_SET_NAME, name, 0, 0, 0);
    if (!size)
        return;
    int length = snprintf(title, sizeof title, "%s %s", name, subject);
    memset(start, 0, size);
    memcpy(start, title, (size_t)length < size ? (size_t)length : size - 1);
}

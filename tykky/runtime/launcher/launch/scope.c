#include "scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/files.h"

static void set_scope(struct scope *scope, const char *start, size_t length)
{
    if (length >= sizeof scope->text) { /* the end tells more */
        start += length - sizeof scope->text + 1;
        length = sizeof scope->text - 1;
    }
    memcpy(scope->text, start, length);
    scope->text[length] = '\0';
}

/* Slurm's cgroups end in job_J/step_S/user/task_T: all tasks of a step share a mount. */
static bool slurm_part(const char *path, size_t length, size_t *end)
{
    static const char job[] = "/job_", step[] = "/step_";
    const char *stop = path + length, *found = NULL;
    for (const char *c = path; c < stop; c++)
        if ((!found && strncmp(c, job, sizeof job - 1) == 0) ||
            strncmp(c, step, sizeof step - 1) == 0)
            found = c + 1;
    if (!found)
        return false;
    *end = (size_t)(found - path) + strcspn(found, "/\n");
    return true;
}

void scope_of_cgroup(struct scope *scope, const char *text)
{
    static const char unified[] = "0::", systemd[] = ":name=systemd:";
    scope->text[0] = '\0';
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), end;
        const char *path = memchr(line, '/', length);
        size_t rest = path ? length - (size_t)(path - line) : 0;
        if (path && slurm_part(path, rest, &end)) {
            set_scope(scope, path, end);
            scope->in_job = true;
            return;
        }
        bool second = strcspn(line, ":") + sizeof systemd - 1 <= length &&
                      strncmp(line + strcspn(line, ":"), systemd, sizeof systemd - 1) == 0;
        bool first = strncmp(line, unified, sizeof unified - 1) == 0;
        /* With both hierarchies, systemd's own tells the session; the other is mostly '/'. */
        if (path && (second || (first && !scope->text[0])))
            set_scope(scope, path, rest);
        line += length + (line[length] == '\n');
    }
}

void scope_find(struct scope *scope)
{
    char text[8192];
    struct scope group = {0};
    const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
    bool in_job = job && *job;
    if (in_job && step && *step) {
        scope->in_job = true;
        snprintf(scope->text, sizeof scope->text, "job_%s/step_%s", job, step);
        return;
    }
    int fd = open_file("/proc/self/cgroup", O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1); /* exec closes it at no cost */
    text[length > 0 ? length : 0] = '\0';
    scope_of_cgroup(&group, text);
    /* A batch script has a job and no step; not every Slurm puts jobs into cgroups of their own. */
    scope->in_job = in_job || group.in_job;
    snprintf(scope->text, sizeof scope->text, "job_%.64s %.440s", in_job ? job : "", group.text);
}

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared.h"

/* Slurm's cgroups end in job_J/step_S/user/task_T: all tasks of a step share a mount. Where that
 * part ends, or NULL. */
static char *end_of_slurm(char *path)
{
    char *found = strstr(path, "/job_");
    for (char *step = path; (step = strstr(step, "/step_")); step++)
        found = step;
    return found ? found + 1 + strcspn(found + 1, "/") : NULL;
}

void scope_of_cgroup(struct scope *scope, char *text)
{
    static const char systemd[] = ":name=systemd:";
    char *lines = NULL;
    scope->text = "";
    for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        char *path = strchr(line, '/'), *end = path ? end_of_slurm(path) : NULL;
        if (end) {
            *end = '\0';
            scope->text = path;
            scope->in_job = true;
            return;
        }
        bool second = strncmp(strchrnul(line, ':'), systemd, sizeof systemd - 1) == 0;
        bool first = strncmp(line, "0::", 3) == 0;
        /* With both hierarchies, systemd's own tells the session; the other is mostly '/'. */
        if (path && (second || (first && !scope->text[0])))
            scope->text = path;
    }
}

void scope_find(struct scope *scope)
{
    char text[8192];
    const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
    scope->in_job = job && *job;
    if (scope->in_job && step && *step) {
        scope->text = format("job_%s/step_%s", job, step);
        return;
    }
    int fd = open_file("/proc/self/cgroup", O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1); /* exec closes it at no cost */
    text[length > 0 ? length : 0] = '\0';
    /* A batch script has a job and no step; not every Slurm puts jobs into cgroups of their own. */
    const char *named = scope->in_job ? job : "";
    scope_of_cgroup(scope, text);
    scope->text = format("job_%s %s", named, scope->text);
}

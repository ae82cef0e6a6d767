/* The registry, /proc and pins: texts that others may have written are read as written, or not at all. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "launch/shared.h"

const char *const fuzz_seeds[] = {
    "pid=1234 start=56789 user=4026532177 mount=4026532178",
    "pid=1 start=1 user=0 mount=1",
    "pid= start=1 user=0 mount=1",
    "0::/user.slice/user-1000.slice/session-5.scope\n",
    "12:freezer:/slurm/uid_1000/job_12/step_0/task_1\n1:name=systemd:/system.slice/"
    "slurmd.service\n",
    "0::/system.slice/slurmstepd.scope/job_12/step_batch/user/task_0\n",
    "/s/a/1=7:/s/b/1=3:/link/a/1=new-1a2b",
    "=:::/s/a/1:/s/a/1==x=",
    NULL,
};

static void check_pins(const char *text)
{
    if (setenv("TYKKY_PINS", text, 1) != 0)
        return;
    const char *found = pins_find("/s/a/1");
    if (found && (strchr(found, ':') || strlen(found) > 127))
        abort();
    size_t before = strlen(text);
    pins_add("/s/a/1", "7");
    if (!(found = pins_find("/s/a/1")) || strcmp(found, "7") != 0 ||
        strlen(getenv("TYKKY_PINS")) > before + sizeof ":/s/a/1=7")
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct entry entry;
    struct scope scope = {0};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (entry_parse(text, &entry) && (entry.pid <= 0 || !entry.start || !entry.mount_namespace))
        abort();
    check_pins(text);
    scope_of_cgroup(&scope, text);
    if (strchr(scope.text, '\n'))
        abort();
    free(text);
    return 0;
}

#include "gpu.h"

#include <unistd.h>

/* The file that a loaded driver makes, whatever number of devices it has; in the order of
 * gpu_names. */
static const struct {
    const char *make, *device;
} kinds[] = {{"NVIDIA", "/dev/nvidiactl"}, {"AMD", "/dev/kfd"}};

void gpu_warn(const struct conf *conf)
{
    if (conf->gpu < 0 || access(kinds[conf->gpu].device, F_OK) == 0 || !isatty(STDERR_FILENO))
        return;
    warn("%s is made for graphics processors of %s, and this node has none", conf->name,
         kinds[conf->gpu].make);
}

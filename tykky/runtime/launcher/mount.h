/* Mounting the image, inside the namespace. */
#ifndef TYKKY_MOUNT_H
#define TYKKY_MOUNT_H

#include "conf.h"
#include "place.h"
#include "problem.h"

/* Enters a new mount namespace with the image over the prefix, for this process alone. */
bool mount_privately(const struct conf *conf, bool *user_namespace, struct problem *problem);

#endif

/* CW_EXTRA_BIND_MOUNTS: what users of the classic commands want to be mounted besides. */
#ifndef TYKKY_EXTRA_H
#define TYKKY_EXTRA_H

#include "stack.h"

/* Adds the images and directories that the variable names, between commas, as apptainer's --bind
 * has them: SOURCE[:TARGET[:OPTIONS]]. An image has the option image-src=/. The install's own image
 * is left out, so that the variable may be set once for several. */
bool extra_add(struct stack *stack, struct problem *problem);

#endif

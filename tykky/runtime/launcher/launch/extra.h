/* What users of the classic commands want to be mounted besides, in variables. They have it as
 * apptainer's --bind does, between commas: SOURCE[:TARGET[:OPTION]]. An image has the option
 * image-src=/. The install's own image is left out, so that a variable may be set for several. */
#ifndef TYKKY_EXTRA_H
#define TYKKY_EXTRA_H

#include "stack.h"

/* CW_EXTRA_BIND_MOUNTS, for installs that are not isolated. */
bool extra_add(struct stack *stack);

/* APPTAINER_BIND and its other spellings, for whom there is no Apptainer that reads them. */
bool extra_add_of_apptainer(struct stack *stack);

#endif

/* The environment of the program, as launch.conf asks for it. */
#ifndef TYKKY_ENVIRONMENT_H
#define TYKKY_ENVIRONMENT_H

#include "conf.h"
#include "problem.h"

/* Applies the operations in the order of the file. Adding what already stands at that end of a
 * list changes nothing, so that nested calls do not make it longer. */
bool environment_apply(const struct conf *conf, struct problem *problem);

#endif

/* The environment of the program, as launch.conf asks for it. */
#ifndef TYKKY_ENVIRONMENT_H
#define TYKKY_ENVIRONMENT_H

#include "../common/problem.h"
#include "conf.h"

/* Whether, and how, calling a command activates its stack, as conda would. */
enum activation {
    ACTIVATION_OFF, /* called through a virtual environment on top, or the user wants none */
    ACTIVATION_ON,
    ACTIVATION_FORCED, /* through a virtual environment, and the user wants both */
};

/* `invoked` is the path by which the command was called. */
enum activation environment_activation(const char *invoked);

/* Applies the operations in the order of the file. Adding what already stands at that end of a
 * list changes nothing, so that nested calls do not make it longer. */
bool environment_apply(const struct conf *conf, enum activation activation,
                       struct problem *problem);

/* What the caller has set for the inside of containers, as Apptainer reads it: APPTAINERENV_NAME, or
 * else SINGULARITYENV_NAME, sets NAME. What they have of PATH and LD_LIBRARY_PATH comes before what
 * is in these, which is done with `lists`; the rest with `others`. Values are taken as they are. */
bool environment_take(bool others, bool lists, struct problem *problem);

/* Activates the virtual environment that the command was called through. */
bool environment_join_venv(const char *invoked, struct problem *problem);

#endif

/* The environment of the program, as launch.conf asks for it. */
#ifndef TYKKY_ENVIRONMENT_H
#define TYKKY_ENVIRONMENT_H

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
void environment_apply(const struct conf *conf, enum activation activation);

enum take { TAKE_LISTS = 1, TAKE_OTHERS = 2 };

/* What the caller has set for the inside of containers, as Apptainer reads it: APPTAINERENV_NAME, or
 * else SINGULARITYENV_NAME, sets NAME. What they have of PATH and LD_LIBRARY_PATH comes before what
 * is in these, which are the lists. Values are taken as they are. */
void environment_take(enum take what);

/* Activates the virtual environment that the command was called through. */
void environment_join_venv(const char *invoked);

/* Whether there is a variable of that name, and something in it. */
bool is_set(const char *name);

#endif

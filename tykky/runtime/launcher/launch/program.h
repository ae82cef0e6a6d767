/* Executing the program: with which environment, from which path, and in which runtime. */
#ifndef TYKKY_PROGRAM_H
#define TYKKY_PROGRAM_H

#include "stack.h"

/* The path to execute: the one that launch.conf gives for this command, else the invoked one. */
const char *program_path(const struct place *place, const struct conf *conf);

/* Executes the invoked path with the same arguments. Returns (false) only on failure; it never
 * executes a launcher, so no mistake can make an endless loop. */
bool program_execute(const struct place *place, const struct conf *conf, char **argv);

/* Finds program `name`: what the site named in launch.conf, and nothing else if it named any; else
 * in the `usual` directories (ends with NULL); else along PATH, which comes last because in a
 * module environment anything may be there. NULL: it is not found. */
const char *search_program(const char *name, const struct list *named, const char *const *usual);

/* Says on standard error if what starts this as the first of several processes is not what the MPI
 * of the stack understands, or if the node has none. */
void warn_of_mpi(const struct stack *stack);

/* --- the environment of the program, as launch.conf asks for it ------------------------------- */

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

/* What the caller has set for the inside of containers, as Apptainer reads it: APPTAINERENV_NAME,
 * or else SINGULARITYENV_NAME, sets NAME. What they have of PATH and LD_LIBRARY_PATH comes before
 * what is in these, which are the lists. Values are taken as they are. */
void environment_take(enum take what);

/* Lets the virtual environment that the command was called through be first on PATH, if the stack
 * has set that anew: what has been there is of the caller. */
void environment_keep_venv(const struct conf *conf, const char *invoked);

/* Activates the virtual environment that the command was called through. */
void environment_join_venv(const char *invoked);

/* --- the other runtime: `apptainer exec`, which leaves nothing to a shell ----------------------
 *
 * Every bind is on its command line, so the user's own APPTAINER_BIND stays in force beside them.
 * SingularityCE is used in the same way; its variables have another spelling. */

/* The prefix of the stack whose command has started the container around this process, or NULL. */
const char *apptainer_around(void);

/* Unsets what an outer container has left, when a batch system or ssh has carried the environment
 * out of it: there, its list of binds means nothing. */
void apptainer_forget(void);

/* Executes the command in the container. The environment must have been applied. Returns (false)
 * only on failure. */
bool apptainer_execute(struct stack *stack, const struct place *place, char **argv);

#endif

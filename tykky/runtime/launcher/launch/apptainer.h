/* The other runtime: the launcher executes `apptainer exec`, and leaves nothing to a shell.
 *
 * Every bind is on its command line, so the user's own APPTAINER_BIND stays in force beside them.
 * SingularityCE is used in the same way; its variables have another spelling.
 */
#ifndef TYKKY_APPTAINER_H
#define TYKKY_APPTAINER_H

#include "stack.h"

/* The prefix of the stack whose command has started the container around this process, or NULL. */
const char *apptainer_around(void);

/* Unsets what an outer container has left, when a batch system or ssh has carried the environment
 * out of it: there, its list of binds means nothing. */
void apptainer_forget(void);

/* Executes the command in the container. The environment must have been applied. Returns (false)
 * only on failure. */
bool apptainer_execute(const struct stack *stack, const struct place *place, char **argv);

#endif

/* Executing the program, once the image is mounted; and finding those of the host. */
#ifndef TYKKY_PROGRAM_H
#define TYKKY_PROGRAM_H

#include "../common/problem.h"
#include "conf.h"
#include "place.h"

/* The path to execute: the one that launch.conf gives for this command, else the invoked one. */
const char *program_path(const struct place *place, const struct conf *conf);

/* Executes the invoked path with the same arguments. Returns (false) only on failure; it never
 * executes a launcher, so no mistake can make an endless loop. */
bool program_execute(const struct place *place, const struct conf *conf, char **argv);

/* Finds program `name`: what the site named in launch.conf, and nothing else if it named any; else
 * in the `usual` directories (ends with NULL); else along PATH, which comes last because in a
 * module environment anything may be there. NULL: it is not found. */
const char *search_program(const char *name, const struct list *named, const char *const *usual);

#endif

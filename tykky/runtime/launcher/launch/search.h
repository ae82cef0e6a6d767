/* Finding a program of the host. */
#ifndef TYKKY_SEARCH_H
#define TYKKY_SEARCH_H

#include "conf.h"

/* Finds program `name`: what the site named in launch.conf, and nothing else if it named any; else
 * in the `usual` directories (ends with NULL); else along PATH, which comes last because in a
 * module environment anything may be there. NULL: it is not found. */
const char *search_program(const char *name, const struct list *named, const char *const *usual);

#endif

/* Which generation of an install a session goes on with, whatever becomes the current one.
 *
 * TYKKY_PINS has PLACE=GENERATION, with colons between them; the first for a place counts.
 */
#ifndef TYKKY_PINS_H
#define TYKKY_PINS_H

/* What follows the = for the install at `place`, whatever it is; NULL if nothing names it. */
const char *pins_find(const char *place);

/* Pins the install at `place` for the program that will be executed, before all others. */
void pins_add(const char *place, const char *generation);

#endif

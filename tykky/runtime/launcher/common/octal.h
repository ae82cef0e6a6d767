/* Text in which some bytes are written \ooo: /etc/fstab, /proc/self/mountinfo and launch.conf. */
#ifndef TYKKY_OCTAL_H
#define TYKKY_OCTAL_H

#include <stdbool.h>

/* In place. False, with the text in an unknown state, if a backslash is followed by anything else
 * than three octal digits of a byte from 1 to 255. */
bool octal_decode(char *text);

#endif

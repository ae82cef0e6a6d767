/* The answer that `ask` gets: an exit status, and perhaps a script that has to follow. */
#ifndef TYKKY_ANSWER_H
#define TYKKY_ANSWER_H

#include "../common/common.h"

/* What a shell can be given as one argument, with the zero byte. */
enum { ANSWER_LONGEST = 128 * 1024 - 1 };

struct answer {
    unsigned char status;
    char *script; /* allocated; empty: there is none */
};

/* Reads a whole answer: the status (8 bits), the size of the script (32 bits), the script, and
 * then the end. Anything else is no answer, and nothing of it is kept. */
bool answer_read(int stream, struct answer *answer);

#endif

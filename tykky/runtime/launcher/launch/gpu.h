/* Graphics processors: whether this node has those that the stack is made for. */
#ifndef TYKKY_GPU_H
#define TYKKY_GPU_H

#include "conf.h"

/* Says on a terminal, in one line, that there are none; the program runs in any case. */
void gpu_warn(const struct conf *conf);

#endif

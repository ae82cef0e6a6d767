/* What a fuzz target gives: libFuzzer's function, and texts to start from. */
#ifndef TYKKY_FUZZ_H
#define TYKKY_FUZZ_H

#include <stddef.h>
#include <stdint.h>

extern const char *const fuzz_seeds[];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

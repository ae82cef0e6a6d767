/* Runs a fuzz target on changed seeds, the same ones every time: any compiler can build it, and
 * what it finds can be found again. The argument is how many inputs are tried. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { ROOM = 4096 };

static uint64_t state = 0x2545f4914f6cdd1d;

static size_t any(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (size_t)(state % below) : 0;
}

/* Pieces that parsers stumble over. */
static const char *const pieces[] = {
    "\n",
    " ",
    "\\",
    "\\0",
    "/",
    "..",
    "/../",
    "#",
    "=",
    ":",
    "0",
    "-1",
    "18446744073709551616",
    "9223372036854775807",
    "format 2\n",
    "set ",
    "unset ",
    "need /",
    "image a.sqfs 1 /b",
    "layer b.sqfs 1 /b",
    "$PREFIX",
    "$GENERATION/",
    "/s/a/1=",
    "pid=",
    "/job_1/step_",
};

static size_t change(char *text, size_t size)
{
    size_t at = any(size + 1), length = any(16), count = sizeof pieces / sizeof pieces[0];
    const char *piece;
    switch (any(5)) {
    case 0: /* another byte */
        if (at < size)
            text[at] = (char)any(256);
        return size;
    case 1: /* cut out */
        if (length > size - at)
            length = size - at;
        memmove(text + at, text + at + length, size - at - length);
        return size - length;
    case 2: /* the end is missing */ return at;
    case 3: /* a piece of itself again */
        if (length > size - at || size + length > ROOM)
            return size;
        memmove(text + at + length, text + at, size - at);
        return size + length;
    default:
        piece = pieces[any(count)];
        length = strlen(piece);
        if (size + length > ROOM)
            return size;
        memmove(text + at + length, text + at, size - at);
        memcpy(text + at, piece, length);
        return size + length;
    }
}

int main(int argc, char **argv)
{
    long runs = argc > 1 ? atol(argv[1]) : 100000;
    size_t seeds = 0;
    while (fuzz_seeds[seeds])
        seeds++;
    static char text[ROOM];
    for (long run = 0; run < runs; run++) {
        const char *seed = fuzz_seeds[run % (long)seeds];
        size_t size = strlen(seed);
        memcpy(text, seed, size);
        for (size_t changes = any(8); run >= (long)seeds && changes > 0; changes--)
            size = change(text, size);
        LLVMFuzzerTestOneInput((const uint8_t *)text, size);
    }
    printf("%s: %ld inputs\n", argv[0], runs);
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "answer.h"

/* How many bytes came, fewer than `size` only at the end; -1 with errno. */
static ssize_t receive(int stream, void *data, size_t size)
{
    size_t have = 0;
    while (have < size) {
        ssize_t got = recv(stream, (char *)data + have, size - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static bool whole(ssize_t got, size_t size)
{
    if (got < 0)
        return fail("ask: there is no answer: %m");
    if (got == 0 && size > 0)
        return fail("ask: there is no answer");
    return (size_t)got == size || fail("ask: the answer breaks off");
}

bool answer_read(int stream, struct answer *answer)
{
    unsigned char head[1 + sizeof(uint32_t)], more;
    uint32_t size;
    *answer = (struct answer){0};
    if (!whole(receive(stream, head, sizeof head), sizeof head))
        return false;
    memcpy(&size, head + 1, sizeof size);
    if (size >= ANSWER_LONGEST)
        return fail("ask: the answer is too long");
    char *script = allocate(size + 1, 1);
    /* Half a script would be another one. */
    if (!whole(receive(stream, script, size), size) ||
        (strlen(script) != size && !fail("ask: the answer is no text")) ||
        (receive(stream, &more, 1) != 0 && !fail("ask: the answer does not end"))) {
        free(script);
        return false;
    }
    *answer = (struct answer){head[0], script};
    return true;
}

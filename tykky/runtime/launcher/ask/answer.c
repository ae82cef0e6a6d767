#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "answer.h"

static ssize_t receive_some(int stream, void *data, size_t size)
{
    ssize_t got;
    while ((got = recv(stream, data, size, 0)) < 0 && errno == EINTR)
        ;
    return got;
}

static bool receive(int stream, void *data, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t got = receive_some(stream, (char *)data + have, size - have);
        if (got < 0)
            return fail("ask: there is no answer: %m");
        if (got == 0)
            return fail(have ? "ask: the answer breaks off" : "ask: there is no answer");
        have += (size_t)got;
    }
    return true;
}

bool answer_read(int stream, struct answer *answer)
{
    unsigned char head[1 + sizeof(uint32_t)], more;
    uint32_t size;
    *answer = (struct answer){0};
    if (!receive(stream, head, sizeof head))
        return false;
    memcpy(&size, head + 1, sizeof size);
    if (size >= ANSWER_LONGEST)
        return fail("ask: the answer is too long");
    char *script = allocate(size + 1, 1);
    /* Half a script would be another one. */
    if (!receive(stream, script, size) ||
        (strlen(script) != size && !fail("ask: the answer is no text")) ||
        (receive_some(stream, &more, 1) != 0 && !fail("ask: the answer does not end"))) {
        free(script);
        return false;
    }
    *answer = (struct answer){head[0], script};
    return true;
}

/* The answer to `ask`: it is whole, and then a text that a shell can be given, or it is refused. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask/answer.h"
#include "common/common.h"
#include "fuzz.h"

/* Two characters say what the head has, since texts have no zero bytes: status and size. */
const char *const fuzz_seeds[] = {
    "00", "0rexec a", "06exec a", "05false", "13oh!", "000000", "09short", "0800000000 and more",
    "",   NULL,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A size of 255 is a great one, and r the right one. */
    unsigned char head[5] = {0};
    size_t headed = size < 2 ? size : sizeof head, rest = size > 2 ? size - 2 : 0;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        abort();
    if (size > 0)
        head[0] = data[0] - '0';
    if (size > 1) {
        head[1] = data[1] - '0';
        memset(head + 2, data[1] == 255 ? 255 : 0, 3);
        if (data[1] == 'r') {
            head[1] = rest & 255;
            head[2] = (rest >> 8) & 255;
        }
    }
    if (send(ends[0], head, headed, MSG_NOSIGNAL) != (ssize_t)headed ||
        (rest && send(ends[0], data + 2, rest, MSG_NOSIGNAL) != (ssize_t)rest))
        abort();
    shutdown(ends[0], SHUT_WR);
    problem = (struct problem){0};
    struct answer answer;
    if (answer_read(ends[1], &answer)) {
        if (headed < sizeof head || strlen(answer.script) != rest ||
            memcmp(answer.script, data + 2, rest) != 0)
            abort();
    } else if (answer.script || !problem.cause[0] || strchr(problem.cause, '\n')) {
        abort();
    }
    free(answer.script);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* ask: hands a command line out of a box to whoever listens at a socket, and waits for the answer.
 *
 *     ask SOCKET WORD...
 *
 * Commands in a box whose root is an image reach what only the host has in this way. What is sent
 * are standard output and error, and then the size of what follows (32 bits), the working
 * directory and the words, each with a zero byte behind it. The answer is the exit status, and
 * perhaps a script for the shell, which is for this side to run: see answer.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "answer.h"

static _Noreturn void end(void)
{
    remedy("it works while the stack is built, in the build's own box");
    problem_print();
    exit(STATUS_LAUNCHER);
}

static _Noreturn void end_with(const char *what, int error)
{
    fail("ask: %s: %s", what, strerror(error));
    end();
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        end_with(path, ENAMETOOLONG);
    strcpy(address.sun_path, path);
    int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream < 0 || connect(stream, (struct sockaddr *)&address, sizeof address) != 0)
        end_with("nobody answers", errno);
    return stream;
}

static void send_all(int stream, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(stream, text, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            end_with("the request cannot be sent", errno);
        text += sent;
        size -= (size_t)sent;
    }
}

static void send_request(int stream, char **words)
{
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder))
        strcpy(folder, "/");
    size_t size = strlen(folder) + 1;
    for (char **word = words; *word; word++)
        size += strlen(*word) + 1;
    if (size > UINT32_MAX)
        end_with("the request cannot be sent", E2BIG);
    const int outputs[] = {STDOUT_FILENO, STDERR_FILENO};
    const uint32_t head = (uint32_t)size;
    if (!send_descriptors(stream, outputs, 2, &head, sizeof head))
        end_with("the request cannot be sent", errno);
    send_all(stream, folder, strlen(folder) + 1);
    for (char **word = words; *word; word++)
        send_all(stream, *word, strlen(*word) + 1);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: ask SOCKET WORD...\n", stderr);
        return STATUS_LAUNCHER;
    }
    int stream = connect_to(argv[1]);
    send_request(stream, argv + 2);
    struct answer answer;
    if (!answer_read(stream, &answer))
        end();
    close(stream);
    if (answer.status != 0 || !answer.script[0])
        return answer.status;
    execl("/bin/sh", "sh", "-e", "-c", answer.script, (char *)NULL);
    end_with("/bin/sh", errno);
}

"""The program behind ``conda`` in an image: it believes no answer that is not whole."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launcher.stacks import program

Server = Callable[[socket.socket], None]


def ask(place: Path, serve: Server, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask somebody who does with the connection whatever ``serve`` does."""
    path = place / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            with listener.accept()[0] as stream:
                serve(stream)

        thread = threading.Thread(target=answer)
        thread.start()
        line = [program("ask"), path, *(words or ("conda",))]
        done = subprocess.run(line, capture_output=True, text=True, cwd=place, timeout=20)
        thread.join()
    return done


def saying(*pieces: bytes) -> Server:
    """Read the request, then send this."""

    def serve(stream: socket.socket) -> None:
        for descriptor in request(stream)[1]:
            os.close(descriptor)
        for piece in pieces:
            stream.sendall(piece)

    return serve


def request(stream: socket.socket) -> tuple[list[bytes], list[int]]:
    """The folder and words that were sent, and the descriptors."""
    head, descriptors, _, _ = socket.recv_fds(stream, 4, 4)
    (size,) = struct.unpack("=I", head)
    data = b""
    while len(data) < size:
        data += stream.recv(size - len(data))
    return data.split(b"\0"), descriptors


def answer(status: int, script: bytes = b"") -> bytes:
    return struct.pack("=BI", status, len(script)) + script


def test_the_words_and_the_folder_arrive_as_they_are(place: Path) -> None:
    seen: list[bytes] = []

    def serve(stream: socket.socket) -> None:
        words, descriptors = request(stream)
        seen.extend(words)
        for descriptor, text in zip(descriptors, (b"said\n", b"complained\n"), strict=True):
            os.write(descriptor, text)
            os.close(descriptor)
        stream.sendall(answer(7))

    done = ask(place, serve, "conda", "", "a b\n", "-x" * 5000)
    assert (done.returncode, done.stdout, done.stderr) == (7, "said\n", "complained\n")
    assert seen == [bytes(place), b"conda", b"", b"a b\n", b"-x" * 5000, b""]


def test_the_script_of_an_answer_is_run_if_there_is_one(place: Path) -> None:
    whole = answer(0, b"echo one\nfalse\necho two\n")
    done = ask(place, saying(*(whole[at : at + 3] for at in range(0, len(whole), 3))))
    assert (done.returncode, done.stdout) == (1, "one\n")


def test_no_script_is_run_after_a_failure(place: Path) -> None:
    done = ask(place, saying(answer(4, b"echo no")))
    assert (done.returncode, done.stdout) == (4, "")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"", "there is no answer"),
        (b"\0", "the answer breaks off"),
        (answer(0, b"echo wrong; rm -rf /some/where")[:-9], "the answer breaks off"),
        (answer(0, b"echo wrong") + b"\n", "the answer does not end"),
        (answer(0, b"echo wrong\0echo"), "the answer is no text"),
        (struct.pack("=BI", 0, 0xFFFFFFFF) + b"echo wrong", "the answer is too long"),
        (answer(0, b"#" * (1 << 17)), "the answer is too long"),
    ],
)
def test_what_is_no_answer_is_refused(place: Path, said: bytes, problem: str) -> None:
    done = ask(place, saying(said))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines() == [
        f"tykky: error: ask: {problem}",
        "tykky: what to do: it works while the stack is built, in the build's own box",
    ]


def test_one_that_hangs_up_is_named(place: Path) -> None:
    done = ask(place, lambda stream: None, "conda", "x" * 100_000)
    assert done.returncode == 125
    assert "tykky: error: ask: " in done.stderr


def test_nobody_there_is_named(place: Path) -> None:
    for path in (str(place / "none"), "/" + "x" * 200):
        done = subprocess.run([program("ask"), path, "conda"], capture_output=True, text=True)
        assert done.returncode == 125
        assert done.stderr.startswith("tykky: error: ask: ")

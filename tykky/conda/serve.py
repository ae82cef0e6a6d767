"""``conda`` for boxes whose root is an image, which need not have what Tykky's Python needs.

The command in the box hands its words and outputs out through a socket below ``/tmp``. Here,
outside, the same command is run in a box of the host over the same scratch directory; what has
to be run by the environment's own programs goes back as a script for the image's shell.

Public name: ``serving``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.build.box import closed, enclosed
from tykky.build.scratch import contained
from tykky.conda.target import FOLLOW, SOCKET, VARIABLE

if TYPE_CHECKING:
    from tykky.build.box import RealBox

#: What an unlikely long command line may have, in bytes.
_LONGEST = 1 << 22

#: Starts in the caller's directory if it is there on the host, too.
_IN_FOLDER = 'cd "$1" 2>/dev/null || true; shift; exec "$@"'


@contextlib.contextmanager
def serving(box: RealBox, state: bytearray) -> Iterator[None]:
    """Answer what commands in the box ask. ``state`` is the pickled target, which they change.

    It is kept here and not in the box, where what is built could alter it.
    """
    path = contained(box.scratch.tmp, SOCKET.relative_to("/tmp"))
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        _bind(listener, path)
        listener.listen()
        inbox, outbox = os.pipe()
        asked = threading.Thread(target=_listen, args=(listener, inbox, box, state), daemon=True)
        asked.start()
        try:
            yield
        finally:
            os.close(outbox)  # wakes the thread, which ends what it runs
            asked.join()
            os.close(inbox)
            path.unlink(missing_ok=True)


def _bind(listener: socket.socket, path: Path) -> None:
    """Bind by way of the directory's descriptor: the path may be longer than an address."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _listen(listener: socket.socket, end: int, box: RealBox, state: bytearray) -> None:
    """Answer one after the other until ``end`` is closed on its other side."""
    while listener.fileno() in _ready(listener.fileno(), end):
        with listener.accept()[0] as stream, contextlib.suppress(Exception):
            # Whoever asks sees that there is no answer; the next is answered again.
            words, folder, outputs = _request(stream)
            try:
                stream.sendall(_answer(stream, end, words, folder, outputs, box, state))
            finally:
                for descriptor in outputs:
                    os.close(descriptor)


def _request(stream: socket.socket) -> tuple[list[str], str, list[int]]:
    """The words, the directory they were said in, and where output goes."""
    head, outputs, _, _ = socket.recv_fds(stream, 4, 2)
    try:
        (size,) = struct.unpack("=I", head)
        if size > _LONGEST or len(outputs) != 2:
            raise ValueError
        data = bytearray()
        while len(data) < size:
            if not (block := stream.recv(size - len(data))):
                raise ValueError
            data += block
        folder, *words = data[:-1].decode(errors="surrogateescape").split("\0")
    except (ValueError, OSError, struct.error):
        for descriptor in outputs:
            os.close(descriptor)
        raise ValueError from None
    return words, folder, outputs


def _answer(
    stream: socket.socket,
    end: int,
    words: list[str],
    folder: str,
    outputs: list[int],
    box: RealBox,
    state: bytearray,
) -> bytes:
    """Run the command and return its status, and the script that follows it in the box."""
    # No files: what is built could alter those, or put links in their places.
    target, script = os.memfd_create("target"), os.memfd_create("script")
    try:
        os.write(target, state)
        process = subprocess.Popen(
            _line(words, folder, box, target, script),
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=outputs[0],
            stderr=outputs[1],
            pass_fds=(target, script),
        )
        status = _wait(process, stream, end)
        state[:] = _whole(target)
        return bytes([status]) + (_whole(script) if status == 0 else b"")
    finally:
        os.close(target)
        os.close(script)


def _line(words: list[str], folder: str, box: RealBox, target: int, script: int) -> list[str]:
    """The command line of a box of the host that runs the command on the environment."""
    variables = {
        **closed(box.scratch, box.config),
        VARIABLE: f"/proc/self/fd/{target}",
        FOLLOW: f"/proc/self/fd/{script}",
    }
    python = [sys.executable, "-I", "-m", "tykky.conda.command"]
    return enclosed(
        ["/bin/sh", "-c", _IN_FOLDER, "sh", folder, *python, *words],
        variables,
        box.scratch,
        box.config,
        seen=[box.config.root, box.directory, *box.config.repos, *box.seen],
        places={box.scratch.root: box.prefix},
    )


def _wait(process: subprocess.Popen[bytes], stream: socket.socket, end: int) -> int:
    """The exit status; ends the process if the caller or the build goes away before it."""
    ended = os.pidfd_open(process.pid)
    try:
        if ended not in _ready(ended, stream.fileno(), end):
            process.send_signal(signal.SIGTERM)
        status = process.wait()
    finally:
        os.close(ended)
    return status if status >= 0 else 128 - status


def _ready(*descriptors: int) -> list[int]:
    """Wait until there is something to read, and where."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll()]


def _whole(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

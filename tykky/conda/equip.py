"""The commands ``conda`` and its like, in the box of a build.

A root that is an image need not have what Tykky's Python needs. There the command hands its words
and outputs out through a socket below ``/tmp``. Here, outside, the same command is run in a box of
the host over the same scratch directory; what has to be run by the environment's own programs
goes back as a script for the image's shell.

Whatever is built may connect, too: so nothing that comes is waited for longer than the command
in the box runs, and a connection that says nothing holds up no other.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import shlex
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import arch
from tykky.conda.channels import public
from tykky.conda.channels import virtual_packages as machines
from tykky.conda.target import FOLDER, FOLLOW, PROGRAMS, READABLE, SOCKET, VARIABLE, Target
from tykky.runtime import native
from tykky.tools import uv, wheels
from tykky.tools.enclosure import closed, enclosed
from tykky.tools.scratch import contained

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.config import Config

#: What scripts read of the base of conda before they use it.
_BASE = {
    "etc/profile.d/conda.sh": ":",
    "bin/activate": 'conda activate "$@"',
    "activate": 'conda activate "$@"',
    "deactivate": ":",
}

#: What an unlikely long command line may have, in bytes.
_LONGEST = 1 << 22
#: How many connections may wait, and how much of one is read at once.
_MOST, _BLOCK = 64, 1 << 16
#: Seconds that a command which is no longer wanted has for its end.
_GRACE = 5

#: Starts in the caller's directory if it is there on the host, too.
_IN_FOLDER = 'cd "$1" 2>/dev/null || true; shift; exec "$@"'


def equip(
    box: RealBox,
    config: Config,
    *,
    channels: tuple[str, ...],
    names: Sequence[str],
    virtual_packages: Sequence[str] = (),
    folder: Path | None = None,
) -> None:
    """Put ``conda`` and its like into a box, and a ``pip`` if the environment's own will not do.

    They ask the ``channels`` first to last for packages that work with a recipe's
    ``virtual_packages``; scripts may call the environment by ``names``. ``folder`` is where the
    commands are, for a box that has the host's own ``/tmp``.
    """
    if folder is None:
        # Nothing that the next build may see; and no passwords where they are of no use.
        config = replace(config, cache_dir=Path("/tmp/tykky-cache"))
        config = config if box.network else _without_logins(config)
    target = Target(
        prefix=box.prefix,
        channels=channels,
        virtual_packages=machines(virtual_packages, config, arch()),
        strict=config.conda.strict_priority,
        names=(names[0], str(box.prefix), "base", *names[1:]),
        arch=arch(),
        config=config,
        state=(folder or FOLDER) / "target",
    )
    # What packages have run may have left links there.
    own = contained(box.scratch.tmp, Path(FOLDER.name, "conda")).parent
    inside = box.base.has_root and folder is None
    # What pip knows nothing of; in the scripts of users, pip is their own.
    special = len(uv.indexes(config)) > 1 or config.pip.quarantine
    in_order = folder is None and box.network and special
    folder = folder or own
    folder.mkdir(parents=True, exist_ok=True)
    if inside:
        # An image need not have what Tykky's own Python is linked with.
        _keep(folder / "ask", native.program("ask").read_bytes(), 0o755)
        start = f"exec {FOLDER}/ask {SOCKET}"
        state = bytearray(pickle.dumps(target))
        box.beside = lambda: _serving(box, state)
    else:
        # The target's own state is where the box sees it.
        _keep(folder / target.state.name, pickle.dumps(target))
        python = shlex.quote(sys.executable)
        start = f"{VARIABLE}={target.state} exec {python} -I -m tykky.conda.command"
    for name, text in {**{name: f'{start} {name} "$@"' for name in PROGRAMS}, **_BASE}.items():
        _program(folder / name, text)
    programs = box.real(".") / "bin"
    has_pip = os.path.lexists(programs / "pip")
    if os.path.lexists(programs / "python") and (in_order or not has_pip):
        usual = uv.environment(config) if box.network else uv.offline(config)
        variables = {**usual, "UV_PYTHON": f"{box.prefix}/bin/python"}
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        if has_pip:
            lines.insert(0, f'[ "$1" = install ] || exec {box.prefix}/bin/pip "$@"')
        lines.append(f'exec {shlex.quote(uv.program())} pip "$@"')
        for name in ("pip", "pip3"):
            _program(folder / name, "\n".join(lines))


def _without_logins(config: Config) -> Config:
    conda, pip = config.conda, config.pip
    aliases, alias = tuple(map(public, conda.aliases)), public(conda.channel_alias)
    more = tuple(map(wheels.public, pip.extra_index_urls))
    return replace(
        config,
        conda=replace(conda, aliases=aliases, channel_alias=alias),
        pip=replace(pip, index_url=wheels.public(pip.index_url), extra_index_urls=more),
    )


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _keep(path, f"#!/bin/sh\n{text}\n".encode(), 0o755)


def _keep(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file, and not through a link."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


# -- from within an image -----------------------------------------------------------------


@contextlib.contextmanager
def _serving(box: RealBox, state: bytearray) -> Iterator[None]:
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


class _Request:
    """What has come so far over one connection."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.size = -1
        self.data = bytearray()
        self.outputs: list[int] = []

    def receive(self) -> bool:
        """Take what is there; whether the request is whole. Raises ``ValueError``, ``OSError``."""
        if self.size < 0:
            head, self.outputs, flags, _ = socket.recv_fds(
                self.stream, 4, 2, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
            )
            if len(head) != 4 or len(self.outputs) != 2 or flags & socket.MSG_CTRUNC:
                raise ValueError
            (self.size,) = struct.unpack("=I", head)
            if not 0 < self.size <= _LONGEST:
                raise ValueError
            return False
        block = self.stream.recv(min(self.size - len(self.data), _BLOCK), socket.MSG_DONTWAIT)
        if not block:
            raise ValueError
        self.data += block
        return len(self.data) == self.size

    def words(self) -> list[str]:
        """The directory they were said in, then the words. Raises ``ValueError``."""
        if self.data[-1] or self.data.count(0) < 2:
            raise ValueError
        return self.data[:-1].decode(errors="surrogateescape").split("\0")

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
        for descriptor in self.outputs:
            os.close(descriptor)


def _listen(listener: socket.socket, end: int, box: RealBox, state: bytearray) -> None:
    """Answer one after the other until ``end`` is closed on its other side."""
    waiting: dict[int, _Request] = {}
    try:
        while end not in (ready := _ready(listener.fileno(), end, *waiting)):
            for descriptor in ready:
                # Whoever asks sees that there is no answer; the next is answered again.
                with contextlib.suppress(Exception):
                    if descriptor == listener.fileno():
                        _admit(listener.accept()[0], waiting)
                    elif descriptor in waiting:
                        _attend(waiting, descriptor, end, box, state)
    finally:
        for request in waiting.values():
            request.close()


def _admit(stream: socket.socket, waiting: dict[int, _Request]) -> None:
    """Let a connection wait; the one that has waited for longest makes room."""
    if len(waiting) >= _MOST:
        waiting.pop(next(iter(waiting))).close()
    waiting[stream.fileno()] = _Request(stream)


def _attend(
    waiting: dict[int, _Request], descriptor: int, end: int, box: RealBox, state: bytearray
) -> None:
    """Read of one connection, and answer once the request is whole."""
    request, whole = waiting[descriptor], False
    try:
        whole = request.receive()
        if whole:
            _send(request.stream, _answer(request, end, box, state), end)
    except BlockingIOError:
        return
    except BaseException:
        whole = True
        raise
    finally:
        if whole:
            del waiting[descriptor]
            request.close()


def _send(stream: socket.socket, answer: bytes, end: int) -> None:
    """Send an answer, to somebody who may never read it."""
    while answer and end not in _ready(end, sending=stream.fileno()):
        answer = answer[stream.send(answer, socket.MSG_DONTWAIT) :]


def _answer(request: _Request, end: int, box: RealBox, state: bytearray) -> bytes:
    """Run the command and return its status, and the script that follows it in the box."""
    folder, *words = request.words()
    # No files: what is built could alter those, or put links in their places.
    target, script = os.memfd_create("target"), os.memfd_create("script")
    try:
        os.write(target, state)
        line, variables = _line(words, folder, box, target, script)
        process = subprocess.Popen(
            line,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=request.outputs[0],
            stderr=request.outputs[1],
            pass_fds=(target, script),
        )
        status = _wait(process, request.stream, end)
        if status != 0:
            return struct.pack("=BI", status, 0)
        state[:] = _whole(target)
        follow = _whole(script)
        return struct.pack("=BI", 0, len(follow)) + follow
    finally:
        os.close(target)
        os.close(script)


def _line(
    words: list[str], folder: str, box: RealBox, target: int, script: int
) -> tuple[list[str], dict[str, str]]:
    """The command line of a box of the host that runs the command, and the environment for it."""
    access = replace(box.access({box.scratch.root: box.prefix}), own_root=False)
    inside = (box.prefix, box.scratch.home, Path("/tmp"))
    readable = [*access.seen, *access.reads, *inside]
    variables = {
        **closed(box.scratch),
        VARIABLE: f"/proc/self/fd/{target}",
        FOLLOW: f"/proc/self/fd/{script}",
        READABLE: ":".join(map(str, readable)),
    }
    python = [sys.executable, "-I", "-m", "tykky.conda.command"]
    return enclosed(
        ["/bin/sh", "-c", _IN_FOLDER, "sh", folder, *python, *words],
        variables,
        box.scratch,
        box.config,
        access,
    )


def _wait(process: subprocess.Popen[bytes], stream: socket.socket, end: int) -> int:
    """The exit status; ends the process if the caller or the build goes away before it."""
    ended = os.pidfd_open(process.pid)
    try:
        if ended not in _ready(ended, stream.fileno(), end):
            process.terminate()
            _ready(ended, patience=_GRACE)
            process.kill()  # nothing, if it has ended
        status = process.wait()
    finally:
        os.close(ended)
    return status if status >= 0 else 128 - status


def _ready(*descriptors: int, sending: int | None = None, patience: int | None = None) -> list[int]:
    """Wait until there is something to read, or room to send, and where; ``patience`` in s."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    if sending is not None:
        poll.register(sending, select.POLLOUT)
    return [ready for ready, _ in poll.poll(None if patience is None else patience * 1000)]


def _whole(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

"""Running one command of a build: its output goes into the log, its failure is explained."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import IO, BinaryIO

from tykky.errors import Exit, StepError, TykkyError

Command = str | Sequence[str | os.PathLike[str]]
_FULL = re.compile("No space left on device|Disk quota exceeded")

#: How programs say that they cannot reach anybody.
_NO_NETWORK = re.compile(
    r"(?i)could not resolve|name resolution|name or service not known|network is unreachable|"
    r"dns error|failed to lookup address|error sending request|failed to establish a new conn"
)
_ASK = (
    "builds have no network: name the file with box.fetch(url, sha256=...), which is downloaded "
    "beforehand; or say 'network = True' in the recipe"
)


def words(command: Command) -> list[str]:
    """What to execute: a string is given to ``sh -e``, a list is taken as it is.

    What all lines of a string are indented by is left out, so that a script in a recipe may have
    here-documents, and those may be programs in Python.
    """
    if isinstance(command, str):
        return ["/bin/sh", "-e", "-c", dedent(command)]
    return [os.fspath(word) for word in command]


def shown(command: Command) -> str:
    """The command as a person would type it."""
    return dedent(command).strip() if isinstance(command, str) else shlex.join(words(command))


def brief(command: Command) -> str:
    """The first line of the command, at most 80 characters of it."""
    lines = shown(command).strip().splitlines() or [""]
    return lines[0] if len(lines[0]) < 80 else lines[0][:77] + "..."


def run(
    what: str,
    argv: list[str],
    env: Mapping[str, str],
    cwd: Path,
    log: BinaryIO,
    network: bool = True,
) -> str:
    """Run a command; what it prints goes into the log as it comes, and is returned.

    ``network`` tells whether it may use that. Raises ``StepError``, which says ``what`` has
    failed, if it does not exit with 0.
    """
    output = bytearray()
    with subprocess.Popen(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            while chunk := os.read(process.stdout.fileno(), 65536):
                log.write(chunk)
                log.flush()
                output += chunk
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    said = output.decode(errors="replace")
    if status != 0:
        error = failure(what, status, said)
        if not network and _NO_NETWORK.search(said):
            error.remedy = _ASK
        raise error
    return said


@dataclass(frozen=True)
class Task:
    """A command that is run beside others, once those that it needs (by their names) have ended."""

    what: str
    argv: list[str]
    env: Mapping[str, str]
    needs: frozenset[str]


def run_beside(
    tasks: Mapping[str, Task],
    most: int,
    cwd: Path,
    log: BinaryIO,
    begin: Callable[[str], None] = lambda _: None,
) -> tuple[str, TykkyError] | None:
    """Run commands, at most so many at once; what each prints is in the log once it has ended.

    ``begin`` is told the name of each that begins. Returned are the name of the first that fails
    and its error; those beside it are ended.
    """
    waiting, done = dict(tasks), set[str]()
    running: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
    with ExitStack() as files:
        try:
            while waiting or running:
                ready = [name for name, task in waiting.items() if task.needs <= done]
                if not (ready or running):  # in a circle: they may as well be tried
                    ready = [*waiting]
                for name in ready[: most - len(running)]:
                    task = waiting.pop(name)
                    begin(name)
                    output: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
                    child = subprocess.Popen(
                        task.argv,
                        env=dict(task.env),
                        cwd=cwd,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                    running[name] = child, output
                ended = [name for name, (child, _) in running.items() if child.poll() is not None]
                for name in ended:
                    child, output = running.pop(name)
                    output.seek(0)
                    said = output.read()
                    output.close()
                    log.write(f"$ {tasks[name].what}\n".encode(errors="backslashreplace") + said)
                    log.flush()
                    if child.returncode:
                        what, text = tasks[name].what, said.decode(errors="replace")
                        return name, failure(what, child.returncode, text)
                    done.add(name)
                if not ended:
                    time.sleep(0.02)
        finally:
            for child, _ in running.values():
                _end(child)
    return None


@dataclass(frozen=True)
class Pause:
    """A point at which a script waits: it makes the file ``reached``, and reads a line of ``go``.

    Meanwhile, something else is done by ``action``.
    """

    reached: Path
    go: Path
    action: Callable[[], None]


def follow(
    argv: list[str],
    env: Mapping[str, str],
    cwd: Path,
    log: BinaryIO,
    *,
    show: Callable[[str], None] | None = None,
    pause: Pause | None = None,
) -> int:
    """Run a user's script, which may leave something running, and wait for it only.

    Its output goes straight into the log, or on the way there is shown line by line.
    """
    go = -1
    if pause is not None:
        os.mkfifo(pause.go)  # before the script can come to it
    child = subprocess.Popen(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if show else log.fileno(),
        stderr=subprocess.STDOUT,
    )
    reader = threading.Thread(target=_pass_on, args=(child.stdout, log, show), daemon=True)
    try:
        reader.start()
        while pause is not None and child.poll() is None:
            if pause.reached.exists():
                pause.action()
                # For reading as well, since opening would wait for a shell that may be gone.
                go = os.open(pause.go, os.O_RDWR | os.O_CLOEXEC)
                os.write(go, b"\n")
                pause = None
            else:
                time.sleep(0.02)
        return child.wait()
    except BaseException:
        _end(child)
        raise
    finally:
        reader.join(timeout=2)  # what the script has left running may keep the pipe open
        log.seek(0, os.SEEK_END)
        if go >= 0:
            os.close(go)


def _pass_on(stream: IO[bytes] | None, log: BinaryIO, show: Callable[[str], None] | None) -> None:
    """Give what is printed to the log and to whoever looks."""
    if stream is None or show is None:
        return
    with stream:
        for line in stream:
            log.write(line)
            show(line.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2])


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def failure(command: str, status: int, output: str) -> TykkyError:
    """The error for a command that failed, with the lines of its output that matter."""
    ending = f"exit status {status}" if status >= 0 else f"signal {-status}"
    tail = tuple(line for line in output.splitlines() if line.strip())[-12:]
    cause = f"'{brief(command)}' failed with {ending}"
    if status in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ):
        return StepError(
            f"{cause}: it may not write files that large",
            remedy="raise the limit on the size of files: ulimit -f unlimited",
            code=Exit.NO_SPACE,
            details=tail,
        )
    if _FULL.search(output):
        return StepError(
            f"{cause}: no space left",
            remedy="free some space or choose other disks: 'tykky config why KEY' says which are "
            "used; KEY is build_dir, cache_dir or root",
            code=Exit.NO_SPACE,
            details=tuple(line for line in tail if _FULL.search(line))[-1:],  # of a traceback, say
        )
    return StepError(cause, details=tail)

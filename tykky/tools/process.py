"""Running one command of a build: its output goes into the log, its failure is explained.

Public names: ``Command``, ``words``, ``shown``, ``brief``, ``run``, ``failure``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tykky.errors import Exit, StepError, TykkyError

Command = str | Sequence[str | os.PathLike[str]]


def words(command: Command) -> list[str]:
    """What to execute: a string is given to ``sh -e``, a list is taken as it is."""
    if isinstance(command, str):
        return ["/bin/sh", "-e", "-c", command]
    return [os.fspath(word) for word in command]


def shown(command: Command) -> str:
    """The command as a person would type it."""
    return command if isinstance(command, str) else shlex.join(words(command))


def brief(command: Command) -> str:
    """The first line of the command, at most 80 characters of it."""
    lines = shown(command).strip().splitlines() or [""]
    return lines[0] if len(lines[0]) < 80 else lines[0][:77] + "..."


def run(argv: list[str], env: Mapping[str, str], cwd: Path, log: BinaryIO) -> tuple[int, str]:
    """Run a command; what it prints goes into the log as it comes, and is returned."""
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
            return process.wait(), output.decode(errors="replace")
        except BaseException:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def failure(command: str, status: int, output: str) -> TykkyError:
    """The error for a command that failed, with the lines of its output that matter."""
    ending = f"exit status {status}" if status >= 0 else f"signal {-status}"
    tail = tuple(line for line in output.splitlines() if line.strip())[-12:]
    cause = f"'{brief(command)}' failed with {ending}"
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return StepError(
            f"{cause}: no space left",
            remedy="free some space or choose other disks: 'tykky config why KEY' says which are "
            "used; KEY is build_dir, cache_dir or root",
            code=Exit.NO_SPACE,
            details=tail,
        )
    return StepError(cause, details=tail)

"""The stack that is measured, what it is measured against, and the end of what it keeps running."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from tests.launcher.stacks import OURS, command_lines, wait_for
from tests.support import Tykky, remove


@dataclass(frozen=True)
class Subject:
    """The same packages as a stack, in a virtual environment on disk, and in a container.

    ``stack`` and ``venv`` are the directories with the commands, both somewhere in ``disk``;
    ``container`` is how to enter a container that has a copy of
    ``venv`` at ``/bench/venv``, or None where there is none.
    """

    env: Mapping[str, str]
    disk: Path
    stack: Path
    venv: Path
    container: list[str | Path] | None

    @property
    def prefix(self) -> Path:
        """Where the stack is installed."""
        return self.stack.parent

    def end(self) -> None:
        """End what the stack's commands keep running; the next one is the first of a session."""
        end(self.prefix, Path(self.env["TYKKY_RUNTIME_DIR"]))


@contextlib.contextmanager
def registry() -> Iterator[Path]:
    """A registry of shared mounts for the benchmarks alone, where the usual one is."""
    usual = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="tykky-bench-", dir=usual if usual.is_dir() else None))
    try:
        yield path
    finally:
        remove(path)


def processes(prefix: Path) -> list[int]:
    """The pids of the keepers and servers of the stack at ``prefix``."""
    return [pid for pid, line in command_lines() if line.startswith(OURS) and f"{prefix}" in line]


def end(prefix: Path, registry: Path) -> None:
    """End the keeper and the server of a stack, and make its commands forget them."""
    for pid in processes(prefix):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not wait_for(lambda: not processes(prefix)):
        raise RuntimeError(f"the keeper or server of {prefix} does not end")
    for entry in registry.iterdir():
        entry.unlink()


def prepare(tykky: Tykky, place: Path) -> Subject:
    """Install the stack and its peers at ``place``."""
    disk = place / "disk"
    installed = peers.install(tykky, disk / "t")
    venv = disk / "bench/venv"
    peers.install_by_hand(tykky, venv, installed)
    (stack,) = disk.glob("t/store/bench/*/bin")
    container = peers.make_container(disk / "bench", place / "container.sqfs")
    return Subject(tykky.user.env, disk, stack, venv / "bin", container)

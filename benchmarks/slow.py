"""Starts from a simulated parallel file system, on which finding a file takes a millisecond.

``slowfs.c`` lays itself over the directory in which stack and virtual environment are. *Cold* is a
start on a node that has not seen the file system yet; *warm* is the next start on that node, while
names and attributes are still known to it (a Lustre client keeps them as long as nobody changes
them, an NFS client for up to a minute: here it is a minute, for names that do not exist as well),
and so are contents. To open a file is a question to the server, warm or cold.
"""

from __future__ import annotations

import contextlib
import statistics
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row, Runner
from benchmarks.subject import Subject
from tests.launcher.stacks import wait_for

SOURCE = Path(__file__).with_name("slowfs.c")
HEADERS = Path("/usr/include/fuse3")
DELAY, KNOWN, ROUNDS = 0.001, 60.0, 5


@dataclass(frozen=True)
class Counts:
    """How many operations reached the slow file system; the order is that of ``slowfs.c``."""

    attributes: int
    links: int
    opens: int
    listings: int
    reads: int
    bytes: int

    @property
    def metadata(self) -> int:
        """The operations that a metadata server answers."""
        return self.attributes + self.links + self.opens + self.listings

    def __sub__(self, before: Counts) -> Counts:
        mine, theirs = (vars(counts).values() for counts in (self, before))
        return Counts(*(a - b for a, b in zip(mine, theirs, strict=True)))


@dataclass(frozen=True)
class SlowFiles:
    """The program ``slowfs``, compiled."""

    program: Path

    @contextlib.contextmanager
    def over(self, directory: Path, *, delay: float = DELAY) -> Iterator[Path]:
        """Lay it over a directory for a while; gives the file with the counts."""
        numbers = self.program.with_name("counts")
        words = [self.program, directory, f"{delay * 1e6:.0f}", f"{KNOWN:g}", numbers]
        with subprocess.Popen(list(map(str, words))) as server:
            try:
                if not wait_for(lambda: directory.is_mount() or server.poll() is not None):
                    raise RuntimeError("slowfs does not come up")
                if server.poll() is not None:
                    raise RuntimeError("slowfs could not mount itself")
                yield numbers
            finally:
                if server.poll() is None:
                    subprocess.run(["fusermount3", "-u", directory], check=True)


def compile_slow_files(place: Path) -> SlowFiles | None:
    """Compile ``slowfs`` into ``place``; None where the headers of libfuse are missing."""
    if not HEADERS.is_dir():
        return None
    program = place / "slowfs"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    line = ["cc", *flags, f"-I{HEADERS}", "-o", program, SOURCE, "-lfuse3"]
    subprocess.run(line, check=True)
    return SlowFiles(program)


def read_counts(file: Path) -> Counts:
    """What has been counted until now."""
    return Counts(*struct.unpack("6Q", file.read_bytes()))


@dataclass
class Tally:
    """Seconds and operations of the starts of one kind."""

    seconds: list[float]
    counts: list[Counts]

    def add(self, runner: Runner, numbers: Path) -> None:
        """Run it and add what it took."""
        before = read_counts(numbers)
        self.seconds.append(runner.seconds())
        self.counts.append(read_counts(numbers) - before)


def measure(subject: Subject, place: Path) -> Iterator[Row]:
    """``import scipy.stats`` from a plain environment and from a stack, cold and warm."""
    slow = compile_slow_files(place)
    if slow is None:
        print("no libfuse3-dev here: the slow file system is left out", file=sys.stderr)
        return
    words = ["python", "-c", "import scipy.stats"]
    runners = {
        "plain": Runner([subject.venv / words[0], *words[1:]], subject.env),
        "stack": Runner([subject.stack / words[0], *words[1:]], subject.env),
    }
    tallies = {(who, how): Tally([], []) for who in runners for how in ("cold", "warm")}
    for _ in range(ROUNDS):
        for who, runner in runners.items():
            subject.end()
            with slow.over(subject.disk) as numbers:
                for how in ("cold", "warm"):
                    tallies[who, how].add(runner, numbers)
                subject.end()
    for how in ("cold", "warm"):
        plain, stack = (tallies[who, how] for who in ("plain", "stack"))
        yield from _rows(f"import scipy.stats, {how}", stack, plain)


def _rows(case: str, stack: Tally, plain: Tally) -> Iterator[Row]:
    group, peer = "slow file system", "plain venv on it"
    mine, theirs = (statistics.median(tally.seconds) for tally in (stack, plain))
    least, peer_least = min(stack.seconds), min(plain.seconds)
    yield Row(group, case, mine, peer, theirs, ROUNDS, least=least, peer_least=peer_least)
    for name, unit in (("metadata", "operations"), ("bytes", "bytes")):
        mine, theirs = (
            statistics.median(getattr(counts, name) for counts in tally.counts)
            for tally in (stack, plain)
        )
        what = "metadata operations" if name == "metadata" else "read from it"
        yield Row(group, f"{case}: {what}", mine, peer, theirs, ROUNDS, unit)

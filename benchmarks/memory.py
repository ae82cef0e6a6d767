"""The memory of one process and of sixteen that read the same files of one stack.

Counted are the page cache of the machine (``Cached`` of /proc/meminfo, against what it was before)
and what the processes that serve the image keep for themselves. The processes that read have ended
their reading and wait, so that whatever is kept for them is there when it is counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Row, Target
from benchmarks.subject import Subject, end, processes
from tests.launcher.stacks import Stack, make_stack

READERS, SIZE, ROUNDS = 16, 200 * 10**6, 3
#: Reads everything, says so, and waits until its standard input ends.
SCRIPT = 'cat "$0" >/dev/null; echo; read ended'


def measure(subject: Subject, place: Path) -> Iterator[Row]:
    """Bytes for sixteen readers, over those for one; natively, and with Apptainer as the peer."""
    # Half as large when it is compressed, as programs and libraries are.
    data = random.Random(1).randbytes(SIZE // 2).hex()
    stack = make_stack(place / "memory", files={"data": data}, idle=60)
    del data
    read = ["-c", SCRIPT, str(stack.prefix / "data")]
    ways = {"stack": [stack.command("sh"), *read]}
    base = peers.base_image()
    if base:
        bound = f"{stack.image}:/stack:image-src=/"
        inside = ["sh", "-c", SCRIPT, "/stack/data"]
        ways["apptainer"] = ["apptainer", "--silent", "exec", "--bind", bound, str(base), *inside]
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for _ in range(ROUNDS):
        for way, command in ways.items():
            for count in (1, READERS):
                answer = _measure_once(command, count, stack, subject.env, base)
                found.setdefault((way, count), []).append(answer)
    group, case = "memory", f"{SIZE // 10**6} MB read by {READERS} processes"
    one, many = (_medians(found["stack", count]) for count in (1, READERS))
    whole = Target("ratio", 1.3)
    yield Row(group, case, sum(many), "by one", sum(one), ROUNDS, "bytes", target=whole)
    yield Row(group, "of these: page cache", many[0], "by one", one[0], ROUNDS, "bytes")
    yield Row(group, "of these: what serves", many[1], "by one", one[1], ROUNDS, "bytes")
    if base:
        theirs = _medians(found["apptainer", READERS])
        alone = _medians(found["apptainer", 1])
        peer = f"{READERS} x apptainer exec"
        yield Row(group, case, sum(many), peer, sum(theirs), ROUNDS, "bytes")
        yield Row(group, "of these: page cache", many[0], peer, theirs[0], ROUNDS, "bytes")
        yield Row(group, "of these: what serves", many[1], peer, theirs[1], ROUNDS, "bytes")
        yield Row(group, f"{peer}, same data", sum(theirs), "by one", sum(alone), ROUNDS, "bytes")


def _medians(answers: Sequence[tuple[int, int]]) -> tuple[float, float]:
    cached, served = zip(*answers, strict=True)
    return statistics.median(cached), statistics.median(served)


def _measure_once(
    command: Sequence[str], count: int, stack: Stack, env: Mapping[str, str], base: Path | None
) -> tuple[int, int]:
    """Bytes of page cache, and of the processes that serve, while ``count`` have read."""
    end(stack.prefix, Path(env["TYKKY_RUNTIME_DIR"]))
    for image in filter(None, (stack.image, base)):
        _forget(image)
    before = _settled_cache()
    with contextlib.ExitStack() as running:
        readers = [running.enter_context(_reader(command, env)) for _ in range(count)]
        for reader in readers:
            assert reader.stdout
            if reader.stdout.readline() != b"\n":
                raise RuntimeError(f"{' '.join(command)} does not read what it should")
        # The readers themselves are programs of the user's, and no cost of the way they start.
        serving = {*processes(stack.prefix), *_descendants(reader.pid for reader in readers)}
        return _cached() - before, sum(map(_proportional, serving))


@contextlib.contextmanager
def _reader(command: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which(command[0], path=env["PATH"])
    assert program
    with subprocess.Popen(
        command, executable=program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        yield reader


def _forget(file: Path) -> None:
    """Take a file out of the page cache."""
    fd = os.open(file, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def _settled_cache() -> int:
    """The page cache once what ended has given its part back, which takes a moment."""
    lowest, lowest_at = _cached(), time.monotonic()
    while time.monotonic() - lowest_at < 0.5:
        time.sleep(0.05)
        now = _cached()
        if now < lowest - 10**6:
            lowest, lowest_at = now, time.monotonic()
    return now


def _cached() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Cached":
            return int(rest.split()[0]) * 1024
    raise RuntimeError("/proc/meminfo has no line 'Cached'")


def _descendants(pids: Iterator[int]) -> set[int]:
    """Those of the processes and their children that are not the script that reads."""
    found, waiting = set(), list(pids)
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if SCRIPT.encode() not in line or line.startswith(b"Apptainer"):
                found.add(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


def _proportional(pid: int) -> int:
    """The memory of a process, what it shares divided by those who share it."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        name = "Pss"
    except OSError:  # one with privileges of its own shows less
        text, name = Path(f"/proc/{pid}/status").read_text(), "RssAnon"
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0

"""The classic commands, against what their earlier implementation took on the same machine.

Those figures are quoted, not taken: hpc-container-wrapper 0.5.1 with Apptainer 1.4.5, measured once
on the machine that this was developed on. On another machine they say nothing.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Target
from tests.support import Tykky

#: Seconds of hpc-container-wrapper 0.5.1: a new environment with numpy and scipy, an update that
#: adds one small package, and a start of its Python.
NEW, UPDATE, START = 26.0, 30.0, 0.226
PEER = "hpc-container-wrapper 0.5.1, quoted"
ROUNDS, STARTS = 3, 30


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """New, update and start of ``pip-containerize``; packages come from uv's cache.

    Builds happen in memory. An ext4 does not use the inodes of deleted files again for a minute or
    more, and looks through all of them for each new file: there, an update soon after the last
    build takes up to 4 s more, and what is measured is how long ago that was.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tykky-bench-") as memory:
        Path(memory).chmod(0o1777)
        tykky.user.env["CW_BUILD_TMPDIR"] = memory
        try:
            yield from _measure(tykky, place)
        finally:
            del tykky.user.env["CW_BUILD_TMPDIR"]


def _measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    user = tykky.user
    program = Path(sys.executable).with_name("pip-containerize")
    (user.home / "two.txt").write_text("numpy\nscipy\n")
    (user.home / "one.txt").write_text("requests\n")
    prefix = place / "classic"
    news, updates = [], []
    user.run(program, "new", "--prefix", place / "before", "two.txt")  # fills the cache
    user.run(program, "update", "-r", "one.txt", place / "before")
    for _ in range(ROUNDS):
        shutil.rmtree(prefix, ignore_errors=True)
        news.append(_seconds(tykky, program, "new", "--prefix", prefix, "two.txt"))
        updates.append(_seconds(tykky, program, "update", "-r", "one.txt", prefix))
    python = prefix / "bin/python"
    starts = [_seconds(tykky, python, "-c", "pass") for _ in range(STARTS)]
    for case, times, peer, limit in (
        ("new, numpy and scipy", news, NEW, 1 / 3),
        ("update, one package", updates, UPDATE, 1 / 10),
        ("python -c pass", starts, START, 1 / 10),
    ):
        yield Row(
            "classic",
            case,
            statistics.median(times),
            PEER,
            peer,
            len(times),
            least=min(times),
            target=Target("ratio", limit),
        )


def _seconds(tykky: Tykky, *words: str | Path) -> float:
    started = time.perf_counter()
    tykky.user.run(*words)
    return time.perf_counter() - started

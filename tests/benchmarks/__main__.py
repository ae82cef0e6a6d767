"""What Tykky costs, as ratios against a peer in the same run: ``make bench``.

Prints a table and writes ``build/bench.json`` with the same numbers in seconds.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks import conda, peers
from tests.benchmarks.measure import Row, Runner, race
from tests.support import Tykky, log_in, new_place, remove
from tykky.store import Entry, Store
from tykky.store.record import render

RESULT = Path("build/bench.json")

PROGRAMS = {
    "true": ["true"],
    "python -c pass": ["python", "-c", "pass"],
    "python -c 'import numpy'": ["python", "-c", "import numpy"],
    "python -c 'import scipy.stats'": ["python", "-c", "import scipy.stats"],
}


def measure_startup(tykky: Tykky, stack: Path, plain: Path, place: Path) -> Iterator[Row]:
    """The time from a command's start to its end: through a stack, on disk, in a container.

    ``stack`` and ``plain`` are the directories with the commands.
    """
    container = peers.make_container(place)
    if container is None:
        print("no apptainer or no mmdebstrap here: containers are not compared", file=sys.stderr)
    for case, (name, *arguments) in PROGRAMS.items():
        runners = {
            "disk": Runner([plain / name, *arguments], tykky.user.env),
            "stack": Runner([stack / name, *arguments], tykky.user.env),
        }
        if container:
            inside = [*container, f"/bench/venv/bin/{name}", *arguments]
            runners["container"] = Runner(inside, tykky.user.env)
        seconds, rounds = race(runners)
        yield Row("start-up", case, seconds["stack"], "venv on disk", seconds["disk"], rounds)
        if container:
            peer = "apptainer exec"
            yield Row("start-up", case, seconds["stack"], peer, seconds["container"], rounds)


def measure_steps(tykky: Tykky, place: Path) -> Iterator[Row]:
    """The steps of installing numpy and scipy, against the bare tools that they use.

    Leaves the last round's results at ``place/1`` and ``place/bench/venv``.
    """
    rounds = 3
    mine: dict[str, list[float]] = {}
    peer: dict[str, list[float]] = {}
    for number in reversed(range(1, rounds + 1)):
        installed = peers.install(tykky, place / str(number))
        venv = place / ("bench" if number == 1 else f"bench{number}") / "venv"
        for step, seconds in peers.install_by_hand(tykky, venv, installed).items():
            peer.setdefault(step, []).append(seconds)
        for step in installed.steps:
            mine.setdefault(step.name, []).append(step.seconds)
    names = {"build": "uv venv, uv pip install", "finish": "compileall", "squash": "mksquashfs"}
    for step, seconds in mine.items():
        by_hand = median(peer[step]) if step in peer else None
        yield Row("install", step, median(seconds), names.get(step, ""), by_hand, rounds)
    whole, whole_by_hand = (
        median(map(sum, zip(*steps.values(), strict=True))) for steps in (mine, peer)
    )
    yield Row("install", "all steps", whole, "the three by hand", whole_by_hand, rounds)


def measure_listing(tykky: Tykky, place: Path) -> Iterator[Row]:
    """``tykky --help``, and ``tykky find`` in stores of several sizes."""
    env = tykky.user.env
    python = Runner([sys.executable, "-c", "pass"], env)
    commands = {"tykky --help": Runner(["tykky", "--help"], env)}
    for count in (0, 1_000, 10_000):
        root = place / f"r{count}"
        fill(Store(root), count)
        find = Runner(["tykky", "find"], {**env, "TYKKY_ROOT": str(root)})
        commands[f"tykky find, {count:,} records"] = find
    for case, runner in commands.items():
        seconds, rounds = race({"python": python, case: runner})
        yield Row("program", case, seconds[case], "python -c pass", seconds["python"], rounds)


def fill(store: Store, count: int) -> None:
    """Write ``count`` entries into the database of a store."""
    store.prepare()
    for number in range(count):
        digest = f"{number:064x}"[::-1]
        name, version = f"stack{number % 100:02}", f"{number // 100}.0"
        entry = Entry(
            name=name,
            version=version,
            suffix="",
            module=f"{name}/{version}",
            hash=digest,
            prefix=str(store.prefix(name, version, digest)),
            kind="pip",
            description="One of many",
            installed="2026-01-01T00:00:00Z",
        )
        (store.database / entry.file_name).write_bytes(render(entry))


def show(rows: list[Row]) -> None:
    """Print the table: milliseconds, and the ratio that matters."""
    table = Table("what", "case", "tykky ms", "peer", "peer ms", "ratio", "rounds")
    for column in table.columns:
        column.no_wrap = True
        if column.header in ("tykky ms", "peer ms", "ratio", "rounds"):
            column.justify = "right"
    for row in rows:
        peer = "" if row.peer_seconds is None else f"{row.peer_seconds * 1e3:.1f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        mine = f"{row.seconds * 1e3:.1f}"
        table.add_row(row.group, row.case, mine, row.peer, peer, ratio, str(row.rounds))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def main() -> int:
    """Run all benchmarks. Returns the exit code."""
    place = new_place()
    try:
        tykky = Tykky(log_in(place))
        peers.prepare(tykky, place)
        steps = list(measure_steps(tykky, place))
        (stack,) = place.glob("1/store/bench/*/bin")
        rows = [
            *measure_startup(tykky, stack, place / "bench" / "venv" / "bin", place),
            *steps,
            *conda.measure_start(tykky, place, stack),
            *conda.measure(tykky, place),
            *measure_listing(tykky, place),
        ]
    finally:
        remove(place)
    show(rows)
    RESULT.parent.mkdir(exist_ok=True)
    machine = {"kernel": platform.release(), "processors": os.cpu_count()}
    results = [{**asdict(row), "ratio": row.ratio} for row in rows]
    RESULT.write_text(
        json.dumps({"time": time.time(), "machine": machine, "results": results}, indent=1) + "\n"
    )
    print(f"the same in seconds: {RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What installing and asking cost: the steps of an install, ``tykky find`` in large stores."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.measure import Row, Runner, Target, race
from tests.support import DOWNLOADS, Tykky
from tykky.store import Entry, Store
from tykky.store.record import render

ROUNDS = 3


def measure_steps(tykky: Tykky, place: Path) -> Iterator[Row]:
    """The steps of installing numpy and scipy, against the bare tools that they use."""
    mine: dict[str, list[float]] = {}
    peer: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        installed = peers.install(tykky, place / f"i{number}")
        for step, seconds in peers.install_by_hand(
            tykky, place / f"b{number}" / "venv", installed
        ).items():
            peer.setdefault(step, []).append(seconds)
        for step in installed.steps:
            mine.setdefault(step.name, []).append(step.seconds)
    names = {"build": "uv venv, uv pip install", "finish": "compileall", "squash": "mksquashfs"}
    for step, seconds in mine.items():
        by_hand = median(peer[step]) if step in peer else None
        yield Row("install", step, median(seconds), names.get(step, ""), by_hand, ROUNDS)
    whole, whole_by_hand = (
        median(map(sum, zip(*steps.values(), strict=True))) for steps in (mine, peer)
    )
    target, peer_name = Target("value", 6), "the three by hand"
    yield Row("install", "all steps", whole, peer_name, whole_by_hand, ROUNDS, target=target)
    shutil.rmtree(DOWNLOADS / "bytecode", ignore_errors=True)
    anew = sum(step.seconds for step in peers.install(tykky, place / "anew").steps)
    yield Row("install", "all steps, compiling", anew, "with byte code that is kept", whole, 1)


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
        done = race({"python": python, case: runner}, budget=8)
        yield done.row("program", case, case, "python", "python -c pass")


def fill(store: Store, count: int) -> None:
    """Write ``count`` entries into the database of a store."""
    store.prepare()
    for number in range(count):
        name, version = f"stack{number % 100:02}", f"{number // 100}.0"
        entry = Entry(
            name=name,
            version=version,
            suffix="",
            module=f"{name}/{version}",
            prefix=str(store.place(name, version).prefix),
            kind="pip",
            description="One of many",
            installed="2026-01-01T00:00:00Z",
            generation=1,
        )
        path = store.entry_path(entry)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(render(entry))

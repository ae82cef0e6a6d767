"""What Tykky costs, as ratios against a peer in the same run: ``make bench``.

Prints a table and writes the same numbers as JSON, in seconds and bytes, from which
``python -m benchmarks.report`` makes the page of the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    advisories,
    calls,
    catalog,
    classic,
    conda,
    containers,
    layers,
    memory,
    peers,
    places,
    program,
    slow,
    startup,
)
from benchmarks.measure import Row
from benchmarks.report import QUIET, amount
from benchmarks.subject import Subject, prepare, registry
from tests.support import Tykky, log_in, new_place, remove

RESULT = Path("build/bench.json")

#: What a start costs, in the order in which it is measured; all share one subject.
STARTS: dict[str, Callable[[Subject, Path], Iterator[Row]]] = {
    "start": lambda subject, _: startup.measure_warm(subject),
    "layered": startup.measure_layers,
    "first": lambda subject, _: startup.measure_first(subject),
    "calls": calls.measure,
    "crowd": lambda subject, _: startup.measure_crowd(subject),
    "memory": memory.measure,
    "slow": slow.measure,
}
OTHERS: dict[str, Callable[[Tykky, Path], Iterator[Row]]] = {
    "containers": containers.measure,
    "install": program.measure_steps,
    "layers": layers.measure,
    "conda": conda.measure,
    "program": program.measure_listing,
    "places": places.measure,
    "advisories": advisories.measure,
    "catalog": catalog.measure,
    "classic": classic.measure,
}


def measure(groups: list[str]) -> Iterator[Row]:
    """Measure what the groups name, in a place of its own that is removed in the end."""
    place = new_place()
    with registry() as shared:
        try:
            tykky = Tykky(log_in(place))
            tykky.user.env["TYKKY_RUNTIME_DIR"] = str(shared)
            peers.prepare(tykky, place)
            starts = [name for name in STARTS if name in groups]
            if starts:
                subject = prepare(tykky, place)
                for name in starts:
                    yield from STARTS[name](subject, place)
                    if name == "start":
                        yield from conda.measure_start(tykky, place, subject.stack)
            for name in (name for name in OTHERS if name in groups):
                yield from OTHERS[name](tykky, place)
        finally:
            remove(place)


def show(rows: list[Row]) -> None:
    """Print the table: medians, with the least in brackets, and the ratio that matters."""
    table = Table("what", "case", "tykky", "peer", "peer's", "ratio", "rounds", "target")
    for column in table.columns:
        column.no_wrap = True
        if column.header in ("tykky", "peer's", "ratio", "rounds"):
            column.justify = "right"
    for row in rows:
        peer = "" if row.peer_value is None else amount(row.peer_value, row.unit)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {None: "", True: "met", False: "[bold]missed"}[row.is_met]
        mine = amount(row.value, row.unit)
        if row.least is not None and row.peer_least is not None:
            mine += f" ({row.least * 1e3:,.1f})"
            peer += f" ({row.peer_least * 1e3:,.1f})"
        table.add_row(row.group, row.case, mine, row.peer, peer, ratio, str(row.rounds), met)
    Console(width=None if sys.stdout.isatty() else 190).print(table)


def describe_machine() -> dict[str, object]:
    """What a reader has to know of the machine."""
    model, memory = "", 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return {
        "processor": model or platform.machine(),
        "processors": os.cpu_count(),
        "memory": memory,
        "kernel": platform.release().partition("-")[0],
        "system": system,
        "python": platform.python_version(),
    }


def others() -> float:
    """How busy the processors are before a run, from 0 to 1; says so if others are at work."""
    busy = 1 - _idle_share(seconds=2)
    if busy > QUIET:
        share = f"{busy:.0%} of its processors' time is taken"
        print(f"warning: the machine is not quiet, {share}: figures are rough", file=sys.stderr)
    return round(busy, 2)


def _idle_share(seconds: float) -> float:
    def read() -> tuple[int, int]:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        times = [int(field) for field in fields]
        return times[3], sum(times)

    before = read()
    time.sleep(seconds)
    idle, whole = (now - then for now, then in zip(read(), before, strict=True))
    return idle / whole if whole else 1.0


def main() -> int:
    """Run the benchmarks that are asked for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*STARTS, *OTHERS]
    help_text = f"of: {' '.join(names)}; 'starts' is all that has to do with starts"
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=help_text)
    parser.add_argument("--json", type=Path, default=RESULT, help="the file to write")
    arguments = parser.parse_args()
    unknown = set(arguments.groups) - {*names, "starts"}
    if unknown:
        parser.error(f"there is no group {' '.join(sorted(unknown))}; there are {' '.join(names)}")
    busy, started = others(), time.time()
    groups = arguments.groups or names
    rows = list(measure([*groups, *STARTS] if "starts" in groups else groups))
    show(rows)
    results = [{**asdict(row), "ratio": row.ratio, "met": row.is_met} for row in rows]
    run = {
        "time": started,
        "minutes": round((time.time() - started) / 60, 1),
        "busy": busy,
        "machine": describe_machine(),
        "results": results,
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(f"the same in seconds and bytes: {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

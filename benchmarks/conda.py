"""A conda environment of many packages, against rattler alone on plain disk.

The channel is made up: 500 packages of 40 small files, each needing some of those before it, in
three versions, which is what a solver has to choose from.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Runner, race
from tests.channel import channel, index
from tests.channel.files import File, Package, write
from tests.support import DOWNLOADS, Tykky
from tykky.store import Store

PACKAGES, FILES, VERSIONS, ROUNDS = 500, 40, 3, 3

_RECIPE = """\
from tykky import CondaStack


class Many(CondaStack):
    \"\"\"Many packages.\"\"\"

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    channels = "many"
    packages = "everything"
    commands = "command-1"
"""

# The same work without anything around it; prints the seconds of solving and of installing.
_BY_RATTLER = """
import asyncio, json, os, sys, time
from pathlib import Path
import rattler

async def main(channel, prefix, cache):
    started = time.perf_counter()
    gateway = rattler.Gateway(cache_dir=Path(cache, "repodata"))
    records = await rattler.solve([rattler.Channel(channel)], ["everything"], gateway=gateway,
                                  platforms=["linux-64", "noarch"])
    solved = time.perf_counter()
    await rattler.install(records, prefix, cache_dir=Path(cache), show_progress=False)
    print(json.dumps([solved - started, time.perf_counter() - solved]))

asyncio.run(main(*sys.argv[1:]))
sys.stdout.flush()
os._exit(0)
"""


def many() -> Path:
    """The channel, made once and kept among the downloads."""
    ready = DOWNLOADS / f"many-{PACKAGES}-{FILES}-{VERSIONS}"
    if not ready.is_dir():
        place = DOWNLOADS / f".{ready.name}"
        shutil.rmtree(place, ignore_errors=True)
        (place / "noarch").mkdir(parents=True)
        for package in _packages():
            write(package, place)
        index(place)
        place.rename(ready)
    return ready


def _packages() -> Iterator[Package]:
    choice = random.Random(1)
    for number in range(PACKAGES):
        name = f"package-{number}"
        below = choice.sample(range(number), min(number, 4))
        for version in range(1, VERSIONS + 1):
            files = {
                f"lib/{name}/{k // 10}/file-{k}": File(choice.randbytes(2000)) for k in range(FILES)
            }
            files[f"bin/command-{number}"] = File(b"#!/bin/sh\necho hello\n", 0o755)
            needs = tuple(f"package-{k} >={choice.randint(1, VERSIONS)}" for k in below)
            yield Package(name, f"{version}.0", files, needs, noarch="generic")
    everything = tuple(f"package-{number}" for number in range(PACKAGES))
    yield Package("everything", "1.0", {}, everything, noarch="generic")


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """Seconds of each step, and of rattler and mksquashfs for the same, by turns."""
    repo = place / "many"
    (repo / "many").mkdir(parents=True)
    (repo / "many/recipe.py").write_text(_RECIPE)
    env = {"TYKKY_REPOS": str(repo), "TYKKY_CONDA_ALIASES": f"many={many().as_uri()}"}
    tykky.user.env.update(env)
    ours: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):  # the first one warms up
        for name, seconds in _install(tykky, place / f"m{number}").items():
            ours.setdefault(name, []).append(seconds)
        for name, seconds in _by_hand(place / f"h{number}").items():
            theirs.setdefault(name, []).append(seconds)
    mine = {name: statistics.median(seconds[1:]) for name, seconds in ours.items()}
    peer = {name: statistics.median(seconds[1:]) for name, seconds in theirs.items()}
    what = f"conda, {PACKAGES} packages"
    for name in mine:
        tool = {"squash": "mksquashfs"}.get(name, "rattler on disk" if name in peer else "")
        yield Row(what, name, mine[name], tool, peer.get(name), ROUNDS)
    yield Row(what, "all", sum(mine.values()), "rattler, mksquashfs", sum(peer.values()), ROUNDS)


def _install(tykky: Tykky, root: Path) -> dict[str, float]:
    (root.parent / "many/many/locks/1-x86_64.json").unlink(missing_ok=True)
    started = time.perf_counter()
    tykky("lock", "many")
    seconds = {"solve": time.perf_counter() - started}
    tykky("install", "--root", root, "many")
    done = Store(root).place("many", "1").record()
    return {**seconds, **{step.name: step.seconds for step in done.steps}}


def _by_hand(place: Path) -> dict[str, float]:
    line = [sys.executable, "-c", _BY_RATTLER, many().as_uri(), place / "env", place / "cache"]
    said = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    solve, install = json.loads(said)
    started = time.perf_counter()
    image = ["mksquashfs", place / "env", place / "image", "-comp", "zstd"]
    subprocess.run([*image, "-Xcompression-level", "3"], check=True, capture_output=True)
    squash = time.perf_counter() - started
    shutil.rmtree(place)
    return {"solve": solve, "build": install, "squash": squash}


def measure_start(tykky: Tykky, place: Path, pip: Path) -> Iterator[Row]:
    """The start of a conda stack's Python, against that of a pip stack, whose bin is ``pip``."""
    repo = place / "start"
    (repo / "start").mkdir(parents=True)
    text = _RECIPE.replace('"everything"', '"python", "activated"').replace("Many(", "Start(")
    text = text.replace('"many"', '"local"').replace('"command-1"', '"python*"')
    (repo / "start/recipe.py").write_text(text)
    env = {"TYKKY_REPOS": str(repo), "TYKKY_CONDA_ALIASES": f"local={channel().as_uri()}"}
    tykky("install", "start", env=env)
    prefix = Store(tykky.root).place("start", "1").prefix
    words = ["-c", "pass"]
    done = race(
        {
            "conda": Runner([prefix / "bin/python", *words], tykky.user.env),
            "pip": Runner([pip / "python", *words], tykky.user.env),
        },
        budget=8,
    )
    yield done.row("start", "python -c pass, conda", "conda", "pip", "a pip stack's")

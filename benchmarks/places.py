"""What verbs cost in a store of ten thousand places, against the same in one of a hundred."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Runner, Target, race
from tests.stacks import HELLO
from tests.support import Tykky
from tykky.contents import FILE, Installed
from tykky.contents import render as told
from tykky.store import Place, Store
from tykky.store.record import Entry, Record, parse, render

FEW, MANY = 100, 10_000
#: Versions of one name, at most: a centre has forty stacks, not ten thousand versions of one.
_VERSIONS = 10
#: How many packages each has, of how many that there are.
_PACKAGES, _ALL = 100, 3000
VERBS = {
    "find one": ["find", "stack3"],
    "find": ["find"],
    "completion": ["find", "--format", "{module}"],
    "info": ["info", "hello"],
    "default": ["default", "stack3/2.0"],
    "install": ["install", "--force", "hello"],
    "gc --dry-run": ["gc", "--dry-run"],
    "which, in one of thirty": ["which", "package-7"],
    "which, in all": ["which", "Common_*<3"],
    "find --packages": ["find", "--packages", "package-7"],
}


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """Each verb in both stores, in turns."""
    roots = {count: place / f"places{count}" for count in (FEW, MANY)}
    repo = place / "repo/hello/recipe.py"
    repo.parent.mkdir(parents=True)
    repo.write_text(HELLO.format(versions='"1.0",'))
    env = {**tykky.user.env, "TYKKY_REPOS": str(repo.parents[1])}
    for count, root in roots.items():
        here = {**env, "TYKKY_ROOT": str(root)}
        tykky.user.run("tykky", "install", "hello", env=here)
        fill(Store(root), count)
    for verb, words in VERBS.items():
        runners = {
            f"{verb}, {count:,} places": Runner(["tykky", *words], {**env, "TYKKY_ROOT": str(root)})
            for count, root in roots.items()
        }
        few, many = runners
        target = Target("value", 1.0) if verb.startswith("which") else None
        yield race(runners, budget=12).row("places", verb, many, few, few, target)


def fill(store: Store, count: int) -> None:
    """Make places of the one that is there, as far as no command of theirs is run."""
    (entry,) = store.entries("hello")
    here = Place(Path(entry.prefix))
    record = json.loads((here.generation() / "record.json").read_text())
    image = next(here.images.iterdir())
    for number in range(count):
        name, version = f"stack{number // _VERSIONS}", f"{number % _VERSIONS}.0"
        there = store.place(name, version)
        facts = {"name": name, "version": version, "module": f"{name}/{version}"}
        facts |= {"prefix": str(there.prefix), "versions": [], "spec": f"{name}@{version}"}
        facts |= {"notes": {}}  # of files that are written below
        generation = there.hidden / "generations/1"
        generation.mkdir(parents=True)
        there.images.mkdir()
        (there.prefix / "bin").mkdir()
        os.link(here.launcher, there.launcher)
        os.link(here.launcher, there.prefix / "bin/hello")
        os.link(image, there.images / image.name)
        packages = _packages(number)
        pairs = [(package.name, package.version) for package in packages]
        full = parse({**record, **facts, "packages": pairs}, Record)
        (generation / "record.json").write_bytes(render(full))
        (generation / FILE).write_text(told(packages))
        conf = (here.generation() / "launch.conf").read_text()
        (generation / "launch.conf").write_text(conf.replace(str(here.prefix), str(there.prefix)))
        (there.hidden / "current").symlink_to("generations/1")
        state = json.loads((here.hidden / "state.json").read_text())
        state.pop("digest")
        (there.hidden / "state.json").write_text(json.dumps({**state, "notes": {}}))
        short = parse({**json.loads(render(entry)), **facts}, Entry)
        path = store.entry_path(short)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(render(short))


def _packages(number: int) -> list[Installed]:
    """Packages as a stack of Python has them: one that all have, and others that some have."""
    several = [f"package-{(number * 37 + each) % _ALL}" for each in range(_PACKAGES - 1)]
    facts = {"channel": "pypi", "license": "MIT License", "type": "pypi", "spdx": "MIT"}
    return [
        Installed(name, f"{number % 4}.{len(name)}", **facts, size=4096, requires=(several[0],))
        for name in ("common-to-all", *sorted(several))
    ]

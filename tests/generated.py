"""Installs that were never built: what listings and pages tell of many, some of it hostile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tykky.contents import FILE, Installed
from tykky.contents import render as told
from tykky.store import Place, Store
from tykky.store.record import Entry, Record, parse, render
from tykky.store.state import Event

#: What a build may call itself and its packages, for a page to stumble over.
HOSTILE = (
    "<script>document.title='taken'</script>",
    "\"'><img src=x onerror=document.title='taken'>",
    "</script><svg/onload=document.title='taken'>",
    "__proto__",
    "constructor",
    "javascript:document.title='taken'",
    "{{ site }}{% raw %}",
    "\u202egnp.exe \x00\x07 \ud800 \ufffe end",
    "]]>&amp;<!--",
)
_ABOUT = (
    ("Reads and writes tables", "numpy", "pandas", "openpyxl"),
    ("Aligns short reads to genomes", "pysam", "biopython", "mpi4py"),
    ("Trains models on images", "torch", "torchvision", "ipykernel"),
    ("Weather and climate fields", "xarray", "netcdf4", "cartopy"),
)
_NAMES = ("python-data", "bio-tools", "deep-learning", "climate")
_LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0", "GPL-3.0-or-later", "")


def fill(
    root: Path, names: int, versions: int, packages: int, *, all_packages: int = 3000
) -> Sequence[Path]:
    """Enter installs in a root: so many names, versions of each, packages in each; their places."""
    store, prefixes = Store(root), []
    store.prepare()
    for number in range(names):
        about, *main = _ABOUT[number % 4]
        name = _NAMES[number] if number < 4 else f"{_NAMES[number % 4]}-{number}"
        first = 26 + versions // 12
        order = [f"{first - each // 12}.{12 - each % 12}" for each in range(versions)]
        for each, version in enumerate(order):
            found = _packages(main, number, each, packages, all_packages)
            facts = _facts(store, name, version, order, found)
            facts |= {"description": f"{about} ({number})", "asked": main}
            facts["launch"] = {"gpu": "nvidia" if number % 4 == 2 else ""}
            facts["launch"] |= {"mpi": [["version", "Open MPI v5.0.3"]]} if number % 8 == 1 else {}
            prefixes.append(enter(store, facts, found))
    return prefixes


def hostile(root: Path) -> Path:
    """Enter an install all of whose texts are hostile."""
    store = Store(root)
    found = [
        Installed(text, text, license=text, spdx=text, type="pypi", why="asked") for text in HOSTILE
    ]
    facts = _facts(store, "hostile", "1.0", ["1.0"], found)
    every = " ".join(HOSTILE)
    facts |= {"description": every, "homepage": "javascript:alert(1)", "license": every}
    facts |= {"commands": ["$(reboot)", *HOSTILE], "maintainers": [*HOSTILE], "asked": []}
    facts["installed"] = HOSTILE[0] + HOSTILE[-2]
    facts["shown"] = {"about": every, "keywords": [*HOSTILE], "deprecation": every}
    return enter(store, facts | {"deprecated": True}, found)


def _facts(
    store: Store, name: str, version: str, order: Sequence[str], packages: Sequence[Installed]
) -> dict[str, object]:
    """A record as JSON has it."""
    number = order.index(version)
    return {
        "name": name,
        "version": version,
        "suffix": "",
        "module": f"{name}/{version}",
        "prefix": str(store.place(name, version).prefix),
        "kind": "pip",
        "installed": f"{2026 - number // 12}-{12 - number % 12:02}-03T09:00:00Z",
        "generation": 1,
        "versions": [*order],
        "arch": "x86_64",
        "spec": f"{name}@{version}",
        "homepage": "https://software.example/" + name,
        "license": "MIT",
        "maintainers": ["The help desk"],
        "commands": ["python3", "pip3", f"{name}-tool"],
        "packages": [[each.name, each.version] for each in packages],
        "images": [{"file": "0.sqfs", "sha256": "0" * 64, "bytes": 123456789 + number}],
        "by": {"user": "secret-user", "host": "secret-host"},
        "recipe": {"file": "/home/secret-user/recipe.py"},
        "files": 12345,
    }


def _packages(
    main: Sequence[str], number: int, version: int, count: int, all_packages: int
) -> list[Installed]:
    names = [f"package-{(number * 37 + each * 11) % all_packages}" for each in range(count)]
    found = {name: f"{9 - version % 5}.{len(name)}.{version % 3}" for name in (*main, *names)}
    return [
        Installed(
            *(name, release, "", "pypi"),
            spdx=_LICENCES[len(name) % len(_LICENCES)],
            type="pypi",
            size=4096,
            why="asked" if name in main else "needed",
        )
        for name, release in sorted(found.items())
    ]


def enter(store: Store, facts: dict[str, object], packages: Sequence[Installed]) -> Path:
    """Enter an install with such a record."""
    here = Place(Path(str(facts["prefix"])))
    generation = here.hidden / "generations/1"
    generation.mkdir(parents=True)
    mark = hashlib.sha256(str(facts["module"]).encode()).hexdigest()
    record = parse({**facts, "build": mark}, Record)
    (generation / "record.json").write_bytes(render(record))
    (generation / FILE).write_text(told(packages))
    (here.hidden / "current").symlink_to("generations/1")
    event = Event("install", 1, 0, record.installed, "secret-user", "secret-host", "secret-reason")
    state = {"format": 1, "events": [asdict(event)], "notes": {}}
    (here.hidden / "state.json").write_text(json.dumps(state))
    path = store.entry_path(record)
    path.parent.mkdir(exist_ok=True)
    short = {key: value for key, value in facts.items() if key in Entry.__annotations__}
    path.write_bytes(render(parse({**short, "build": mark}, Entry)))
    return here.prefix

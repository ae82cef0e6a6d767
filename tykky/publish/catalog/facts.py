"""What the catalogue tells of a version: taken from its record, its packages and its history.

Nothing that is only of those who built it: no user, no host, no path but that of the install.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tykky.contents import canonical, of_install, own
from tykky.errors import StoreError
from tykky.publish import kernels
from tykky.publish.catalog.text import clean, digest, line, link, moment
from tykky.store import HIDDEN, Entry, Place, Record, state
from tykky.store.default import is_deprecated

#: Of hostile builds: what a page shows of packages and commands, at most.
MOST = 5000
#: Of what is kept in ``stack.json``: what it is made of is made anew where this has changed.
FORMAT = 1
#: What is told of history, by the words of it.
TOLD = {
    "install": "installed",
    "import": "installed",
    "pull": "installed",
    "extend": "extended",
    "update": "updated",
    "rollback": "rolled back",
    "default": "made the default",
    "deprecate": "deprecated",
    "retire": "retired",
}
#: Those of which a person has said why; of others, programs have, perhaps with paths.
_REASONED = ("rollback", "default", "deprecate", "retire")
_EVENTS = 20
_MPI = {"mpi4py", "openmpi", "mpich", "impi-rt", "rmpi", "h5py-mpi"}
_KERNELS = {"ipykernel", "irkernel", "r-irkernel", "ijulia", "bash-kernel", "xeus"}
_HOMES = (".local/share/jupyter", "Library/Jupyter")


def key_of(entry: Entry, *more: Any) -> str:
    """A digest of all that the facts of a version are made from, without reading them."""
    stamps = []
    for name in (state.NAME, "kernels.json", "current/packages.json"):
        try:
            status = os.stat(f"{entry.prefix}/{HIDDEN}/{name}")  # noqa: PTH116 - of thousands
            stamps.append([status.st_mtime_ns, status.st_size])
        except OSError:
            stamps.append([])
    return digest(vars(entry), stamps, more)


def of_record(record: Record, needs: Sequence[str]) -> dict[str, Any]:
    """The facts of a version; ``needs`` are the modules it stands on. Raises ``TykkyError``."""
    place = Place(Path(record.prefix))
    found = of_install(place.generation(record.generation))
    listed = own(found) or (found if record.kind == "container" else ())
    rows = [_package(p.name, p.version, p.spdx or p.license, p.why == "asked") for p in listed]
    rows = rows or [_package(*pair, "", False) for pair in record.packages]
    rows.sort(key=lambda row: (canonical(row["name"]), row["version"]))
    names = {canonical(row["name"]) for row in rows}
    gpu = str(record.launch.get("gpu") or "")
    shown = record.shown
    return {
        "version": f"{record.version}{record.suffix}",
        "module": record.module,
        "description": line(record.description, 500),
        "about": clean(shown.get("about") or ""),
        "homepage": link(record.homepage),
        "license": line(record.license),
        "maintainers": [line(each) for each in record.maintainers[:20]],
        "keywords": [line(each, 60) for each in _texts(shown.get("keywords"))[:20]],
        "kind": line(record.kind, 40),
        "arch": line(record.arch, 40),
        "choices": {line(k, 60): line(v, 60) for k, v in record.choices.items()},
        "installed": moment(record.installed),
        "generation": record.generation,
        "bytes": record.bytes,
        "files": record.files,
        "prefix": line(record.prefix, 1000),
        "gpu": line(gpu, 40),
        "mpi": line(record.mpi.get("version") or ("MPI" if record.mpi or names & _MPI else "")),
        "loads": [line(each) for each in record.loads[:50]],
        "needs": [line(each) for each in needs if each],
        "commands": [line(each) for each in record.commands[:MOST]],
        "kernels": sorted(_kernels(place))[:50],
        "notebooks": bool(names & _KERNELS),
        "extends": record.kind if record.kind in ("pip", "conda") else "",
        "packages": rows[:MOST],
        "states": [*_states(record)],
        "updated": _updated(record, place),
        "events": _events(place),
    }


def _texts(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else ()


def _package(name: str, version: str, licence: str, asked: bool) -> dict[str, Any]:
    told = {"name": line(name, 120), "version": line(version, 60), "license": line(licence, 80)}
    return {**told, "asked": asked}


def _kernels(place: Place) -> Iterator[str]:
    """The kernels of it that are there for everybody."""
    for path, told in kernels.noted(place).items():
        if isinstance(told, Mapping) and not any(home in str(path) for home in _HOMES):
            yield line(told.get("display_name") or path.name)


def _states(record: Record) -> Iterator[dict[str, str]]:
    """What was decided about it: the state, since when, until when, why, and what to use."""
    for name, word in (
        (state.RETIRED, "retired"),
        (state.HIDDEN, record.marks.get(state.HIDDEN, {}).get("as", "hidden")),
    ):
        if mark := record.marks.get(name):
            yield state_of(word, mark)
    if is_deprecated(record):
        mark = dict(record.marks.get(state.DEPRECATED, {}))
        mark["why"] = mark.get("why") or str(record.shown.get("deprecation", ""))
        yield state_of("deprecated", mark)


def state_of(word: str, mark: Mapping[str, str]) -> dict[str, str]:
    """A state as pages show it."""
    told = {"since": mark.get("when", "")[:10], "until": mark.get("until", "")}
    told |= {"why": mark.get("why", ""), "use": mark.get("use", "")}
    return {"state": word, **{key: line(value, 500) for key, value in told.items()}}


def _events(place: Place) -> list[dict[str, Any]]:
    """The last that was done with it, the newest first."""
    with contextlib.suppress(StoreError):
        return [
            {
                "what": _told(each),
                "when": moment(each.when),
                "generation": each.generation,
                "why": line(each.why, 500) if each.verb in _REASONED else "",
            }
            for each in reversed(state.events(place))
            if each.verb in TOLD
        ][:_EVENTS]
    return []


def _told(event: state.Event) -> str:
    instead = event.verb == "install" and event.before not in (0, event.generation)
    return TOLD["update" if instead else event.verb]


def _updated(record: Record, place: Place) -> dict[str, Any]:
    """When the current generation came instead of another that is kept, and what that changed."""
    with contextlib.suppress(StoreError):
        for each in reversed(state.events(place)):
            if each.generation == record.generation and each.before not in (0, record.generation):
                before = place.record(each.before)
                rows = [
                    [_package(*pair, "", False) for pair in one.packages[:MOST]]
                    for one in (before, record)
                ]
                return {"when": moment(each.when), "from": each.before, **difference(*rows)}
    return {}


def difference(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> dict[str, list[list[str]]]:
    """What packages are ``added`` and ``removed`` (with a version), and ``changed`` (with two)."""
    before = {canonical(row["name"]): row for row in old}
    after = {canonical(row["name"]): row for row in new}
    added = [name for name in after if name not in before]
    removed = [name for name in before if name not in after]
    changed = [n for n in after if n in before and before[n]["version"] != after[n]["version"]]
    return {
        "added": [[after[n]["name"], after[n]["version"]] for n in added],
        "removed": [[before[n]["name"], before[n]["version"]] for n in removed],
        "changed": [[after[n]["name"], before[n]["version"], after[n]["version"]] for n in changed],
    }

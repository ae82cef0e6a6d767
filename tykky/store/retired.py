"""Versions that were retired: what their modules tell instead of being loaded.

``<root>/db/<name>/<version><suffix>.retired`` is there for as long as nobody installs the version
again, or takes the retirement back.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import explained
from tykky.files import make_folder, read_json, write_file
from tykky.store.record import is_a

if TYPE_CHECKING:
    from tykky.store import Entry, Store

_SUFFIX = ".retired"


@dataclass(frozen=True)
class Retired:
    """A version that is gone; ``facts`` are who, when, why, and what to ``use``."""

    module: str
    prefix: str
    facts: Mapping[str, str] = field(default_factory=dict)


def of(store: Store, name: str = "") -> list[Retired]:
    """The retired versions of a name, or all; what cannot be read is left out."""
    found = []
    for path in sorted(store.database.glob(f"{name or '[!.]*'}/[!.]*{_SUFFIX}")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            data = read_json(path)
            each = Retired(data["module"], data["prefix"], data["facts"])
            own = store.place(path.parent.name, path.name.removesuffix(_SUFFIX)).prefix
            plain = is_a("Mapping[str, str]", each.facts)
            if plain and (each.module, each.prefix) == (_module(path), str(own)):
                found.append(each)
    return found


def put(store: Store, entry: Entry, facts: Mapping[str, str]) -> None:
    """Note that a version is retired. Raises ``TykkyError``."""
    path = _path(store, entry.module)
    data = {"format": 1, **asdict(Retired(entry.module, entry.prefix, facts))}
    with explained(f"note that {entry.module} is retired"):
        make_folder(path.parent, store.permissions)
        write_file(path, json.dumps(data, indent=1).encode() + b"\n", store.permissions)


def take_back(store: Store, module: str) -> bool:
    """Note that a version is not retired any more; whether it was. Raises ``TykkyError``."""
    path = _path(store, module)
    with explained(f"note that {module} is not retired"):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    return True


def _path(store: Store, module: str) -> Path:
    return store.database / f"{module}{_SUFFIX}"


def _module(path: Path) -> str:
    return f"{path.parent.name}/{path.name.removesuffix(_SUFFIX)}"

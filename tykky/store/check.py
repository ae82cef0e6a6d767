"""The database against the places: what it lacks, what is strange in it, and making it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, TykkyError
from tykky.store.place import HIDDEN, Place, damaged
from tykky.store.record import NAME, NewerFormat, read_entry
from tykky.store.written import Checker, Fault, removing

if TYPE_CHECKING:
    from tykky.store import Store

#: What mends an entry.
_REINDEX = "'tykky reindex'"


def strays(store: Store) -> Iterator[Fault]:
    """What the database lacks, and what in it is no entry of an install of this root."""
    known = {os.path.realpath(entry.prefix) for entry in store.entries()}
    for path in sorted(store.database.glob("[!.]*/*.json")):
        try:
            entry = read_entry(path)
        except StoreError as error:
            remedy = error.remedy if isinstance(error, NewerFormat) else _REINDEX
            yield Fault(path, error.cause.removeprefix(f"{path} "), remedy)
        else:
            own = store.place(entry.name, f"{entry.version}{entry.suffix}").prefix
            # One outside is its owner's, who may have deleted it, or have it on another disk.
            inside = Path(entry.prefix).parts[-3:-2] == store.places.parts[-1:]
            mine = not inside or os.path.realpath(entry.prefix) in known
            if not mine and own.is_dir() and Path(entry.prefix).parts[-3:] == own.parts[-3:]:
                remedy = f"install it anew in {store.root}, or {removing(own)}, then {_REINDEX}"
                yield Fault(path, f"came with a copy of {entry.prefix}, and speaks of it", remedy)
            elif not mine or path != store.entry_path(entry):
                yield Fault(path, f"speaks of {entry.prefix}, which it is not for", _REINDEX)
            yield from Checker(store.permissions, frozenset()).mode(path)
    for hidden in sorted(store.places.glob(f"*/*/{HIDDEN}")):
        place = Place(hidden.parent)
        if os.path.realpath(place.prefix) not in known and place.current:
            path = store.database / place.prefix.parent.name / f"{place.prefix.name}.json"
            yield Fault(path, f"is missing: {place.prefix} is not in the database", _REINDEX)


def reindex(store: Store) -> Iterator[str]:
    """Make the database again from the places; yields a sentence for each thing changed.

    What cannot be read is named and left as it is.
    """
    store.prepare()
    said: list[str] = []
    known = set()
    for hidden in sorted(store.places.glob(f"*/*/{HIDDEN}")):
        place = Place(hidden.parent)
        if not place.current:
            if place.numbers:
                known.add(f"{place.prefix.parent.name}/{place.prefix.name}.json")
                yield f"{place.prefix} has no current generation; 'tykky rollback' mends that"
            continue
        known.add(f"{place.prefix.parent.name}/{place.prefix.name}.json")
        try:
            record = place.record()
            if store.is_entered(record):
                continue
            if damaged(record).endswith(NAME):
                yield f"{place.generation() / NAME} is not what was written; left as it is"
                continue
            if original := place.original():
                yield f"{place.prefix} is a copy of {original}; left as it is"
                continue
            with store.claim(place.prefix, record.module, said.append, wait=False) as held:
                if held:
                    store.enter(record)
                    yield f"entered {record.title}"
                else:
                    yield f"{place.prefix} is just being changed, and is left out"
        except TykkyError as error:
            yield f"{error.cause}; left as it is"
    for path in sorted(store.database.glob("[!.]*/*.json")):
        if f"{path.parent.name}/{path.name}" in known:
            continue
        try:
            entry = read_entry(path)
            prefix = Path(entry.prefix)
            outside = prefix.parts[-3:-2] != store.places.parts[-1:]
            outside = outside and path == store.entry_path(entry)
            if outside and ((prefix / HIDDEN).is_dir() or not prefix.parent.is_dir()):
                continue  # made by a classic command; or its file system is not there just now
        except NewerFormat as error:
            yield error.cause
            continue
        except StoreError:
            pass
        path.rename(path.with_name(f".{path.name}.aside"))
        yield f"set aside {path}, of which there is no install"

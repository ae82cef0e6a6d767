"""The database against the places: what it lacks, what is strange in it, and making it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import trust
from tykky.errors import StoreError, TykkyError
from tykky.files import is_folder
from tykky.store import state
from tykky.store.place import HIDDEN, Place, below, damaged
from tykky.store.record import NAME, NewerFormat, read_entry
from tykky.store.written import Checker, Fault, removing

if TYPE_CHECKING:
    from tykky.store import Store

#: What mends an entry.
_REINDEX = "'tykky reindex'"


def strays(store: Store) -> Iterator[Fault]:
    """What the database lacks, and what in it is no entry of an install of this root."""
    known = {os.path.realpath(entry.prefix) for entry in store.entries()}
    yield from _folders(store)
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
                remedy = f"'tykky relocate {own}', or {removing(own)}, then {_REINDEX}"
                yield Fault(path, f"came with a copy of {entry.prefix}, and speaks of it", remedy)
            elif not mine or path != store.entry_path(entry):
                yield Fault(path, f"speaks of {entry.prefix}, which it is not for", _REINDEX)
            yield from Checker(store.permissions, frozenset()).mode(path)
    for place in below(store.places):
        if place.current and os.path.realpath(place.prefix) not in known:
            path = store.database / place.prefix.parent.name / f"{place.prefix.name}.json"
            yield Fault(path, f"is missing: {place.prefix} is not in the database", _REINDEX)


def _folders(store: Store) -> Iterator[Fault]:
    """The folders of the store that have not the modes and the group that the site has chosen."""
    site = store.permissions
    folders = [folder for each in (store.places, store.database) for folder in each.glob("[!.]*")]
    for folder in (store.places, store.database, store.trash, *sorted(folders)):
        if (site.chosen or site.group) and is_folder(folder):
            yield from Checker(site, frozenset(trust.owner(folder))).mode(folder)


def reindex(store: Store) -> Iterator[str]:
    """Make the database again from the places; yields a sentence for each thing changed.

    What cannot be read is named and left as it is. Each entry is written or set aside while its
    place is claimed, and after a look at that: so nobody installs or uninstalls it meanwhile.
    """
    store.prepare()
    for place in below(store.places):
        try:
            yield from _enter(store, place)
        except (TykkyError, OSError) as error:
            yield f"{error}; {place.prefix} is left as it is"
    for path in sorted(store.database.glob("[!.]*/[!.]*.json")):
        try:
            yield from _set_aside(store, path)
        except (TykkyError, OSError) as error:
            yield f"{error}; {path} is left as it is"
    store.entries()
    yield from (f"{problem}; it is left as it is" for problem in store.unreadable)


def _enter(store: Store, place: Place) -> Iterator[str]:
    """Enter a place in the database as it is."""
    if not place.current:
        if place.records():
            yield f"{place.prefix} has no current generation; 'tykky rollback' mends that"
        elif place.is_lost:
            lost = f"{place.prefix} has images and no generation, and is left as it is"
            yield f"{lost}; 'tykky doctor --store --fix' mends that"
        return
    record = place.record()
    if store.is_entered(record):
        return
    if damaged(record).endswith(NAME):
        yield f"{place.generation() / NAME} is not what was written; left as it is"
        return
    if original := place.original():
        yield f"{place.prefix} is a copy of {original}; 'tykky relocate' lets it work there"
        return
    with store.claim(place.prefix, record.module, lambda _: None, wait=False) as held:
        if not held:
            yield f"{place.prefix} is just being changed, and is left out"
        elif place.current:
            state.recall(place, store.entered_marks(record), store.permissions)
            store.enter(place.record())
            yield f"entered {place.record().title}"


def _set_aside(store: Store, path: Path) -> Iterator[str]:
    """Take an entry out of the way that speaks of no install."""
    own = store.place(path.parent.name, path.stem)
    if own.numbers or own.is_lost or own.is_closed:
        return
    try:
        prefix = Path(read_entry(path).prefix)
    except NewerFormat:
        return  # which is said with all that cannot be read
    except StoreError:
        prefix = own.prefix
    outside = prefix.parts[-3:-2] != store.places.parts[-1:]
    if outside and (is_folder(prefix / HIDDEN) or not is_folder(prefix.parent)):
        return  # made by a classic command; or its file system is not there just now
    with store.claim(own.prefix, path.stem, lambda _: None, wait=False) as held:
        if held and not own.numbers:
            path.rename(path.with_name(f".{path.name}.aside"))
            yield f"set aside {path}, of which there is no install"

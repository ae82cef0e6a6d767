"""Checking installs against their records, and rebuilding the database from the places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, TykkyError
from tykky.files import digest_file, is_folder
from tykky.runtime.base import CONF_NAME
from tykky.store.place import HIDDEN, Place, below, damaged, missing
from tykky.store.record import NewerFormat, read_entry

if TYPE_CHECKING:
    from tykky.store import Record, Store


def faults(record: Record) -> Iterator[str]:
    """What of a generation is not as its record says; reads all its images."""
    place = Place(Path(record.prefix))
    for image in record.images:  # programs of a container need no image of their own
        path = place.images / image["file"]
        try:
            if digest_file(path) != image["sha256"]:
                yield f"the image {path} is not what was installed"
        except OSError as error:
            yield f"the image {path} cannot be read: {error.strerror}"
    if lost := missing(record):
        yield f"it needs {lost}, which is not there"
    try:
        place.check_format(record.generation)
    except NewerFormat as error:
        yield error.cause
    if not place.launcher.is_file():
        yield f"{place.launcher} is missing"
    if (path := damaged(record)).endswith(CONF_NAME):
        yield f"{path} is missing or not what was installed"
    for name in record.commands:
        command = place.prefix / "bin" / name
        if not os.access(command, os.X_OK):
            yield f"the command {name} is missing"
        elif place.launcher.is_file() and not _same(command, place.launcher):
            yield f"the command {command} is not the launcher"


def _same(command: Path, launcher: Path) -> bool:
    return command.samefile(launcher) or (
        command.is_file() and digest_file(command) == digest_file(launcher)
    )


def unentered(store: Store) -> Iterator[Place]:
    """The places in the store that the database does not have."""
    known = {os.path.realpath(entry.prefix) for entry in store.entries()}
    for place in below(store.places):
        if place.current and os.path.realpath(place.prefix) not in known:
            yield place


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
        if place.numbers:
            yield f"{place.prefix} has no current generation; 'tykky rollback' mends that"
        return
    record = place.record()
    if store.is_entered(record) or place.original():
        return
    with store.claim(place.prefix, record.module, lambda _: None, wait=False) as held:
        if not held:
            yield f"{place.prefix} is just being changed, and is left out"
        elif place.current:
            store.enter(place.record())
            yield f"entered {place.record().title}"


def _set_aside(store: Store, path: Path) -> Iterator[str]:
    """Take an entry out of the way that speaks of no install."""
    own = store.place(path.parent.name, path.stem)
    if own.numbers:
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

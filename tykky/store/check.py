"""Checking installs against their records, and rebuilding the database from the places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, TykkyError
from tykky.files import digest_file
from tykky.runtime.base import CONF_NAME
from tykky.store.place import HIDDEN, Place, damaged, missing
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
    for hidden in sorted(store.places.glob(f"*/*/{HIDDEN}")):
        if Place(hidden.parent).current and os.path.realpath(hidden.parent) not in known:
            yield Place(hidden.parent)


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
            prefix = Path(read_entry(path).prefix)
            outside = prefix.parts[-3:-2] != store.places.parts[-1:]
            if outside and ((prefix / HIDDEN).is_dir() or not prefix.parent.is_dir()):
                continue  # made by a classic command; or its file system is not there just now
        except NewerFormat as error:
            yield error.cause
            continue
        except StoreError:
            pass
        path.rename(path.with_name(f".{path.name}.aside"))
        yield f"set aside {path}, of which there is no install"

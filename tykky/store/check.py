"""Checking installs against their records, and rebuilding the database from the prefixes.

Public names: ``faults``, ``reindex``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError
from tykky.store import record as records

if TYPE_CHECKING:
    from tykky.store import Record, Store


def faults(record: Record, store: Store) -> Iterator[str]:
    """What is not as the record says; reads the whole image."""
    # Programs of a container need no image of their own.
    image = record.hidden / record.image["file"] if record.image else None
    try:
        if image is not None and _sha256(image) != record.image["sha256"]:
            yield f"the image {image} is not what was installed"
    except OSError as error:
        yield f"the image {image} cannot be read: {error.strerror}"
    for name in ("launch", "launch.conf"):
        if not (record.hidden / name).is_file():
            yield f"{record.hidden / name} is missing"
    for name in record.commands:
        if not os.access(Path(record.prefix, "bin", name), os.X_OK):
            yield f"the command {name} is missing"
    if not store.is_entered(record):
        yield "the database does not have it as its record says"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def reindex(store: Store) -> Iterator[str]:
    """Make the database again from the prefixes; yields a sentence for each thing changed.

    What cannot be read is never dropped: it gets another name and stays where it is.
    """
    store.prepare()
    known = set()
    for path in sorted(store.prefixes.glob(f"*/*/{records.HIDDEN}/record.json")):
        prefix = path.parent.parent
        try:
            record = records.read(prefix)
        except StoreError as error:
            aside = path.rename(path.with_name("record.json.damaged"))
            yield f"{error.cause}; set aside as {aside}"
            continue
        known.add(record.file_name)
        if record.prefix != str(prefix):
            yield f"{prefix} was moved there from {record.prefix}, and is left out"
        elif not store.is_entered(record):
            store.enter(record)
            yield f"entered {record.module} ({record.short_hash})"
    for path in sorted(store.database.glob("*.json")):
        if path.name not in known and not _elsewhere(path):
            path.rename(path.with_name(f".{path.name}.aside"))
            yield f"set aside {path}, of which there is no install"


def _elsewhere(path: Path) -> bool:
    """Whether an entry speaks of a whole install outside of the store."""
    try:
        records.read(Path(records.read_entry(path).prefix))
    except StoreError:
        return False
    return True

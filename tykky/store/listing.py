"""Listing the database, quickly also where it has thousands of entries.

Every entry is a file, and thousands of small files are what a parallel file system is worst
at. So a listing of everything is kept in the reader's own cache, and used for as long as the
folder's modification time stays what it was: every writer touches the folder. It is never the
truth: without it, or with a damaged one, the files are read.

Public names: ``Listing``, ``listing``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tykky.errors import Exit, StoreError
from tykky.store.record import Entry, parse_entry, read_entry

FORMAT = 2
#: A folder that changed less than this many seconds ago may change again within the same
#: time stamp (file servers round them, and clocks differ), so it is not yet worth keeping.
SETTLED = 10


@dataclass(frozen=True)
class Listing:
    """Entries, unsorted, and a sentence for each that could not be read."""

    entries: list[Entry]
    unreadable: list[str]


def listing(database: Path, cache: Path | None, name: str = "") -> Listing:
    """The entries of a name, or all. Raises ``StoreError`` if the folder cannot be read."""
    try:
        if name:
            return _read(database / name)
        stamp = database.stat().st_mtime_ns
        kept = _kept(database, cache, stamp)
        if kept is not None:
            return Listing(kept, [])
        found = Listing([], [])
        with os.scandir(database) as names:
            for each in names:
                if each.is_dir() and not each.name.startswith("."):
                    more = _read(database / each.name)
                    found.entries.extend(more.entries)
                    found.unreadable.extend(more.unreadable)
    except FileNotFoundError:
        return Listing([], [])
    except OSError as error:
        raise StoreError(
            f"the database {database} cannot be read: {error.strerror}",
            remedy="choose a directory that you may read: --root DIR; "
            "'tykky config why root' says where it was set",
            code=Exit.NOT_WRITABLE,
        ) from error
    if not found.unreadable:
        _keep(database, cache, stamp, found.entries)
    return found


def _read(folder: Path) -> Listing:
    found = Listing([], [])
    for path in _files(folder):
        try:
            found.entries.append(read_entry(path))
        except StoreError as error:
            if os.path.lexists(path):  # else it was uninstalled meanwhile
                found.unreadable.append(error.cause)
    return found


def _files(folder: Path) -> Iterator[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - no Path for each of thousands
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (folder / n for n in names if n.endswith(".json") and not n.startswith("."))


def _cache_file(database: Path, cache: Path) -> Path:
    return cache / "listings" / f"{hashlib.sha256(bytes(database)).hexdigest()[:16]}.json"


def _kept(database: Path, cache: Path | None, stamp: int) -> list[Entry] | None:
    """The listing that was kept when the folder had this time stamp, if there is one."""
    if cache is None:
        return None
    try:
        with _cache_file(database, cache).open("rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.geteuid():
                return None
            data: dict[str, Any] = json.loads(stream.read())
        if [data["format"], data["database"], data["stamp"]] != [FORMAT, str(database), stamp]:
            return None
        return [parse_entry(row) for row in data["entries"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _keep(database: Path, cache: Path | None, stamp: int, entries: list[Entry]) -> None:
    """Keep a listing for next time, if the folder has settled and the cache can be written."""
    if cache is None or time.time() - stamp / 1e9 < SETTLED:
        return
    data = {"format": FORMAT, "database": str(database), "stamp": stamp}
    text = json.dumps({**data, "entries": [asdict(entry) for entry in entries]})
    path = _cache_file(database, cache)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)

"""Reading the database folder: one name, one hash, or everything.

Every entry is a file, and thousands of small files are what a parallel file system is worst
at. So a listing of everything is kept in the reader's own cache, and used for as long as the
folder's modification time stays what it was. It is never the truth: without it, or with a
damaged one, the files are read.

Public names: ``Listing``, ``listing``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tykky.errors import Exit, StoreError
from tykky.store.record import Entry, parse_entry, read_entry

FORMAT = 1
#: A folder that changed less than this many seconds ago may change again within the same
#: time stamp (file servers round them, and clocks differ), so it is not yet worth keeping.
SETTLED = 10


@dataclass(frozen=True)
class Listing:
    """Entries, unsorted, and a sentence for each that could not be read."""

    entries: list[Entry]
    unreadable: list[str]


def listing(database: Path, cache: Path | None, name: str = "", digest: str = "") -> Listing:
    """The entries of a name, or whose hash begins with ``digest``, or all.

    File names begin with the name and end with the hash, so only a listing of everything has
    to open every file. Raises ``StoreError`` if the folder cannot be read.
    """
    try:
        stamp = database.stat().st_mtime_ns
        kept = _kept(database, cache, stamp) if not name and not digest else None
        if kept is not None:
            return Listing(kept, [])
        files = os.listdir(database)  # noqa: PTH208 - no Path for each of thousands
    except FileNotFoundError:
        return Listing([], [])
    except OSError as error:
        raise StoreError(
            f"the database {database} cannot be read: {error.strerror}",
            remedy="choose a directory that you may read: --root DIR; "
            "'tykky config why root' says where it was set",
            code=Exit.NOT_WRITABLE,
        ) from error
    found = _read(database, [file for file in files if _wanted(file, name, digest)])
    if not name and not digest and not found.unreadable:
        _keep(database, cache, stamp, found.entries)
    return Listing(
        [e for e in found.entries if e.name == name or (not name and e.hash.startswith(digest))],
        found.unreadable,
    )


def _wanted(file: str, name: str, digest: str) -> bool:
    return (
        not file.startswith(".")
        and file.endswith(".json")
        and (not name or file.startswith(f"{name}-"))
        and (not digest or file.rpartition("-")[2].startswith(digest[:8]))
    )


def _read(database: Path, files: list[str]) -> Listing:
    found = Listing([], [])
    for file in files:
        try:
            found.entries.append(read_entry(database / file))
        except StoreError as error:
            if (database / file).exists():  # else it was uninstalled meanwhile
                found.unreadable.append(error.cause)
    return found


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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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

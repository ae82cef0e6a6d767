"""Listing the database, quickly also where it has thousands of entries.

Every entry is a file, and thousands of small files are what a parallel file system is worst
at. So a listing of everything is kept in the reader's own cache, and used for as long as the
folder's modification time stays what it was: every writer touches the folder. It is never the
truth: without it, or with a damaged one, the files are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tykky.errors import Exit, StoreError
from tykky.files import read_json
from tykky.store.record import Entry, frozen, read_entry

FORMAT = 5
_NAMES = {each.name for each in fields(Entry)}
#: A folder that changed less than this many seconds ago may change again within the same
#: time stamp (file servers round them, and clocks differ), so it is not yet worth keeping.
SETTLED = 10


def listing(database: Path, cache: Path | None, name: str = "") -> tuple[list[Entry], list[str]]:
    """The entries of a name, or all, by name and version; a sentence for each that is unreadable.

    Raises ``StoreError`` if the folder cannot be read.
    """
    from tykky.recipe import Version

    entries: list[Entry] = []
    unreadable: list[str] = []
    folders, stamp = [database / name], 0
    mark = hashlib.sha256(bytes(database)).hexdigest()[:16]
    kept_at = cache / "listings" / f"{mark}.json" if cache and not name else None
    try:
        if not name:
            stamp = database.stat().st_mtime_ns
            known = _kept(kept_at, database, stamp)
            if known is not None:
                return known, []
            with os.scandir(database) as found:
                folders = [Path(e) for e in found if not e.name.startswith(".")]
        for folder in folders:
            for path in _files(folder, unreadable):
                try:
                    entries.append(read_entry(path))
                except StoreError as error:
                    if os.path.lexists(path):  # else it was uninstalled meanwhile
                        unreadable.append(error.cause)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise StoreError(
            f"the database {database} cannot be read: {error.strerror}",
            remedy="choose a directory that you may read: --root DIR; "
            "'tykky config why root' says where it was set",
            code=Exit.NOT_WRITABLE,
        ) from error
    entries.sort(key=lambda e: (e.name, Version(e.version), e.suffix, e.prefix))
    if not unreadable:
        _keep(kept_at, database, stamp, entries)
    return entries, unreadable


def _files(folder: Path, unreadable: list[str]) -> list[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - no Path for each of thousands
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unreadable.append(f"{folder} cannot be read: {error.strerror}")
        return []
    return [folder / n for n in names if n.endswith(".json") and not n.startswith(".")]


def _kept(path: Path | None, database: Path, stamp: int) -> list[Entry] | None:
    """The listing that was kept when the folder had this time stamp, if there is one."""
    if path is None:
        return None
    try:
        if path.stat().st_uid != os.geteuid():
            return None
        data: dict[str, Any] = read_json(path)
        if [data["format"], data["database"], data["stamp"]] != [FORMAT, str(database), stamp]:
            return None
        return [_entry(row) for row in data["entries"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _entry(row: dict[str, Any]) -> Entry:
    """An entry as this program has kept it: it was looked at then, and need not be again."""
    if row.keys() != _NAMES:
        raise KeyError("fields")
    row["needs"], row["versions"] = tuple(row["needs"]), tuple(row["versions"])
    row["choices"] = {name: frozen(value) for name, value in row["choices"].items()}
    entry = object.__new__(Entry)
    vars(entry).update(row)
    return entry


def _keep(path: Path | None, database: Path, stamp: int, entries: list[Entry]) -> None:
    """Keep a listing for next time, if the folder has settled and the cache can be written."""
    if path is None or time.time() - stamp / 1e9 < SETTLED:
        return
    data = {"format": FORMAT, "database": str(database), "stamp": stamp}
    text = json.dumps({**data, "entries": [asdict(entry) for entry in entries]})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)

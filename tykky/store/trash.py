"""Uninstalling, and deleting for good.

What runs from an install must not notice that it is uninstalled. Its image is mounted over the
prefix in namespaces of its own, and a mount hangs on the directory it is mounted on: so that
stays where it is, empty, and what is in it moves into the trash. The image keeps being the
same open file there. The trash is emptied, and the directory removed, when nothing can be
running any more.

Public names: ``bury``, ``ripe``, ``empty``, ``forget_locks``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, from_os_error
from tykky.files import discard, make_folder
from tykky.store import record as records

if TYPE_CHECKING:
    from tykky.store import Entry, Store


def bury(store: Store, entry: Entry) -> None:
    """Take an install out of the database and what is in its prefix into the trash.

    Hold the claim of the install. Raises ``StoreError``.
    """
    prefix = Path(entry.prefix)
    store.check_removable(prefix)
    grave = store.trash / f"{entry.name}-{prefix.name}-{time.time_ns()}"
    try:
        (store.database / entry.file_name).unlink(missing_ok=True)
        if prefix.is_dir():
            make_folder(grave, store.permissions)
            # First the folder with the record: without it this is no install any more.
            hidden = prefix / records.HIDDEN
            for path in sorted(prefix.iterdir(), key=lambda path: path != hidden):
                path.rename(grave / path.name)
    except OSError as error:
        raise from_os_error(error, f"uninstall {entry.module}") from error


def ripe(store: Store, older_than: float) -> dict[Path, int]:
    """What has been in the trash for ``older_than`` seconds, and how many bytes each has."""
    found = {}
    now = time.time()
    for grave in sorted(store.trash.iterdir()) if store.trash.is_dir() else []:
        buried = grave.name.rpartition("-")[2]
        if buried.isdigit() and now - int(buried) / 1e9 >= older_than:
            found[grave] = sum(f.lstat().st_size for f in grave.rglob("*") if not f.is_dir())
    return found


def empty(store: Store, graves: Iterable[Path]) -> None:
    """Delete what is in the trash for good, with the directories that it has left."""
    for grave in graves:
        _remove_prefix(store, grave)
        discard(grave)


def _remove_prefix(store: Store, grave: Path) -> None:
    """Remove the empty directory that an uninstalled stack left, unless it is in use again."""
    from filelock import Timeout

    try:
        record = records.read(grave)
    except StoreError:
        return
    prefix = Path(record.prefix)
    # rmdir removes only what is empty.
    with contextlib.suppress(OSError, Timeout), store.lock(record.hash).acquire(timeout=0):
        prefix.rmdir()
        prefix.parent.rmdir()  # the last version takes the name's folder with it


def forget_locks(store: Store) -> None:
    """Remove the locks of what is not installed, and what killed processes left beside locks."""
    from filelock import Timeout

    from tykky.store.locks import remove_unused

    for owner in store.locks.glob("*.owner"):
        with contextlib.suppress(Timeout), store.lock(owner.stem).acquire(timeout=0):
            owner.unlink(missing_ok=True)
    entries = store.entries()
    kept = {entry.hash for entry in entries} | {f"name-{entry.name}" for entry in entries}
    remove_unused(file for file in store.locks.glob("*.lock") if file.stem not in kept)

"""Uninstalling, and deleting for good.

What runs from an install must not notice that it is uninstalled. Its image is mounted over the
prefix in namespaces of its own, and a mount hangs on the directory it is mounted on: so that
stays where it is, empty, and what is in it moves into the trash. The image keeps being the
same open file there. The trash is emptied, and the directory removed, when nothing can be
running any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import Exit, StoreError, explained
from tykky.files import check_writable, discard, make_folder, size_of
from tykky.runtime.base import CURRENT, GENERATIONS
from tykky.store import record as records
from tykky.store import running, state
from tykky.store.place import HIDDEN, Place, is_launcher

if TYPE_CHECKING:
    from tykky.store import Entry, Store


def check_removable(store: Store, prefix: Path) -> None:
    """Raise ``StoreError`` if what is at ``prefix`` cannot be moved into the trash."""
    store.check_outside(prefix)
    Place(prefix).check_formats()
    both = prefix.is_dir() and store.trash.is_dir()
    if both and prefix.stat().st_dev != store.trash.stat().st_dev:
        raise StoreError(
            f"{prefix} is on another disk than the trash of {store.root}, so it cannot be kept "
            "for what still runs from it",
            remedy=f"when nothing runs from it any more, delete it: rm -r '{prefix}'",
            code=Exit.CONFLICT,
        )
    own = (prefix.parent, prefix, prefix / HIDDEN, prefix / "bin")
    for folder in (*own, store.database, store.trash):
        if folder.is_dir():
            check_writable(folder, f"uninstall {prefix}")


def put(store: Store, entry: Entry) -> None:
    """Move what is in a place into the trash, and take it out of the database, last.

    Hold its claim. Whoever is killed in between leaves an entry, by which the same can be done
    again. What else its user has in a prefix of their own stays. Raises ``TykkyError``.
    """
    place = Place(Path(entry.prefix))
    item = store.trash / f"{_name(place.prefix)}-{time.time_ns()}"
    with explained(f"uninstall {entry.module}"):
        if place.hidden.is_dir():
            make_folder(item / HIDDEN, store.permissions)
            if store.permissions.only_for(entry.module):
                store.permissions.of_prefix(entry.module).apply(item)
            view = _view(place, whole=store.places in place.prefix.parents)
            # What stays with the place: who has its claim needs it.
            inside = [p for p in place.hidden.iterdir() if p.name not in ("lock", "owner")]
            first = [path for path in inside if path.name == CURRENT]  # which makes it an install
            for path in (*first, *view, *(path for path in inside if path not in first)):
                make_folder((item / path.relative_to(place.prefix)).parent, store.permissions)
                path.rename(item / path.relative_to(place.prefix))
            with contextlib.suppress(OSError):
                (place.prefix / "bin").rmdir()
        store.forget(entry)


def is_begun(store: Store, prefix: Path) -> bool:
    """Whether a place is half in the trash: somebody was killed who uninstalled it."""
    newest = [item / HIDDEN for item in items(store, prefix)[-1:]]
    return any(os.path.lexists(n / CURRENT) and not (n / GENERATIONS).exists() for n in newest)


def last_number(store: Store, place: Place) -> int:
    """The greatest number that a place had before it was uninstalled, as far as that is known."""
    thrown = [Place(item) for item in items(store, place.prefix)]
    noted = (event.generation for item in thrown for event in state.events(item))
    return max((0, *noted, *(number for item in thrown for number in item.numbers)))


def items(store: Store, prefix: Path) -> list[Path]:
    """What of a place is in the trash, the oldest first."""
    name = re.compile(re.escape(_name(prefix)) + "-[0-9]+")
    there = store.trash.iterdir() if store.trash.is_dir() else ()
    return sorted(item for item in there if name.fullmatch(item.name))


def _name(prefix: Path) -> str:
    return f"{prefix.parent.name}-{prefix.name}"


def _view(place: Place, *, whole: bool) -> list[Path]:
    """What users see of a place: all beside what is hidden, or as far as it is Tykky's."""
    there = [path for path in place.prefix.iterdir() if path != place.hidden]
    if whole:
        return there
    ours = [p for p in there if p.is_symlink() and p.readlink().parts[:1] == (HIDDEN,)]
    programs = (place.prefix / "bin").iterdir() if (place.prefix / "bin").is_dir() else ()
    return [*ours, *(path for path in programs if is_launcher(path))]


def running_from(item: Path, used: dict[str, str]) -> str:
    """A program that runs from what is in the trash, by the paths it had; or nothing."""
    here = Place(item)
    for number in here.numbers:
        with contextlib.suppress(StoreError):
            record = records.read(here.generation(number))
            images = Place(Path(record.prefix)).images
            if program := running.runs_from(images, record.files_of_images, used):
                return program
    return ""


def older(store: Store, older_than: float) -> dict[Path, int]:
    """What has been in the trash for ``older_than`` seconds, and how many bytes each has."""
    found = {}
    now = time.time()
    for item in sorted(store.trash.iterdir()) if store.trash.is_dir() else []:
        put_there = item.name.rpartition("-")[2]
        if put_there.isdigit() and now - int(put_there) / 1e9 >= older_than:
            found[item] = size_of(item)
    return found


def empty(store: Store, items: Iterable[Path]) -> list[Path]:
    """Delete what is in the trash for good, with the directories that it has left.

    Gives what could not be deleted, as somebody else's in it.
    """
    left = []
    for item in items:
        with contextlib.suppress(OSError, StoreError):
            prefix = Path(records.read(Place(item).generation()).prefix)
            if store.places not in prefix.parents:
                prefix.rmdir()  # if it is still as it was left: empty
        try:
            discard(item)
        except OSError:
            left.append(item)
    # An empty place is one that was uninstalled, or whose making was given up. While what was there
    # is in the trash, programs may have its image mounted on it.
    kept = {item.name.rpartition("-")[0] for item in store.trash.glob("*")}
    empty = (place for place in store.places.glob("*/*") if _name(place) not in kept)
    for folder in (*empty, *store.places.glob("*")):
        with contextlib.suppress(OSError):  # rmdir removes only what is empty
            folder.rmdir()
    return left

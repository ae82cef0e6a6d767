"""Uninstalling, and deleting for good.

What runs from an install must not notice that it is uninstalled. Its image is mounted over the
prefix in namespaces of its own, and a mount hangs on the directory it is mounted on: so that
stays where it is, empty, and what is in it moves into the trash. The image keeps being the
same open file there. The trash is emptied, and the directory removed, when nothing can be
running any more. Until then, all can be moved back.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

from tykky.errors import Exit, StoreError, explained
from tykky.files import Permissions, check_writable, discard, make_folder, size_of, walk
from tykky.host import owner_of
from tykky.runtime.base import CURRENT, GENERATIONS
from tykky.store import Store, running, state
from tykky.store import record as records
from tykky.store.place import HIDDEN, Place, is_launcher, missing, switch
from tykky.store.record import Entry, Record

#: What an item is called while it is deleted, before its name.
_OLD = ".old-"


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
    with explained(f"uninstall {entry.module}"):
        if place.hidden.is_dir():
            view = _view(place, whole=store.places in place.prefix.parents)
            # What stays with the place: who has its claim needs it.
            inside = [p for p in place.hidden.iterdir() if p.name not in ("lock", "owner")]
            # First what makes it an install, last what tells that all is there.
            inside.sort(key=lambda path: (path.name != CURRENT, path.name == GENERATIONS))
            there = [*inside[:1], *view, *inside[1:]]
            if there:
                item = _item_for(store, entry)
            for path in there:
                make_folder((item / path.relative_to(place.prefix)).parent, store.permissions)
                path.rename(item / path.relative_to(place.prefix))
            with contextlib.suppress(OSError):
                (place.prefix / "bin").rmdir()
        store.forget(entry)


def _item_for(store: Store, entry: Entry) -> Path:
    """Where a place goes: a new item, or what somebody has begun who was killed, as a new one."""
    prefix = Path(entry.prefix)
    item = store.trash / f"{_name(prefix)}-{time.time_ns()}"
    if is_begun(store, prefix):
        return items(store, prefix)[-1].rename(item)
    make_folder(item / HIDDEN, store.permissions)
    if store.permissions.only_for(entry.module):
        store.permissions.of_prefix(entry.module).apply(item)
    return item


def is_begun(store: Store, prefix: Path) -> bool:
    """Whether a place is half in the trash: somebody was killed who uninstalled it, or undid that.

    Then its generations are not there, which go last, and come back first.
    """
    newest = [item / HIDDEN for item in items(store, prefix)[-1:]]
    return any(os.path.lexists(n / CURRENT) and not (n / GENERATIONS).exists() for n in newest)


class Thrown(Store):
    """What was uninstalled from a store and can be brought back, to be searched as a store is."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.root, store.permissions)

    def entries(self, name: str = "") -> list[Entry]:
        """The latest of each place, of one name or all."""
        latest: dict[str, Entry] = {}
        for item in sorted(self.trash.glob("[!.]*")):
            with contextlib.suppress(StoreError):
                entry = _entry(self, item)
                latest |= {entry.prefix: entry} if name in ("", entry.name) else {}
        return sorted(latest.values(), key=lambda entry: entry.module)


def _entry(store: Store, item: Path) -> Entry:
    """The entry that what is in the trash had. Raises ``StoreError``."""
    here = Place(item)
    if not (number := here.current):
        raise StoreError(f"{item} is no whole install")
    record = records.read(here.generation(number))
    prefix = Path(record.prefix)
    if record.has_module:
        prefix = store.place(record.name, f"{record.version}{record.suffix}").prefix
    else:
        name = records.name_of(prefix)
        record = replace(record, name=name, module=f"{name}/1")
    if item.name.rpartition("-")[0] != _name(prefix):
        raise StoreError(f"{item} was elsewhere than its record says")
    record = replace(record, prefix=str(prefix), generation=number, marks=state.marks(here))
    return record.entry()


def check_back(store: Store, entry: Entry) -> Record:
    """The record of what is to come back. Raises ``StoreError`` if it could not be used then."""
    prefix = Path(entry.prefix)
    item = items(store, prefix)[-1]
    if is_begun(store, prefix):
        record = Place(prefix).record(int((item / HIDDEN / CURRENT).readlink().name))
    else:
        record = _whole(Place(item), entry)
    commands = (prefix / "bin" / name for name in record.commands)
    strange = [path for path in commands if os.path.lexists(path) and not is_launcher(path)]
    for each in walk(item):
        name = Path(each.path).relative_to(item)
        back = prefix / name
        fits = back.is_dir() and not back.is_symlink() and each.is_dir(follow_symlinks=False)
        if name.parts[0] != HIDDEN and os.path.lexists(back) and not fits:
            strange.append(back)
    if strange:
        cause = f"{strange[0]} is in the way of {entry.module}"
        raise StoreError(cause, remedy="move it away", code=Exit.CONFLICT)
    return record


def _whole(here: Place, entry: Entry) -> Record:
    """The record of an item that is all in the trash, as it will be. Raises ``StoreError``."""
    here.check_formats()
    made = os.path.realpath(records.read(here.generation()).prefix)
    if made != os.path.realpath(entry.prefix) and (original := here.original()):
        cause = f"{entry.module} is a copy of {original}, and works only there"
        raise StoreError(cause, remedy="install it anew, where it is to be", code=Exit.CONFLICT)
    record = here.record()
    if lost := missing(record):
        cause = f"{entry.module} needs {lost}, which is not there any more"
        raise StoreError(cause, remedy="bring that back first", code=Exit.CONFLICT)
    return replace(record, **{each.name: getattr(entry, each.name) for each in fields(Entry)})


def take_back(store: Store, record: Record) -> None:
    """Move an install back from the trash, and let it be current, last. Hold its claim.

    The database has it first: whoever is killed in between leaves what looks like an uninstall that
    was, and either can be done again. The item's own ``current`` stays there until the end of all,
    see ``finish``. Raises ``TykkyError``.
    """
    prefix = Path(record.prefix)
    with explained(f"bring back {record.module}"):
        store.enter(record)
        item = items(store, prefix)[-1]
        # As young as can be, for a 'gc' that comes before the end.
        item = item.rename(item.with_name(f"{_name(prefix)}-{time.time_ns()}"))
        inside = [path for path in (item / HIDDEN).iterdir() if path.name != CURRENT]
        inside.sort(key=lambda path: path.name != GENERATIONS)
        for path in (*inside, *(path for path in item.iterdir() if path.name != HIDDEN)):
            _merge(path, prefix / path.relative_to(item), store.permissions)
        switch(Place(prefix), record.generation)


def _merge(path: Path, target: Path, permissions: Permissions) -> None:
    """Move a file or folder to where there may be a part of it already. Raises ``OSError``."""
    if path.is_dir() and not path.is_symlink() and target.is_dir():
        for each in [*path.iterdir()]:
            _merge(each, target / each.name, permissions)
    else:
        make_folder(target.parent, permissions)
        path.rename(target)


def finish(store: Store, prefix: Path) -> None:
    """Remove what is left in the trash of an install that is back."""
    if is_begun(store, prefix):
        with contextlib.suppress(OSError):  # the next 'gc' does
            discard(items(store, prefix)[-1])


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


def older(store: Store, older_than: float) -> dict[Path, tuple[int, str]]:
    """What has been in the trash for ``older_than`` seconds; the bytes of each, and why it goes."""
    found = {}
    now = time.time()
    for item in sorted(store.trash.iterdir()) if store.trash.is_dir() else []:
        put_there = item.name.rpartition("-")[2]
        age = now - int(put_there) / 1e9 if put_there.isdigit() else -1.0
        if age >= older_than:
            why = f"uninstalled {days(age)} ago by {owner_of(item)}"
            why = "left by an earlier gc, as it was busy" if item.name.startswith(_OLD) else why
            found[item] = (size_of(item), why)
    return found


def days(seconds: float) -> str:
    """How long something has been so, for people."""
    number = int(seconds // 86400)
    return f"{number} days" if number > 1 else "a day" if number else "less than a day"


def empty(store: Store, items: Iterable[Path]) -> list[Path]:
    """Delete what is in the trash for good, with the directories that it has left.

    Gives what could not be deleted: it is busy, or somebody else's.
    """
    left = []
    for item in items:
        with contextlib.suppress(OSError, StoreError):
            prefix = Path(records.read(Place(item).generation()).prefix)
            if store.places not in prefix.parents:
                prefix.rmdir()  # if it is still as it was left: empty
        try:
            if os.access(item, os.W_OK) and not item.name.startswith(_OLD):
                item = item.rename(item.with_name(f"{_OLD}{item.name}"))  # nobody brings it back
            discard(item)
        except OSError:
            left.append(item)
    # An empty place is one that was uninstalled, or whose making was given up. While what was there
    # is in the trash, programs may have its image mounted on it.
    kept = {item.name.removeprefix(_OLD).rpartition("-")[0] for item in store.trash.glob("*")}
    empty = (place for place in store.places.glob("*/*") if _name(place) not in kept)
    for folder in (*empty, *store.places.glob("*")):
        with contextlib.suppress(OSError):  # rmdir removes only what is empty
            folder.rmdir()
    return left

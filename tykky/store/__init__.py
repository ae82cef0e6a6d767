"""The store: every place under one root, and the database that lists them.

::

    <root>/store/<name>/<version><suffix>/    the places (see :mod:`tykky.store.place`)
    <root>/db/<name>/<version><suffix>.json   one short JSON entry for each
    <root>/modules/                           the modulefiles (may lie elsewhere)
    <root>/trash/                             what was uninstalled and may still be in use

What the classic commands made lies where its user wanted it, and has an entry here as well.
Readers take no lock: every file appears by a rename. Writers are kept apart by a lock in the
place, its *claim*.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import Exit, StoreError, did_you_mean, explained
from tykky.files import Permissions, is_folder, make_folder, usual_mode, write_file
from tykky.host import owner_of
from tykky.spec import is_path
from tykky.store import record as records
from tykky.store.listing import listing
from tykky.store.place import HIDDEN, Place
from tykky.store.record import Entry, NewerFormat, Record
from tykky.store.state import Marks

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.spec import Spec

__all__ = ["HIDDEN", "Entry", "NewerFormat", "Permissions", "Place", "Record", "Store"]


class Store:
    """The places under one root folder."""

    def __init__(
        self,
        root: Path,
        permissions: Permissions | None = None,
        cache: Path | None = None,
        name: str = "",
    ) -> None:
        self.root = root
        self.cache = cache
        #: What the configuration calls the root, if anything.
        self.name = name
        #: The stores of the other roots in which installs are looked for, only to be read.
        self.others: list[Store] = []
        self.permissions = permissions or Permissions()
        self.places = root / "store"
        self.database = root / "db"
        self.trash = root / "trash"
        #: Messages about entries that could not be read, filled by ``entries``.
        self.unreadable: list[str] = []

    @classmethod
    def of(cls, config: Config) -> Store:
        """The store that the configuration names, with those of its other roots."""
        wanted = config.permissions
        names = {path: name for name, path in reversed(config.roots)}
        store = cls(
            config.root,
            Permissions(
                # Whoever makes it needs it, whatever is said.
                folder=(int(wanted.dir_mode, 8) if wanted.dir_mode else usual_mode(0o777)) | 0o700,
                file=(int(wanted.file_mode, 8) if wanted.file_mode else usual_mode(0o666)) | 0o600,
                group=wanted.group,
                setgid=wanted.setgid,
                chosen=bool(wanted.file_mode),
                module_group=wanted.module_group,
                restricted=dict(wanted.restricted),
            ),
            cache=config.cache_dir,
            name=names.pop(config.root, ""),
        )
        store.others = [
            cls(path, None, config.cache_dir, name)
            for name, path in config.roots
            if names.get(path) == name
        ]
        return store

    @property
    def title(self) -> str:
        """What people know the root by."""
        return f"{self.name} ({self.root})" if self.name else str(self.root)

    def place(self, name: str, version: str) -> Place:
        """Where the stack of a module lives, or would live; ``version`` with its suffix."""
        return Place(self.places / name / version)

    def prepare(self) -> None:
        """Make the store's folders. Raises ``TykkyError`` if they cannot be written to."""
        with explained(f"use {self.root} as the root of the installs"):
            for folder in (self.places, self.database, self.trash):
                make_folder(folder, self.permissions)
        for folder in (self.places, self.database):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StoreError(
                    f"you may not change what is in {self.root}: {folder} is not writable",
                    remedy="choose a root of your own (--root DIR, 'tykky config set root DIR'), "
                    f"or ask {owner_of(folder)}, whose it is",
                    code=Exit.NOT_WRITABLE,
                )

    # -- reading ---------------------------------------------------------------------

    def entries(self, name: str = "") -> list[Entry]:
        """What is installed, of one name or all, sorted by name and version.

        An entry that cannot be read is left out and told of in ``unreadable``.
        """
        found, self.unreadable = listing(self.database, self.cache, name)
        return [entry for entry in found if self._is_there(entry)]

    def open_entries(self) -> list[Entry]:
        """What is installed, but for what is closed to whoever asks."""
        return [entry for entry in self.entries() if not Place(Path(entry.prefix)).is_closed]

    def _is_there(self, entry: Entry) -> bool:
        """Whether an entry speaks of a place of this root, or of one that still exists."""
        if entry.prefix == f"{self.places}/{entry.name}/{entry.version}{entry.suffix}":
            return True
        own = self.place(entry.name, f"{entry.version}{entry.suffix}").prefix
        if Path(entry.prefix).parts[-3:] == own.parts[-3:]:
            with contextlib.suppress(OSError):
                if own.samefile(entry.prefix):
                    return True
            if is_folder(own) or is_folder(Path(entry.prefix, HIDDEN)):  # another root acts on that
                copy = f"{own} is a copy of {entry.prefix}; install it anew in {self.root}, "
                copy += f"or 'tykky relocate {own}'"
                self.unreadable.append(copy)
            return False
        return is_folder(Path(entry.prefix, HIDDEN))  # outside, where its owner may delete it

    def match(self, spec: Spec | None) -> list[Entry]:
        """What a spec covers of what is installed: all of its name, or of its version.

        An exact version is exact: 2.0 covers 2.0.1 only where there is no 2.0.
        """
        from tykky.recipe import Version

        if spec is None:
            return self.entries()
        found = [
            entry
            for entry in self.entries(spec.name)
            if (
                spec.version is None
                or f"{entry.version}{entry.suffix}" == spec.version
                or Version(entry.version).matches(spec.version)
            )
            and all(entry.choices.get(key) == value for key, value in spec.choices.items())
        ]
        exact = [e for e in found if spec.version in (e.version, f"{e.version}{e.suffix}")]
        return exact or found

    def one(self, words: str) -> Entry:
        """The single install that a user means: a spec, a module name, or a path.

        Raises ``StoreError`` if there is none, or more than one.
        """
        found = self.meant(words)
        if not found:
            from tykky.store import roots

            others = [] if is_path(words) else self._meant(words)[1]
            names = sorted(path.name for path in self.database.glob("[!.]*"))
            hint = did_you_mean(words, [name for name in names if name not in words])
            if others:
                hint = f"there is {', '.join(entry.module for entry in others)};"
            if self.unreadable:
                hint = f"{self.unreadable[0]};"
            nor, known = roots.beyond(self, words)
            hint = f"{known};" if known else hint
            raise StoreError(
                f"'{words}' is not installed in {self.root}{nor}",
                remedy=f"{hint} 'tykky find' lists what is".strip(),
            )
        if len(found) > 1:
            ways = [e.module if e.module != found[0].module else e.prefix for e in found[1:]]
            first = found[0].prefix if found[0].prefix and ways[0] != found[1].module else ""
            raise StoreError(
                f"'{words}' could be any of {len(found)} installs",
                remedy="say which: " + ", ".join([first or found[0].module, *ways]),
                code=Exit.CONFLICT,
            )
        return found[0]

    def meant(self, words: str) -> list[Entry]:
        """The installs that the words of ``one`` may mean. Raises ``TykkyError``."""
        if not is_path(words):
            return self._meant(words)[0]
        path = os.path.realpath(words)
        found = [e for e in self.entries() if os.path.realpath(e.prefix) == path]
        with contextlib.suppress(StoreError):  # one of a user's own that has been moved
            record = Place(Path(path)).record()
            found = found or ([] if record.has_module else [record.entry()])
        return found

    def _meant(self, words: str) -> tuple[list[Entry], list[Entry]]:
        """The installs that a module name or a spec means, and others of that name.

        A bare name means any install of it if there is no plain one. A name with a version, but
        without a choice, never means a variant: it is the module name of another stack, which
        'uninstall' must not replace by one that is left. An exact version is exact.
        """
        from tykky import spec as specs

        wanted = specs.parse_one([words])
        found = self.match(wanted)
        module = [entry for entry in found if entry.module == words]
        plain = [entry for entry in found if wanted.choices or not entry.suffix]
        exact = [entry for entry in plain if entry.version == wanted.version]
        any_of_name = found if wanted.version is None else []
        return module or exact or plain or any_of_name, found or self.entries(wanted.name)

    def generation(self, words: str) -> Record:
        """The generation that a user means: an install as for ``one``, perhaps with ``#N``.

        Without a number it is the current one. Raises ``StoreError``.
        """
        name, sharp, number = words.partition("#")
        place = Place(Path(self.one(name).prefix))
        place.check_open()
        if not sharp or (number.isdecimal() and int(number) in place.numbers):
            return place.record(int(number or 0))
        known = ", ".join(f"#{each}" for each in place.numbers)
        raise StoreError(
            f"{name} has no generation #{number}",
            remedy=f"it has {known}; 'tykky history {name}' tells about them",
        )

    def record(self, entry: Entry) -> Record:
        """The record of the current generation of an install. Raises ``StoreError``."""
        return Place(Path(entry.prefix)).record()

    def records(self, without: Collection[tuple[Path, int]] = ()) -> Iterator[Record]:
        """The records of all generations, also of what is in the trash. Raises ``StoreError``.

        ``without`` are places and generations of them that are left out; 0 is all of one.
        """
        thrown = self.trash.glob("[!.]*")
        for prefix in (*(Path(entry.prefix) for entry in self.entries()), *thrown):
            place = Place(prefix)
            if (prefix, 0) in without:
                continue
            place.check_open()
            for number in place.numbers:
                if (prefix, number) not in without:
                    yield place.record(number)

    def check_outside(self, prefix: Path) -> None:
        """Raise ``StoreError`` if this process runs inside the stack at ``prefix``.

        There the image lies over the prefix: its record cannot be seen, nor anything changed.
        """
        try:
            inside = prefix.stat().st_dev != prefix.parent.stat().st_dev
        except OSError:
            return
        if inside and not is_folder(prefix / HIDDEN):
            raise StoreError(
                f"this runs inside the stack {prefix}, from where it cannot be changed",
                remedy="run it in a shell that was not started by a command of the stack",
                code=Exit.CONFLICT,
            )

    def dependents(self, entry: Entry, number: int = 0) -> dict[str, str]:
        """The generations of other installs that need this one, or this generation of it.

        Their titles, and the prefix of each; also of those whose records are damaged. Of what is
        closed, only the current one is known.
        """
        from tykky.store import roots

        prefix = os.path.realpath(entry.prefix)
        found: dict[str, str] = {}
        known = [("", e) for e in self.entries()]
        known += [(f" in {store.title}", e) for store, e in roots.elsewhere(self)]
        for beyond, other in known:
            place = Place(Path(other.prefix))
            needs = {record.generation: record.needs for record in place.records()}
            if place.is_closed:
                needs[other.generation] = other.needs
            for each in {*place.numbers, *needs}:
                for need in (*place.needs(each), *needs.get(each, ())):
                    where, _, which = need.rpartition("#")
                    if os.path.realpath(where) == prefix and str(number) in ("0", which):
                        found[f"{other.module}#{each}{beyond}"] = other.prefix
        return found

    # -- writing ---------------------------------------------------------------------

    @contextlib.contextmanager
    def claim(
        self, prefix: Path, what: str, waiting: Callable[[str], None], *, wait: bool = True
    ) -> Iterator[bool]:
        """Hold the lock of a place while changing ``what`` is there; see ``claims.claim``."""
        from tykky.store import claims  # only writers wait for what it imports

        place = Place(prefix)
        place.check_open()
        with claims.claim(place, what, waiting, self.permissions, wait=wait) as held:
            if held or wait:
                self._restrict(place)
            yield held

    def _restrict(self, place: Place) -> None:
        """Open a place to a group only, if that is wanted, before anything is in it."""
        module = f"{place.prefix.parent.name}/{place.prefix.name}"
        if self.permissions.only_for(module) and self.places in place.prefix.parents:
            make_folder(place.prefix / "bin", self.permissions)  # which passes nothing on
            if place.prefix.stat().st_uid == os.geteuid():
                self.permissions.of_prefix(module).apply(place.prefix)

    def settle(self, record: Record) -> None:
        """Give what is one's own of an install what the site wants now; hold its claim.

        What was for a group and is so no more gets what its hidden folder has. Raises ``OSError``.
        """
        place = Place(Path(record.prefix))
        for path in (*place.prefix.iterdir(), self.entry_path(record).parent):
            self.permissions.apply_again(path)
        now, wanted = place.prefix.stat(), place.hidden.stat()
        other = now.st_gid != wanted.st_gid
        if self.permissions.only_for(record.module) or now.st_uid != os.geteuid():
            return
        if self.permissions.chosen or other:  # else somebody may have closed it by hand
            if other:
                os.chown(place.prefix, -1, wanted.st_gid)
            place.prefix.chmod(stat.S_IMODE(wanted.st_mode))

    def entry_path(self, entry: Entry) -> Path:
        """Where the entry of a place is."""
        version = f"{entry.version}{entry.suffix}"
        own = str(self.place(entry.name, version).prefix)
        if os.path.realpath(entry.prefix) == os.path.realpath(own):
            return self.database / entry.name / f"{version}.json"
        mark = hashlib.sha256(os.fsencode(entry.prefix)).hexdigest()[:8]
        return self.database / entry.name / f"{version}-{mark}.json"

    def is_entered(self, record: Record) -> bool:
        """Whether the database has this generation as its record says it."""
        try:
            path = self.entry_path(record)
            known = records.read_entry(path)
            known = known if known.arch else replace(known, arch=record.arch)  # of an older Tykky
            return not path.is_symlink() and known == record.entry()
        except StoreError:
            return False

    def entered_marks(self, entry: Entry) -> Marks:
        """What the database knows to be decided about a version; nothing, if it knows nothing."""
        try:
            return records.read_entry(self.entry_path(entry)).marks
        except StoreError:
            return {}

    def check_entry(self, record: Record) -> None:
        """Raise ``NewerFormat`` if a newer Tykky has entered this place in the database."""
        try:
            records.read_entry(self.entry_path(record))
        except NewerFormat:
            raise
        except StoreError:
            pass

    def enter(self, record: Record) -> None:
        """Put a place into the database (again). Hold its claim. Raises ``TykkyError``."""
        path = self.entry_path(record)
        self.check_entry(record)
        if self.is_entered(record):
            return
        with explained(f"enter {record.module} in the database"):
            make_folder(path.parent, self.permissions)
            self._touch()
            write_file(path, records.render(record.entry()), self.permissions)
            self._touch()

    def forget(self, entry: Entry) -> None:
        """Take a place out of the database. Raises ``OSError``."""
        path = self.entry_path(entry)
        self._touch()
        path.unlink(missing_ok=True)
        self._touch()
        if not any(path.parent.glob("[!.]*")):  # the last version takes the name with it
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def _touch(self) -> None:
        """Let readers see that the listing they have kept is too old."""
        with contextlib.suppress(PermissionError):
            os.utime(self.database)

"""The store: every install under one root, and the database that lists them.

::

    <root>/store/<name>/<version>-<hash8>/   the prefixes
    <root>/db/                               one short JSON entry for each install
    <root>/modules/                          the modulefiles (may lie elsewhere)
    <root>/locks/                            one lock for each install being made
    <root>/trash/                            what was uninstalled and may still be in use

Readers take no lock: every file appears by a rename. Writers of one install are kept
apart by a lock named after its hash.

Public names: ``Store``, and from its modules ``Record``, ``Entry``, ``Permissions``.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import Exit, StoreError, did_you_mean, from_os_error
from tykky.files import Permissions, make_folder, write_file
from tykky.host import host_name, owner_of, user_name
from tykky.store import record as records
from tykky.store.listing import listing
from tykky.store.record import HIDDEN, Entry, Record

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.spec import Spec
    from tykky.store.locks import Lock

__all__ = ["HIDDEN", "Entry", "Permissions", "Record", "Store"]


class Store:
    """The installs under one root folder."""

    def __init__(
        self, root: Path, permissions: Permissions | None = None, cache: Path | None = None
    ) -> None:
        self.root = root
        self.cache = cache
        self.permissions = permissions or Permissions()
        self.prefixes = root / "store"
        self.database = root / "db"
        self.locks = root / "locks"
        self.trash = root / "trash"
        #: Messages about entries that could not be read, filled by ``entries``.
        self.unreadable: list[str] = []

    @classmethod
    def of(cls, config: Config) -> Store:
        """The store that the configuration names."""
        wanted = config.permissions
        umask = os.umask(0o022)
        os.umask(umask)
        return cls(
            config.root,
            Permissions(
                folder=int(wanted.dir_mode, 8) if wanted.dir_mode else 0o777 & ~umask,
                file=int(wanted.file_mode, 8) if wanted.file_mode else 0o666 & ~umask,
                group=wanted.group,
                setgid=wanted.setgid,
            ),
            cache=config.cache_dir,
        )

    def prefix(self, name: str, version: str, digest: str) -> Path:
        """Where an install of this hash lives, or would live."""
        return self.prefixes / name / f"{version}-{digest[:8]}"

    def prepare(self) -> None:
        """Make the store's folders. Raises ``TykkyError`` if they cannot be written to."""
        try:
            for folder in (self.prefixes, self.database, self.locks, self.trash):
                make_folder(folder, self.permissions)
        except OSError as error:
            raise from_os_error(error, f"use {self.root} as the root of the installs") from error
        for folder in (self.prefixes, self.database, self.locks):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StoreError(
                    f"you may not change what is in {self.root}: {folder} is not writable",
                    remedy="choose a root of your own (--root DIR, 'tykky config set root DIR'), "
                    f"or ask {owner_of(folder)}, whose it is",
                    code=Exit.NOT_WRITABLE,
                )

    # -- reading ---------------------------------------------------------------------

    def entries(self, name: str = "") -> list[Entry]:
        """The installs, of one name or all, sorted by name and version.

        An entry that cannot be read is left out and told of in ``unreadable``.
        """
        found = listing(self.database, self.cache, name)
        self.unreadable = found.unreadable
        from tykky.recipe import Version

        there = [entry for entry in found.entries if self._is_there(entry)]
        return sorted(there, key=lambda e: (e.name, Version(e.version), e.suffix, e.hash))

    def _is_there(self, entry: Entry) -> bool:
        """Whether an install outside of the store, which its owner may delete, still exists."""
        if entry.prefix.startswith(f"{self.prefixes}/"):
            return True
        return os.path.exists(f"{entry.prefix}/{HIDDEN}/record.json")  # noqa: PTH110 - often

    def match(self, spec: Spec | None) -> list[Entry]:
        """The installs that a spec covers: all of its name, or those of its version."""
        from tykky.recipe import Version

        if spec is None:
            return self.entries()
        return [
            entry
            for entry in self.entries(spec.name)
            if (
                spec.version is None
                or f"{entry.version}{entry.suffix}" == spec.version
                or Version(entry.version).matches(spec.version)
            )
            and all(entry.choices.get(key) == value for key, value in spec.choices.items())
        ]

    def one(self, words: str) -> Entry:
        """The single install that a user means: a spec, a module name, or a hash.

        Raises ``StoreError`` if there is none, or more than one.
        """
        found: list[Entry] = []
        others: list[Entry] = []
        if re.fullmatch("/?[0-9a-f]{6,64}", words):
            found = listing(self.database, None, digest=words.lstrip("/")).entries
        if not found:
            found, others = self._meant(words)
        if not found:
            names = sorted(path.name for path in self.prefixes.glob("*"))
            hint = did_you_mean(words, [name for name in names if name not in words])
            if self.unreadable:
                hint = "part of the database is damaged: 'tykky reindex' mends it;"
            if others:
                hint = f"there is {', '.join(entry.module for entry in others)};"
            raise StoreError(
                f"'{words}' is not installed in {self.root}",
                remedy=f"{hint} 'tykky find' lists what is".strip(),
            )
        if len(found) > 1:
            raise StoreError(
                f"'{words}' could be any of {len(found)} installs",
                remedy="say which: " + ", ".join(f"{e.module} ({e.short_hash})" for e in found),
                code=Exit.CONFLICT,
            )
        return found[0]

    def _meant(self, words: str) -> tuple[list[Entry], list[Entry]]:
        """The installs that a module name or a spec means, and others of that name.

        A bare name means any install of it if there is no plain one. A name with a version, but
        without a choice, never means a variant: it is the module name of another stack, which
        'uninstall' must not replace by one that is left.
        """
        from tykky import spec as specs

        wanted = specs.parse_one([words])
        found = self.match(wanted)
        exact = [entry for entry in found if entry.module == words]
        plain = [entry for entry in found if wanted.choices or not entry.suffix]
        any_of_name = found if wanted.version is None else []
        return exact or plain or any_of_name, found or self.entries(wanted.name)

    def record(self, entry: Entry) -> Record:
        """The whole record of an install. Raises ``StoreError``."""
        return records.read(Path(entry.prefix))

    def committed(self, prefix: Path) -> Record | None:
        """The record at ``prefix`` if there is a whole install, else ``None``."""
        try:
            return records.read(prefix)
        except StoreError as error:
            if error.code == Exit.DAMAGED:
                raise
            return None

    def check_outside(self, prefix: Path) -> None:
        """Raise ``StoreError`` if this process runs inside the stack at ``prefix``.

        There the image lies over the prefix: its record cannot be seen, nor anything changed.
        """
        try:
            inside = prefix.stat().st_dev != prefix.parent.stat().st_dev
        except OSError:
            return
        if inside:
            raise StoreError(
                f"this runs inside the stack {prefix}, from where it cannot be changed",
                remedy="run it in a shell that was not started by a command of the stack",
                code=Exit.CONFLICT,
            )

    def check_removable(self, prefix: Path) -> None:
        """Raise ``StoreError`` if ``prefix`` cannot be moved into the trash."""
        self.check_outside(prefix)
        if prefix.is_dir() and self.trash.is_dir():
            self._check_same_disk(prefix)
        for folder in (prefix.parent, prefix, prefix / HIDDEN, self.database, self.trash):
            if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
                raise StoreError(
                    f"you may not uninstall {prefix}: {folder} is not writable",
                    remedy="ask its owner, whom 'ls -ld' shows, to do it",
                    code=Exit.NOT_WRITABLE,
                )

    def _check_same_disk(self, prefix: Path) -> None:
        if prefix.stat().st_dev != self.trash.stat().st_dev:
            raise StoreError(
                f"{prefix} is on another disk than the trash of {self.root}, so it cannot be kept "
                "for what still runs from it",
                remedy=f"when nothing runs from it any more, delete it: rm -r '{prefix}'",
                code=Exit.CONFLICT,
            )

    # -- writing ---------------------------------------------------------------------

    @contextlib.contextmanager
    def claim(self, key: str, what: str, waiting: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock ``key`` while making ``what``.

        The owner is written beside the lock; ``waiting`` is called once, with a sentence
        that names it, if somebody else holds it. The kernel drops the lock of a process
        that dies, so a lock never has to be removed by hand.
        """
        from filelock import Timeout

        self.prepare()
        lock = self.lock(key)
        owner = self.locks / f"{key}.owner"
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting(f"{what} is being made by {_owner(owner)}; waiting")
                lock.acquire(poll_interval=0.2)
        except OSError as error:
            raise from_os_error(error, f"take the lock for {what}") from error
        try:
            write_file(owner, _self().encode(), self.permissions, durable=False)
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def lock(self, key: str) -> Lock:
        """The lock of that name, not yet held."""
        from tykky.store.locks import Lock

        # Who may make installs here may take the lock, whoever made its file.
        return Lock(self.locks / f"{key}.lock", mode=self.permissions.folder & 0o666)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold the lock for what all versions of one name share; for moments only."""
        self.prepare()
        try:
            with self.lock(f"name-{name}"):
                yield
        except OSError as error:
            raise from_os_error(error, f"take the lock for {name}") from error

    def commit(self, record: Record) -> None:
        """Write the record: from here on the install exists. Then enter it in the database."""
        write_file(record.hidden / "record.json", records.render(record), self.permissions)
        self.enter(record)

    def is_entered(self, record: Record) -> bool:
        """Whether the database has this install as its record says it."""
        try:
            return records.read_entry(self.database / record.file_name) == record.entry()
        except StoreError:
            return False

    def enter(self, record: Record) -> None:
        """Put a committed install into the database (again)."""
        path = self.database / record.file_name
        write_file(path, records.render(record.entry()), self.permissions)

    def dependents(self, entry: Entry) -> list[Entry]:
        """The installs that need this one."""
        return [other for other in self.entries() if entry.hash in other.needs]


def _self() -> str:
    """Who this process is, for those who wait for it."""
    job = os.environ.get("SLURM_JOB_ID")
    place = f"on {host_name()}, process {os.getpid()}" + (f", job {job}" if job else "")
    return f"{user_name()} {place}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:300].replace("\n", " ")
    except OSError:
        return "another process"

"""Looking through installs: is all there, and as it was written?"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.files import Permissions, digest_file
from tykky.runtime.base import CONF_NAME, CURRENT, GENERATIONS, IMAGES, LAUNCHER_NAME
from tykky.store import claims, signatures, state, written
from tykky.store import record as records
from tykky.store.place import HIDDEN, KERNELS, Place, is_image, is_launcher, missing
from tykky.store.record import NewerFormat
from tykky.store.written import Checker, Fault, removing

if TYPE_CHECKING:
    from tykky.store import Record

#: What Tykky has in a place; the last two are there while somebody changes it, or after it.
_OWN = (LAUNCHER_NAME, CURRENT, GENERATIONS, IMAGES, KERNELS, state.NAME, f"{state.NAME}.damaged")
_PASSING = ("lock", "owner")
#: What of a generation its record has no note of, or is looked at by itself.
_APART = (records.NAME, CONF_NAME, signatures.NAME)


@dataclass(frozen=True)
class Inspector:
    """Looks through installs, and reads no image twice."""

    permissions: Permissions
    _sums: dict[tuple[int, int], str] = field(default_factory=dict)

    def sum(self, path: Path) -> str:
        """The sha256 of a file, read once whatever its names are. Raises ``OSError``."""
        status = path.stat()
        key = status.st_dev, status.st_ino
        if key not in self._sums:
            self._sums[key] = digest_file(path)
        return self._sums[key]

    def read(self, paths: Collection[Path], jobs: int, tell: Callable[[int, int], None]) -> None:
        """Read files ahead, several at once; ``tell`` is given the bytes so far, and of all."""
        sizes: dict[tuple[int, int], tuple[Path, int]] = {}
        for path in paths:
            with contextlib.suppress(OSError):  # which is found when it is looked at
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    sizes[status.st_dev, status.st_ino] = path, status.st_size
        total, done = sum(size for _, size in sizes.values()), 0

        def read(path: Path) -> None:
            with contextlib.suppress(OSError):
                self.sum(path)

        with ThreadPoolExecutor(max(1, jobs)) as pool:
            work = {pool.submit(read, path): size for path, size in sizes.values()}
            try:
                for each in as_completed(work):
                    done += work[each]
                    tell(done, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def generation(self, record: Record) -> Iterator[Fault]:
        """What of a generation is not as it was written; reads all its images."""
        place = Place(Path(record.prefix))
        folder, names = place.generation(record.generation), Names.of(record, place)
        checker = self._checker(place)
        try:
            place.check_format(record.generation)
        except NewerFormat as error:
            yield Fault(folder, f"is of a newer Tykky: {error.cause}", error.remedy)
            return
        if original := place.original(record.generation):
            wrong = f"is a copy of what was made at {original}, and works only there"
            anew = f"'tykky relocate {shlex.quote(record.prefix)}' lets it work here"
            again = anew if record.generation == place.current else names.again
            yield Fault(folder, wrong, again)
        noted = state.notes(place)
        for path in (folder, folder / records.NAME):
            yield from self._noted(checker, place, path, noted, names.again)
        notes = {name: text for name, text in record.notes.items() if written.is_note(text)}
        if noted_as := notes.pop(CONF_NAME, ""):
            yield from checker.file(folder / CONF_NAME, noted_as, names.entered)
        elif not (folder / CONF_NAME).is_file():
            yield Fault(folder / CONF_NAME, "is missing", names.entered)
        yield from checker.tree(folder, notes, names.again, _APART)
        for image in record.images:  # programs of a container need no image of their own
            yield from self._image(place, image["file"], image["sha256"], image["bytes"], names)
        for need in record.needs:
            yield from self._need(record, need, names)

    def _noted(
        self, checker: Checker, place: Place, path: Path, notes: Mapping[str, str], remedy: str
    ) -> Iterator[Fault]:
        if noted := notes.get(str(path.relative_to(place.prefix))):
            yield from checker.file(path, noted, remedy)
        elif path.exists():
            yield from checker.mode(path)

    def _image(
        self, place: Place, name: str, digest: str, size: int, names: Names
    ) -> Iterator[Fault]:
        path = place.images / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            yield Fault(path, "is not the file that it was", names.image)
            return
        try:
            if not is_image(path, size) or self.sum(path) != digest:
                there = path.exists()
                wrong = "is not what was installed" if there else "is missing"
                yield Fault(path, f"{wrong}; it is an image", names.image)
        except OSError as error:
            opened = f"'chmod a+r {shlex.quote(str(path))}'"
            yield Fault(path, f"cannot be read: {error.strerror}", opened)

    def _need(self, record: Record, need: str, names: Names) -> Iterator[Fault]:
        prefix, _, number = need.rpartition("#")
        path = Place(Path(prefix)).generation(int(number))
        if Place(Path(prefix)).is_closed:
            return
        if missing(record) == need:
            wrong = f"is not there, or not what it was; {record.title} needs it"
            yield Fault(path, wrong, names.again)
            return
        for fault in self.generation(Place(Path(prefix)).record(int(number))):
            yield Fault(fault.path, f"{fault.wrong}; {record.title} needs it", fault.remedy)

    def place(self, record: Record) -> Iterator[Fault]:
        """What of the rest of a place is not as it was written; the record is the current one."""
        place = Place(Path(record.prefix))
        names, noted, checker = Names.of(record, place), state.notes(place), self._checker(place)
        every = place.records() if record.has_module else [record]
        for name in ("bin", HIDDEN, f"{HIDDEN}/{GENERATIONS}", f"{HIDDEN}/{IMAGES}"):
            path, back = place.prefix / name, names.refresh
            if path.is_symlink():  # which what it leads to must not be written over
                back = f"{removing(path)}, then {back}"
            yield from self._noted(checker, place, path, noted, back)
        if record.has_module:
            yield from self._prefix(record, place, names)
        for file in sorted({file for each in every for file in each.files_of_images}):
            if (place.images / file).exists():
                key = f"{HIDDEN}/{IMAGES}/{file}"
                yield from checker.mode(place.images / file, noted.get(key, ""))
        yield from self._history(place, names)
        launcher = place.launcher
        if noted_as := noted.get(str(launcher.relative_to(place.prefix))):
            yield from checker.file(launcher, noted_as, names.refresh)
        elif not is_launcher(launcher):
            yield Fault(launcher, "is not the launcher", names.refresh)
        yield from self._commands(place, record, every, checker, names)
        if not _is_changing(place):
            yield from self._strange(place, record, names)

    def _prefix(self, record: Record, place: Place, names: Names) -> Iterator[Fault]:
        """Whether those may enter who are to, and nobody else."""
        site = self.permissions.of_prefix(record.module)
        yield from replace(self._checker(place), permissions=site).mode(place.prefix)
        if site.only_for(record.module) and place.prefix.stat().st_mode & 0o007:
            wrong = f"is open to everybody, and is to be for the group {site.group} only"
            yield Fault(place.prefix, wrong, names.refresh)

    def _checker(self, place: Place) -> Checker:
        known = [place.prefix, place.hidden, *map(place.generation, place.numbers)]
        owners = {path.stat().st_uid for path in known if path.exists()}
        return Checker(self.permissions, frozenset(owners))

    def _history(self, place: Place, names: Names) -> Iterator[Fault]:
        path, events = place.hidden / state.NAME, state.events(place)
        if not os.path.lexists(path):
            yield Fault(path, "is missing: nothing is known of its history", names.refresh)
        elif state.is_damaged(place):
            yield Fault(path, "cannot be understood: its history is damaged", names.refresh)
        elif not state.is_untouched(place):
            yield Fault(path, "is not what was written: its history was changed", names.refresh)
        elif not events or events[-1].generation != place.current:
            last = f"#{events[-1].generation}" if events else "nothing"
            wrong = f"leads to #{place.current}, and the history says {last}"
            remedy = f"{names.refresh} takes it as it is, or go back: tykky rollback {names.name}"
            yield Fault(place.hidden / CURRENT, wrong, remedy)
        if os.path.lexists(path):
            yield from self._checker(place).mode(path)

    def _commands(
        self, place: Place, record: Record, every: list[Record], checker: Checker, names: Names
    ) -> Iterator[Fault]:
        wanted = {name for each in every for name in each.commands} | {*record.commands}
        noted = state.notes(place).get(str(place.launcher.relative_to(place.prefix)), "")
        for name in sorted(wanted):
            path = place.prefix / "bin" / name
            if not os.path.lexists(path):
                yield Fault(path, "is missing", names.refresh)
            elif path.is_symlink() or not path.is_file():
                wrong = "a link" if path.is_symlink() else "no file"
                yield Fault(path, f"is {wrong}, and is not the launcher", names.refresh)
            elif not place.launcher.is_file():
                pass
            elif not path.samefile(place.launcher):  # a copy, where there are no hard links
                if digest_file(path) != digest_file(place.launcher):
                    yield Fault(path, "is not the launcher", names.refresh)
                yield from checker.mode(path, noted)
        there = (place.prefix / "bin").iterdir() if (place.prefix / "bin").is_dir() else ()
        for path in sorted(there):
            if path.name not in wanted and (record.has_module or is_launcher(path)):
                yield Fault(path, "is a command that no generation has", names.refresh)

    def _strange(self, place: Place, record: Record, names: Names) -> Iterator[Fault]:
        """What lies where only Tykky's own should."""
        wrong = "is nothing that Tykky has put there"
        for path in sorted(place.hidden.iterdir()):
            aside = path.name.startswith((".replaced", f"{CURRENT}."))  # by Tykky, not to lose it
            if path.name not in (*_OWN, *_PASSING) and not aside:
                left = path.name.startswith(".")
                yield Fault(path, wrong, names.refresh if left else removing(path))
        for path in sorted((place.hidden / GENERATIONS).iterdir()):
            if path.name.startswith(("new-", "old-")):
                yield Fault(path, "is what a killed change has left", names.refresh)
            elif not (path.is_dir() and re.fullmatch("[1-9][0-9]{0,8}", path.name)):
                yield Fault(path, wrong, removing(path))
        every = place.records()
        if len(every) == len(place.numbers) and place.images.is_dir():
            known = {file for each in every for file in each.files_of_images}
            for path in sorted(place.images.iterdir()):
                if path.name not in known:
                    yield Fault(path, "is an image that no generation has", names.refresh)
        for path in sorted(place.prefix.iterdir()) if record.has_module else ():
            if path.name not in ("bin", HIDDEN):
                yield Fault(path, wrong, removing(path))


@dataclass(frozen=True)
class Names:
    """What an install is called in commands, and what brings back what of one generation of it."""

    name: str
    again: str  # a file of the generation
    entered: str  # its launch file
    image: str

    @property
    def refresh(self) -> str:
        """What makes everything again that is derived from records."""
        return f"'tykky refresh {self.name}'"

    @classmethod
    def of(cls, record: Record, place: Place) -> Names:
        """For the generation of a record."""
        name = record.module if record.has_module else shlex.quote(record.prefix)
        gone = f"'tykky uninstall {name}#{record.generation}'"
        if record.generation != place.current:
            return cls(name, gone, gone, gone)
        refresh = f"'tykky refresh {name}', then {gone}"
        if not record.has_module:
            return cls(name, "make the installation anew", refresh, "make the installation anew")
        force = f"'tykky install --force {record.spec}'"
        return cls(name, f"{force}, then {gone}", refresh, force)


def _is_changing(place: Place) -> bool:
    """Whether somebody has the claim of a place, as far as a reader can tell."""
    try:
        lock = os.open(place.hidden / "lock", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return claims.is_held(place.hidden / "lock", place.hidden / "owner")
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False

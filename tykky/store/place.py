"""Places: where one module's stack lives for ever, in numbered generations.

::

    <prefix>/bin/NAME                     the launcher, under the name of every command
    <prefix>/.tykky/launch                the launcher
    <prefix>/.tykky/current -> generations/7
    <prefix>/.tykky/generations/7/        one complete state; written once, never changed
    <prefix>/.tykky/images/<sha256>.sqfs  shared between generations
    <prefix>/.tykky/state.json            what was done with it, by whom, and when
    <prefix>/.tykky/lock                  held by who changes it

A generation is written as a *draft* under another name, and renamed to its number: that is the
commit. Which one counts is decided by ``current``, replaced by one rename. Readers need no lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tykky.errors import Exit, StoreError, explained
from tykky.files import (
    BUSY,
    Permissions,
    check_writable,
    discard,
    is_folder,
    make_folder,
    read_small,
    sync,
    text_at,
    walk,
    write_file,
)
from tykky.host import group_of
from tykky.runtime.base import (
    CONF_DIRECTORY,
    CONF_FORMAT,
    CONF_NAME,
    CURRENT,
    GENERATIONS,
    IMAGES,
    LAUNCHER_NAME,
)
from tykky.store import record as records
from tykky.store import signatures, state, written
from tykky.store.record import NewerFormat, Record

#: The folder of a place that is Tykky's own; everything else is the user's view.
HIDDEN = CONF_DIRECTORY
#: What it has noted of the kernels that were made of it, see :mod:`tykky.publish.kernels`.
KERNELS = "kernels.json"
#: What a generation is called before it has a number, and while it is deleted.
_DRAFT, _GONE = "new-", "old-"
_NUMBER = re.compile("[1-9][0-9]{0,8}")


class Closed(StoreError):
    """An install that is for a group which whoever asks is no member of."""

    def __init__(self, prefix: Path) -> None:
        cause = f"{prefix} is closed to you: it is for members of the group '{group_of(prefix)}'"
        super().__init__(cause, remedy="ask to become one", code=Exit.NOT_WRITABLE)


@dataclass(frozen=True)
class Place:
    """The directory of one module's stack; for the classic commands, the prefix they are given."""

    prefix: Path

    @property
    def hidden(self) -> Path:
        """What is Tykky's own."""
        return self.prefix / HIDDEN

    @property
    def images(self) -> Path:
        """The images of all generations."""
        return self.hidden / IMAGES

    @property
    def launcher(self) -> Path:
        """The launcher, of which every command is another name."""
        return self.hidden / LAUNCHER_NAME

    @property
    def is_closed(self) -> bool:
        """Whether there is one of somebody else's that whoever asks may not look into."""
        seen = is_folder(self.prefix) and not os.access(self.prefix, os.X_OK)
        return seen and self.prefix.stat().st_uid != os.geteuid()

    def check_open(self) -> None:
        """Raise ``Closed`` if nothing of it can be seen."""
        if self.is_closed:
            raise Closed(self.prefix)

    @property
    def current(self) -> int:
        """The number of the generation that counts; 0 if there is none."""
        with contextlib.suppress(OSError):
            folder, _, word = str((self.hidden / CURRENT).readlink()).rpartition("/")
            known = folder == GENERATIONS and _NUMBER.fullmatch(word)
            if known and (self.hidden / GENERATIONS / word).is_dir():
                return int(word)
        return 0

    @property
    def numbers(self) -> list[int]:
        """The numbers of all generations, in order."""
        with contextlib.suppress(OSError), os.scandir(self.hidden / GENERATIONS) as there:
            return sorted(int(e.name) for e in there if _NUMBER.fullmatch(e.name) and e.is_dir())
        return []

    @property
    def is_lost(self) -> bool:
        """Whether it was an install, and no generation counts: images may be all that is left.

        A cleaner may have taken the rest, perhaps all but folders, or somebody by mistake. A build
        that was killed, and whose images nothing speaks of, has left none of what tells this.
        """
        try:
            if self.current or not any(self.images.glob("*")):
                return False
            told = [self.hidden / CURRENT, self.hidden / state.NAME]
            emptied = any(not (self.generation(n) / records.NAME).exists() for n in self.numbers)
            commands = self.prefix.glob("bin/*")
            return emptied or any(map(os.path.lexists, told)) or any(map(is_launcher, commands))
        except OSError:  # nobody knows: what cannot be looked at is left alone
            return not self.numbers

    def generation(self, number: int = 0) -> Path:
        """The folder of one generation; of the current one without a number."""
        return self.hidden / GENERATIONS / str(number or self.current)

    def record(self, number: int = 0) -> Record:
        """The record of a generation, the current one without a number. Raises ``StoreError``."""
        self.check_open()
        number = number or self.current
        if not number:
            remedy = "'tykky doctor --store --fix' makes it again from its image"
            cause = f"there is no install at {self.prefix}"
            raise StoreError(cause, remedy=remedy if self.is_lost else "")
        record = records.read(self.generation(number), missing=f"{self.prefix} has no #{number}")
        if not record.has_module:  # made by a classic command, and perhaps moved or copied since
            name = records.name_of(self.prefix)
            record = replace(record, name=name, module=f"{name}/1")
        # Where it lies and which it is, is known from where it was found, wherever it was made.
        marks = state.marks(self)
        return replace(record, prefix=str(self.prefix), generation=number, marks=marks)

    def original(self, number: int = 0) -> str:
        """Where a generation was made, if that is elsewhere and it cannot be moved, or nothing.

        Raises ``StoreError``.
        """
        record = records.read(self.generation(number))
        if record.prefix == str(self.prefix) or record.launch.get("relocatable"):
            return ""
        with contextlib.suppress(OSError):  # the same through another link
            return "" if self.prefix.samefile(record.prefix) else record.prefix
        return record.prefix

    def records(self) -> list[Record]:
        """The records of all generations that can be read."""
        found = []
        for number in self.numbers:
            with contextlib.suppress(StoreError):
                found.append(self.record(number))
        return found

    def needs(self, number: int) -> list[str]:
        """The generations of other places that one mounts, ``<prefix>#<number>``.

        As the launcher is told, so that it is known also of what has no readable record.
        """
        lines = text_at(self.generation(number) / CONF_NAME).splitlines()
        words = [line.split() for line in lines if line.startswith("need ")]
        whole = [line for line in words if len(line) in (3, 4) and _NUMBER.fullmatch(line[2])]
        return [f"{unescaped(line[1])}#{line[2]}" for line in whole]

    def check_formats(self) -> None:
        """Raise ``NewerFormat`` if a newer Tykky has written here: nothing is touched then."""
        state.events(self)
        for number in self.numbers:
            self.check_format(number)

    def check_format(self, number: int) -> None:
        """Raise ``NewerFormat`` if a newer Tykky has made this generation."""
        try:
            self.record(number)
        except NewerFormat:
            raise
        except StoreError:
            pass
        path = self.generation(number) / CONF_NAME
        found = re.search(r"^format ([0-9]{1,9})$", text_at(path)[:4096], re.M)
        if found and int(found[1]) > CONF_FORMAT:
            raise NewerFormat(path, int(found[1]))


def missing(record: Record) -> str:
    """The first of what a generation needs that is not there, or not what it was; or nothing.

    What is a layer on the first of them lies on the topmost image that it had.
    """
    parent = record.images[0].get("parent") if record.images else None
    known: dict[str, str] = {}
    with contextlib.suppress(KeyError, TypeError, ValueError):
        pairs = zip(record.launch["needs"], record.launch["needed_images"], strict=True)
        known = {f"{prefix}#{number}": images for (prefix, number), images in pairs}
    for need in record.needs:
        prefix, _, number = need.rpartition("#")
        if Place(Path(prefix)).is_closed:  # nobody knows better
            continue
        try:
            found = records.read(Place(Path(prefix)).hidden / GENERATIONS / number)
        except StoreError:
            return need
        if found.build != record.needed.get(need, found.build):
            return need
        if parent and need == record.needs[0] and found.images[-1]["sha256"] != parent:
            return need
        # Numbers begin at 1 again where all of a place was deleted.
        if found.names_of_images != known.get(need, found.names_of_images):
            return need
    return ""


def damaged(record: Record) -> str:
    """The first file of a generation that cannot be what was installed, at a glance; or nothing.

    What it cannot see, as it reads no image: a change within one.
    """
    here = Place(Path(record.prefix))
    folder = here.generation(record.generation)
    for image in record.images:
        path = here.images / image["file"]
        if not is_image(path, image["bytes"]):
            return str(path)
    with contextlib.suppress(OSError):
        found = written.note(folder / records.NAME)
        key = str((folder / records.NAME).relative_to(here.prefix))
        if written.what(state.notes(here).get(key, found)) != written.what(found):
            return str(folder / records.NAME)
    conf, text = folder / CONF_NAME, b""
    with contextlib.suppress(OSError):
        text = read_small(conf)
    if noted := written.what(record.notes.get(CONF_NAME, "")):
        whole = noted == hashlib.sha256(text).hexdigest()
    else:  # made by an earlier Tykky
        whole = b"format " in text and all(i["file"].encode() in text for i in record.images)
    return "" if whole else str(conf)


def is_image(path: Path, size: int) -> bool:
    """Whether a file can be an image of so many bytes: by its size and its first block."""
    try:
        if not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as stream:
            block = stream.read(96)
    except OSError as error:
        return isinstance(error, PermissionError)  # it can: nobody knows better
    used = int.from_bytes(block[40:48], "little")  # as of version 4.0, which all are
    return len(block) == 96 and block[:4] == b"hsqs" and used <= size


def is_launcher(path: Path) -> bool:
    """Whether a file is a launcher, of this Tykky or of another."""
    with contextlib.suppress(OSError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 22:
            data = path.read_bytes()
            return data.startswith(b"\x7fELF") and b"TYKKY_PINS" in data
    return False


def unescaped(word: str) -> str:
    """A path as a launch file or the kernel writes it, as it is."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def below(root: Path) -> list[Place]:
    """Every place in the folder of a store, also those without a generation, sorted."""
    return [Place(hidden.parent) for hidden in sorted(root.glob(f"*/*/{HIDDEN}"))]


@dataclass(frozen=True)
class Draft:
    """A generation that is being written: its folder, and the number that it will get."""

    place: Place
    path: Path
    number: int

    @property
    def name(self) -> str:
        """The name by which the launcher can be told to use it already."""
        return self.path.name


def begin(place: Place, permissions: Permissions, after: int = 0) -> Draft:
    """Start a new generation, with a number ``after`` another. Raises ``TykkyError``."""
    # A session may be pinned to a number whose generation was deleted: it never means another.
    known = (number for event in state.events(place) for number in (event.generation, event.before))
    # Nobody else writes to this name, even where locks do not work.
    path = place.hidden / GENERATIONS / f"{_DRAFT}{secrets.token_hex(4)}"
    with explained(f"write to {place.prefix}"):
        make_folder(path, permissions)
        make_folder(place.images, permissions)
    return Draft(place, path, max([after, *place.numbers, *known]) + 1)


def commit(
    draft: Draft,
    record: Record,
    permissions: Permissions,
    sign: signatures.Signer | None = None,
) -> Record:
    """Write the record, ``sign`` it, and give the generation its number: from here on, it exists.

    Gives the record with notes of all that has none. Raises ``TykkyError`` if it cannot be signed,
    or if somebody else has taken the number meanwhile, which can be only where locks do not work;
    then nothing has changed.
    """
    with explained(f"read {draft.path}"):
        discard(draft.path / signatures.NAME)  # what was copied is of another record
        found = written.tree(draft.path, (records.NAME,))
    record = replace(record, notes={**found, **record.notes}, marks={})
    data = records.render(record)
    write_file(draft.path / records.NAME, data, permissions)
    if sign is not None:
        write_file(draft.path / signatures.NAME, sign(data), permissions)
    for folder, _, names in os.walk(draft.path):
        for name in names:
            if not Path(folder, name).is_symlink():
                sync(Path(folder, name))
        sync(Path(folder))
    sync(draft.place.images)
    target = draft.place.generation(draft.number)
    with explained(f"commit {target}"):
        try:
            if not (taken := target.exists()):
                draft.path.rename(target)
        except OSError:
            if not (taken := target.exists()):
                raise
        if not taken:
            sync(target.parent)
            return replace(record, marks=state.marks(draft.place))
    raise StoreError(
        f"somebody else has made {target} meanwhile, and this build lost",
        remedy="run the same command again; locks do not work on this file system, so only one "
        "at a time should be started",
        code=Exit.CONFLICT,
    )


def switch(place: Place, number: int) -> None:
    """Let a generation be the current one, by one rename. Raises ``TykkyError``."""
    new = place.hidden / f".{CURRENT}.{secrets.token_hex(4)}"
    try:
        with explained(f"make #{number} of {place.prefix} the current one"):
            new.symlink_to(f"{GENERATIONS}/{number}")
            old = place.hidden / CURRENT
            if old.is_dir() and not old.is_symlink():  # somebody has copied what it leads to
                old.rename(old.with_name(f"{CURRENT}.{secrets.token_hex(4)}"))
            new.replace(place.hidden / CURRENT)
            sync(place.hidden)
    finally:
        new.unlink(missing_ok=True)


def remove_generation(place: Place, number: int) -> int:
    """Delete a generation with the images that only it has; how many bytes that frees.

    Raises ``StoreError``, ``OSError``.
    """
    generation = place.generation(number)
    within = (Path(each.path) for each in walk(generation) if each.is_dir(follow_symlinks=False))
    for folder in (generation, *within):
        if folder.stat().st_uid != os.geteuid():
            check_writable(folder, f"delete #{number} of {place.prefix}")
    _discard(set_aside(place, number))
    return _remove_images(place)


def set_aside(place: Place, number: int) -> Path:
    """Take the folder of a generation out of the way, to be swept. Raises ``OSError``."""
    gone = place.hidden / GENERATIONS / f"{_GONE}{number}-{secrets.token_hex(4)}"
    place.generation(number).rename(gone)
    return gone


def freed_without(place: Place, numbers: Collection[int]) -> int:
    """How many bytes it would free to delete these generations."""
    kept = [number for number in place.numbers if number not in numbers]
    return sum(_unused_images(place, kept).values())


def sweep(place: Place) -> None:
    """Remove what killed writers left. Hold the claim of the place."""
    folder = place.hidden / GENERATIONS
    if not folder.is_dir():
        return
    unfinished = [path for path in folder.iterdir() if path.name.startswith((_DRAFT, _GONE))]
    for path in (*unfinished, *place.hidden.glob(".*")):
        with contextlib.suppress(PermissionError):  # somebody else's, whom it does not hinder
            _discard(path)
    _remove_images(place)


def _discard(path: Path) -> None:
    """Delete what nothing needs, or leave it for later if it is busy. Raises ``OSError``."""
    try:
        discard(path)
    except OSError as error:
        if error.errno not in BUSY:
            raise


def _remove_images(place: Place) -> int:
    """Remove the images that no generation has; how many bytes that frees."""
    unused = _unused_images(place, place.numbers)
    for path in unused:
        _discard(path)
    return sum(size for path, size in unused.items() if not path.exists())


def _unused_images(place: Place, numbers: Iterable[int]) -> dict[Path, int]:
    """The images that none of these generations has, and their bytes.

    There are none, if one cannot say which it has, or no generation counts: what is lost can be
    made again from its image.
    """
    if place.is_lost:
        return {}
    try:
        kept = {file for number in numbers for file in place.record(number).files_of_images}
    except StoreError:
        return {}
    there = place.images.iterdir() if place.images.is_dir() else ()
    return {path: path.lstat().st_size for path in there if path.name not in kept}

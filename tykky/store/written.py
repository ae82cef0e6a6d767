"""What Tykky has written of an install: a note of each file, by which any change of it is found.

A note is ``MODE OWNER WHAT``: the mode in octal, the number of the owner, and the sha256 of a file,
``folder``, ``file`` (of which only the rest is noted) or ``-> TARGET`` of a link. The record of a
generation has the notes of all that lies beside it; ``state.json`` those of the records, and of
what the generations share. Of what an earlier Tykky has made there may be none: then nothing is
known of it, and nothing is wrong.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tykky import trust
from tykky.errors import ConfigError, explained
from tykky.files import Permissions, digest_file
from tykky.host import group_of, owner_of

#: What a file is whose contents are not noted, and what is no file.
_FILE, _FOLDER, _SPECIAL = "file", "folder", "special file"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file, and what brings it back."""

    path: Path
    wrong: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path} {self.wrong}"


def note(path: Path, *, contents: bool = True) -> str:
    """The note of a file, folder or link. Raises ``OSError``."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        what = f"-> {path.readlink()}"
    elif stat.S_ISDIR(status.st_mode):
        what = _FOLDER
    elif contents and stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        what = digest_file(path)
    else:
        what = _FILE if stat.S_ISREG(status.st_mode) else _SPECIAL
    return f"{stat.S_IMODE(status.st_mode) & 0o777:o} {status.st_uid} {what}"


def is_note(text: object) -> bool:
    """Whether something is a note."""
    return isinstance(text, str) and re.fullmatch(r"[0-7]{1,3} \d+ .+", text, re.DOTALL) is not None


def what(noted: str) -> str:
    """What a note says of the contents."""
    return noted.split(" ", 2)[2] if noted else ""


def tree(folder: Path, without: Collection[str] = ()) -> dict[str, str]:
    """The notes of all that is in a folder, by relative path. Raises ``OSError``."""
    return {str(path.relative_to(folder)): note(path) for path in _inside(folder, without)}


def _inside(folder: Path, without: Collection[str] = ()) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            if not (Path(where) == folder and name in without):
                yield Path(where, name)


def wrong_image(folder: Path, images: Iterable[Mapping[str, Any]]) -> str:
    """What is wrong with one of the images of a record, which lie in a folder; empty if nothing.

    All of each is read. Raises ``TykkyError`` if that cannot be.
    """
    for image in images:
        path = folder / image["file"]
        with explained(f"read {path}"):
            if not path.is_file() or digest_file(path) != image["sha256"]:
                return f"the image {path} is not what was installed, or is gone"
    return ""


@dataclass(frozen=True)
class Checker:
    """Compares what is there with notes; what the site's ``permissions`` say is fine, too.

    So is what belongs to one of the ``owners``.
    """

    permissions: Permissions
    owners: frozenset[int]

    def tree(
        self, folder: Path, notes: Mapping[str, str], remedy: str, without: Collection[str] = ()
    ) -> Iterator[Fault]:
        """What in a folder is not as it was written."""
        for name, noted in notes.items():
            yield from self.file(folder / name, noted, remedy)
        strange: set[Path] = set()
        for path in _inside(folder, without) if notes else ():
            if str(path.relative_to(folder)) not in notes:
                strange.add(path)
                if path.parent not in strange:
                    yield Fault(path, "is nothing that Tykky has put there", removing(path))

    def file(self, path: Path, noted: str, remedy: str) -> Iterator[Fault]:
        """What of one file is not as it was written."""
        was = what(noted)
        try:
            now = note(path, contents=was != _FILE)
        except (FileNotFoundError, NotADirectoryError):
            yield Fault(path, "is missing", remedy)
            return
        except OSError as error:
            opened = _command(f"chmod {noted.split(' ')[0]}", path)
            yield Fault(path, f"cannot be read: {error.strerror}", opened)
            return
        if what(now) != was:
            yield Fault(path, _changed(was, what(now)), remedy)
        else:
            yield from self.mode(path, noted)

    def mode(self, path: Path, noted: str = "") -> Iterator[Fault]:
        """What is wrong with the mode, the group and the owner, as far as these are known."""
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        mode = stat.S_IMODE(status.st_mode) & 0o777
        words = noted.split(" ", 2)
        was, owners = (int(words[0], 8), {int(words[1])}) if noted else (mode & ~0o002, set())
        site = self.permissions if self.permissions.chosen else None
        chosen = (site.folder if is_folder else site.file) if site else 0
        usable = (chosen & 0o777 if site else was & 0o555) & ~mode
        if opened := mode & ~(was | chosen) & 0o022:
            who = "everybody" if opened & 0o002 else "its group"
            wrong = f"can be written by {who}: its mode is {mode:o}, not {was:o}"
            yield Fault(path, wrong, _command(f"chmod {was:o}", path))
        elif usable:
            right = mode | usable
            wrong = f"is closed to some who could use it: its mode is {mode:o}, not {right:o}"
            yield Fault(path, wrong, _command(f"chmod {right:o}", path))
        group, gid = self.permissions.group, status.st_gid
        if self._gid not in (-1, gid) and not trust.is_hidden("gid", gid):
            wrong = f"belongs to the group {group_of(path)}, not to {group}"
            yield Fault(path, wrong, _command(f"chgrp {shlex.quote(group)}", path))
        if trust.is_foreign(status.st_uid, {*self.owners, *owners}) and not self._is_shared(path):
            wrong = f"belongs to {owner_of(path)}, who has not made it"
            whose = next(iter(owners or self.owners), 0)
            yield Fault(path, wrong, _command(f"chown {whose}", path))

    @property
    def _gid(self) -> int:
        with contextlib.suppress(ConfigError):  # this machine does not know it
            return self.permissions.gid
        return -1

    def _is_shared(self, path: Path) -> bool:
        """Whether any member of its group may have made a file, as the site wants it."""
        above = path.parent.stat()
        shared = self.permissions.chosen and self.permissions.folder & above.st_mode & 0o020
        return bool(shared) and above.st_gid == path.lstat().st_gid


def _changed(was: str, now: str) -> str:
    if now.startswith("-> "):
        return f"leads to {now[3:]}, not to {was[3:]}" if was.startswith("-> ") else "is a link"
    return f"is a {now}" if now in (_FOLDER, _SPECIAL) else "is not what was written"


def removing(path: Path) -> str:
    """The command by which somebody takes away what is not Tykky's."""
    return _command("rm -r", path)


def _command(words: str, path: Path) -> str:
    return f"'{words} {shlex.quote(str(path))}'"

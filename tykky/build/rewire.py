"""Finds what in a tree names paths that lie elsewhere by now, and writes that anew, beside it.

It stands alone, since it is run where the images of an install are mounted, and reads from its
standard input what to do: ``top`` is the tree, ``out`` an empty folder for what is written anew,
``paths`` what each path that is named is by now, ``jobs`` how many processes may read. It prints
what it found; names are from the top on:

- ``text``: files without a NUL byte, in which a path may get shorter or longer,
- ``links``: symbolic links,
- ``programs``: other files, in which nothing may move. Where a package of conda has left room for
  the longest prefix, a path may be as long as that; else it may be shorter, and is filled up with
  slashes. Then what has the length of a text built in, or shares its end, goes on being right.
- ``emptied``: byte code of text that was written anew. It has the path among its constants, and
  is not compared with its source; Python compiles that instead.
- ``refused``: what cannot be written anew, and why.

All other byte code is left as it is: its own path is in it for tracebacks, and Python corrects it
when it imports a module.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import json
import os
import re
import signal
import stat
import sys
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

#: The longest first line of a script that every kernel in use reads to its end.
SHEBANG = 127
#: Bytes of a file that is not read as a whole to find that there is nothing in it.
_LARGE = 1 << 24
#: What follows a path that is a longer one: ``/1.0`` is not named by ``/1.0.1`` or ``/1.0-x``.
_END = r"(?!\w|[.+~-]+\w)"
#: What a path cannot hold that is put into text of any kind as it is.
_ODD = re.compile(rb"[\s\"'\\$`&;|<>*?\[\](){}#!]")


@dataclass
class Found:
    """What was found in a tree, by the names of the files."""

    text: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def pattern(paths: Mapping[str, str]) -> re.Pattern[str]:
    """What finds these paths in text, each as a whole; the longest that is there."""
    known = sorted(paths, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, known))}){_END}")


def moved(text: str, paths: Mapping[str, str]) -> str:
    """A text with the paths as they are by now."""
    return pattern(paths).sub(lambda found: paths[found[0]], text) if paths else text


class Refused(Exception):
    """Why a file cannot be written anew."""


@dataclass(frozen=True)
class Rewirer:
    """Writes what names ``paths`` in the tree ``top`` anew in the folder ``out``.

    ``rooms`` has the length of the prefix for which a program has room, by its name.
    """

    top: str
    out: str
    paths: Mapping[str, str]
    rooms: Mapping[str, int]

    def look(self, names: list[str]) -> Found:
        """Look at some of the files and links of the tree."""
        found = Found()
        in_bytes = {os.fsencode(old): os.fsencode(new) for old, new in self.paths.items()}
        word = re.compile(os.fsencode(pattern(self.paths).pattern))
        for name in names:
            path = f"{self.top}/{name}"
            status = os.lstat(path)
            try:
                if stat.S_ISLNK(status.st_mode):
                    self._link(name, path, found)
                elif stat.S_ISREG(status.st_mode) and status.st_size:
                    data = _read(path, status.st_size, [*in_bytes])
                    if data is not None and word.search(data):
                        self._file(name, data, status.st_mode, word, in_bytes, found)
            except Refused as why:
                found.refused.append((name, str(why)))
        return found

    def _link(self, name: str, path: str, found: Found) -> None:
        target = os.readlink(path)  # noqa: PTH115
        for old, new in self.paths.items():
            if target == old or target.startswith(f"{old}/"):
                self._room_for(name).symlink_to(new + target[len(old) :])
                found.links.append(name)
                return

    def _file(
        self,
        name: str,
        data: bytes,
        mode: int,
        word: re.Pattern[bytes],
        paths: Mapping[bytes, bytes],
        found: Found,
    ) -> None:
        if b"\0" not in data:
            new, kind = _text(data, word, paths), found.text
        else:
            _check_archive(data)
            padded = self.rooms.get(name)
            new = _padded(data, word, paths, padded) if padded else _filled(data, word, paths)
            kind = found.programs
        target = self._room_for(name)
        target.write_bytes(new)
        target.chmod(mode & 0o777)
        kind.append(name)
        if kind is found.text and name.endswith(".py"):
            self._empty(name, found)

    def _empty(self, name: str, found: Found) -> None:
        """Let there be no byte code of a source that was written anew."""
        folder, _, file = name.rpartition("/")
        cache = Path(self.top, folder, "__pycache__")
        there = cache.glob(f"{glob.escape(file.removesuffix('.py'))}.*.pyc")
        for path in sorted(there) if not cache.is_symlink() else ():
            inside = str(path.relative_to(self.top))
            target = self._room_for(inside)
            target.write_bytes(b"")
            target.chmod(path.stat().st_mode & 0o777)
            found.emptied.append(inside)

    def _room_for(self, name: str) -> Path:
        """Where a file is written anew, in folders with the modes that they have."""
        target = Path(self.out, name)
        for folder in reversed(Path(name).parents):
            with contextlib.suppress(FileExistsError):
                mode = stat.S_IMODE(Path(self.top, folder).stat().st_mode)
                Path(self.out, folder).mkdir()
                Path(self.out, folder).chmod(mode | 0o700)
        return target


def _read(path: str, size: int, words: list[bytes]) -> bytes | None:
    """The bytes of a file in which one of the words is. Raises ``Refused`` if an archive has it."""
    from mmap import ACCESS_READ, mmap

    with Path(path).open("rb") as stream:
        if size < _LARGE:
            data = stream.read()
            if data[:4] == b"PK\3\4":
                _check_members(path, words)
            return data if any(word in data for word in words) else None
        with mmap(stream.fileno(), 0, access=ACCESS_READ) as mapped:
            return mapped[:] if any(mapped.find(word) >= 0 for word in words) else None


def _check_members(path: str, words: list[bytes]) -> None:
    """Raise ``Refused`` for a ZIP archive that has one of the words in a file in it."""
    unread = (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError)
    with contextlib.suppress(*unread), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            looked_at = member.file_size < _LARGE and not member.filename.endswith(".pyc")
            if looked_at and any(word in archive.read(member) for word in words):
                raise Refused(f"it is a ZIP archive, and {member.filename} in it has the path")


def _text(data: bytes, word: re.Pattern[bytes], paths: Mapping[bytes, bytes]) -> bytes:
    """A text with the new paths. Raises ``Refused`` for one that would not be the same any more."""
    new = word.sub(lambda found: paths[found[0]], data)
    first, last = (text.partition(b"\n")[0] for text in (data, new))
    if first.startswith(b"#!") and len(last) >= SHEBANG > len(first):
        many = len(last) + 1 - SHEBANG
        raise Refused(f"the first line of the script would be {many} bytes too long")
    return new


def _check_archive(data: bytes) -> None:
    """Raise ``Refused`` for what has sums of what is in it."""
    kind = "a ZIP archive" if zipfile.is_zipfile(BytesIO(data)) else ""
    kind = kind or ("a squashfs image" if data[:4] == b"hsqs" else "")
    if kind := kind or ("a tar archive" if data[257:262] == b"ustar" else ""):
        raise Refused(f"it is {kind} that has the path in it")


def _filled(data: bytes, word: re.Pattern[bytes], paths: Mapping[bytes, bytes]) -> bytes:
    """A program in which the new paths are as long as the old ones, by slashes at their ends."""

    def filled(found: re.Match[bytes]) -> bytes:
        old, new = found[0], paths[found[0]]
        if len(new) > len(old):
            raise Refused(_no_room(new, len(old)))
        return new + b"/" * (len(old) - len(new))

    return word.sub(filled, data)


def _padded(data: bytes, word: re.Pattern[bytes], paths: Mapping[bytes, bytes], room: int) -> bytes:
    """A program of conda with the new paths, each text filled up with NUL bytes, as conda does."""

    def padded(found: re.Match[bytes]) -> bytes:
        text, zeros = found[1], found[2]
        most = len(text) + max(len(zeros) - 1, 0)  # a text ends with one
        longest = len(text)
        for each in word.finditer(text):
            longest += max(room, len(each[0])) - len(each[0])
        new = word.sub(lambda each: paths[each[0]], text)
        if len(new) > min(most, longest):
            first = word.search(text)
            assert first is not None
            raise Refused(_no_room(paths[first[0]], room))
        return new.ljust(len(text) + len(zeros), b"\0")

    whole = re.compile(rb"((?=" + word.pattern + rb")[^\0]+)(\0+|\Z)")
    return whole.sub(padded, data)


def _no_room(new: bytes, room: int) -> str:
    return f"it is no text, and has room for {room} bytes; the path has {len(new)}"


def rooms(top: Path) -> Iterator[tuple[str, int]]:
    """The programs of conda packages, and the length of the prefix that each has room for."""
    for path in (top / "conda-meta").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for file in json.loads(path.read_bytes())["paths_data"]["paths"]:
                if file.get("file_mode") == "binary" and file.get("prefix_placeholder"):
                    yield str(file["_path"]), len(os.fsencode(file["prefix_placeholder"]))


def names(top: str) -> list[str]:
    """The files and links of a tree that may name a path, the largest not beside each other."""
    found = []
    for where, folders, files in os.walk(top):
        links = [name for name in folders if os.path.islink(f"{where}/{name}")]  # noqa: PTH114
        there = where[len(top) + 1 :]
        for name in (*files, *links):
            if not name.endswith(".pyc"):
                found.append(f"{there}/{name}" if there else name)
    return sorted(found)


def rewire(top: str, out: str, paths: Mapping[str, str], jobs: int, without: list[str]) -> Found:
    """Look at all of a tree, and write anew what can be."""
    found = Found()
    work = Rewirer(top, out, paths, dict(rooms(Path(top))))
    every = [name for name in names(top) if name not in without]
    parts = [every[start::64] for start in range(min(64, len(every)))]
    with ProcessPoolExecutor(jobs, get_context("fork"), _end_with, (os.getpid(),)) as pool:
        for each in pool.map(partial(Rewirer.look, work), parts):
            for kind, some in vars(each).items():
                getattr(found, kind).extend(some)
    for some in vars(found).values():
        some.sort()
    if found.text and (odd := next((p for p in paths.values() if _ODD.search(os.fsencode(p))), "")):
        found.refused.append((found.text[0], f"no text of any kind can hold the path {odd!r}"))
    return found


def _end_with(parent: int) -> None:
    """Have the kernel end this process with the one that started it, which may be killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Do what is asked for on the standard input."""
    try:
        print(json.dumps(asdict(rewire(**json.load(sys.stdin)))))
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

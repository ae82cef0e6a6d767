"""Directory trees that are copied: their digests, and the links in them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from tykky.errors import from_os_error
from tykky.files import digest_file

#: Bytes from which on a file that is no program is not looked into.
_DATA = 1 << 24


@dataclass(frozen=True)
class Tree:
    """A tree's sha256 over names, contents, links and what is executable; files and bytes."""

    sha256: str
    files: int
    bytes: int


def digest(root: Path) -> Tree:
    """Digest a tree, wherever it lies and whoever owns it. Raises the error behind ``OSError``.

    Empty directories count, times and modes (but for the right to execute) do not.
    """
    total, files, octets = hashlib.sha256(), 0, 0
    try:
        for path in _walk(root):
            status = path.lstat()
            mode = status.st_mode
            if stat.S_ISLNK(mode):
                what = f"link {path.readlink()}"
            elif stat.S_ISREG(mode):
                what = f"{'program' if mode & 0o100 else 'file'} {digest_file(path)}"
                octets += status.st_size
            else:
                what = "directory" if stat.S_ISDIR(mode) else "other"
            files += not stat.S_ISDIR(mode)
            name = os.fsencode(path.relative_to(root))
            total.update(b"%d %s\0%s\n" % (len(name), name, what.encode(errors="surrogateescape")))
    except OSError as error:
        raise from_os_error(error, f"read {root}") from error
    return Tree(total.hexdigest(), files, octets)


def manifest(path: Path) -> str:
    """A digest of a file or tree that is found quickly, from names, modes, sizes and times.

    Empty if it is not there, or cannot be read.
    """
    total = hashlib.sha256()
    try:
        for each in (path, *(_walk(path) if path.is_dir() else ())):
            status = each.lstat()
            link = each.readlink() if stat.S_ISLNK(status.st_mode) else ""
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            time = status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
            total.update(repr((bytes(each), status.st_mode, size, time, str(link))).encode())
    except OSError:
        return ""
    return total.hexdigest()


def relink(root: Path, old: Path, new: Path) -> None:
    """Let absolute links in a tree that pointed below ``old`` point below ``new``."""
    for path in _walk(root):
        if path.is_symlink():
            target = path.readlink()
            if target.is_absolute() and (target == old or old in target.parents):
                path.unlink()
                path.symlink_to(new / target.relative_to(old))


def naming(root: Path, old: Path) -> list[str]:
    """The files in a tree that name a path, or one below it: paths in the tree, programs first.

    What is large and no program is taken for data, and not read.
    """
    word = re.compile(re.escape(os.fsencode(old)) + rb"(?![\w.+-])")
    found = []
    for path in _walk(root):
        status = path.lstat()
        program = bool(status.st_mode & 0o111)
        looked_at = stat.S_ISREG(status.st_mode) and (program or status.st_size < _DATA)
        if looked_at and _has(path, word):
            found.append((not program, str(path.relative_to(root))))
    return [name for _, name in sorted(found)]


def _has(path: Path, word: re.Pattern[bytes]) -> bool:
    """Whether there is something in a file; not in an empty one, or one that nobody may read."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return word.search(content) is not None
    except (OSError, ValueError):
        return False


def left_behind(root: Path, old: Path, remedy: str) -> str:
    """A warning of the files in a copy that go on naming the original; empty if there are none."""
    names = naming(root, old)
    if not names:
        return ""
    which = f"{names[0]} names" if len(names) == 1 else f"{len(names)} files, as {names[0]}, name"
    return f"{which} {old}, where the original is run or read, and not the copy; {remedy}"


def _walk(root: Path) -> Iterator[Path]:
    """Everything below a directory, in one order everywhere, without following links."""

    def stop(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(root, onerror=stop):
        folders.sort()
        for name in sorted([*folders, *files]):
            yield Path(folder, name)

"""From what an overlay has written to a layer: the same difference is the same layer.

A layer has what is new or other than in the tree that it lies on, and for each name that is gone
there a *whiteout*, a character device 0:0, which the kernel's overlay shows as nothing:
https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
There is no other sign in it: images keep no extended attributes.
"""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from tykky.files import walk

_OPAQUE = "user.overlay.opaque"


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file of a layer says that there is nothing."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def reduce(upper: Path, below: Path, *, instead: bool = False) -> None:
    """Make a layer of what an overlay has written over ``below``. Raises ``OSError``.

    What is as it was goes; a directory that has come ``instead`` of another one, by itself or with
    one above it, hides nothing that was in that, but name by name.
    """
    if instead:
        for name in sorted({*os.listdir(below)} - {*os.listdir(upper)}):  # noqa: PTH208
            os.mknod(upper / name, stat.S_IFCHR, 0)
    with os.scandir(upper) as there:
        entries = sorted(there, key=lambda entry: entry.name)
    for entry in entries:
        path, under = Path(entry.path), below / entry.name
        old = under.lstat() if os.path.lexists(under) else None
        if not entry.is_dir(follow_symlinks=False):
            if is_whiteout(path.lstat()) if old is None else _is_same(path, under, old):
                path.unlink()
            continue
        if old is not None and stat.S_ISDIR(old.st_mode):
            reduce(path, under, instead=_is_opaque(path) or instead)
            if path.lstat().st_mode == old.st_mode and not any(path.iterdir()):
                path.rmdir()
        else:
            _only(path)


def _is_opaque(folder: Path) -> bool:
    """Whether an overlay hides all that was in a directory of that name."""
    return _OPAQUE in os.listxattr(folder)


def _only(folder: Path) -> None:
    """Take the whiteouts out of a directory that nothing is below of."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _only(Path(entry.path))
        elif is_whiteout(entry.stat(follow_symlinks=False)):
            Path(entry.path).unlink()


def _is_same(path: Path, under: Path, old: os.stat_result) -> bool:
    new = path.lstat()
    if new.st_mode != old.st_mode or new.st_size != old.st_size:
        return False
    if stat.S_ISLNK(new.st_mode):
        return path.readlink() == under.readlink()
    return stat.S_ISREG(new.st_mode) and filecmp.cmp(path, under, shallow=False)


def paths_with(layer: Path, below: Iterable[str]) -> Iterator[str]:
    """The paths of the files and links of a tree: those ``below`` the layer, and the layer's."""
    own, hidden, folders = list[str](), set[str](), set[str]()
    start = len(os.fspath(layer)) + 1
    for entry in walk(layer):
        name = entry.path[start:]
        if entry.is_dir(follow_symlinks=False):
            folders.add(name)
        else:
            hidden.add(name)
            if not is_whiteout(entry.stat(follow_symlinks=False)):
                own.append(name)
    # A directory hides a file of its name, and any other a whole directory.
    for path in below:
        if path not in hidden and path not in folders and not _is_in(path, hidden):
            yield path
    yield from own


def _is_in(path: str, hidden: set[str]) -> bool:
    at = path.find("/")
    while at >= 0:
        if path[:at] in hidden:
            return True
        at = path.find("/", at + 1)
    return False

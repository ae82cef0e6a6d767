"""Layers for the tests of the launcher: what has to lie on one tree so that it looks like another.

A build takes them from an overlay; here they are found by comparing, so that the launcher's view
is tested against something else than the kernel's own idea of a difference.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.launcher.stacks import squash
from tests.support import remove

Links = dict[int, frozenset[str]]


def _links(tree: Path) -> Links:
    """By the number of a file, all its names in the tree, if it has several."""
    names = defaultdict(set)
    for folder, _, files in os.walk(tree):
        for name in files:
            path = Path(folder, name)
            if path.lstat().st_nlink > 1:
                names[path.lstat().st_ino].add(str(path.relative_to(tree)))
    return {number: frozenset(paths) for number, paths in names.items()}


def is_folder(path: Path) -> bool:
    """Whether it is a directory, and not a link to one."""
    return path.is_dir() and not path.is_symlink()


@dataclass(frozen=True)
class _Difference:
    lower: Links
    full: Links
    made: dict[int, Path] = field(default_factory=dict)

    def fill(self, lower: Path, full: Path, layer: Path) -> None:
        layer.mkdir()
        below = lower.iterdir() if is_folder(lower) else ()
        for name in sorted({path.name for path in (*below, *full.iterdir())}):
            old, new, path = lower / name, full / name, layer / name
            if not os.path.lexists(new):
                os.mknod(path, stat.S_IFCHR)
            elif is_folder(new):
                self.fill(old, new, path)
                modes = [one.lstat().st_mode for one in (old, new) if os.path.lexists(one)]
                if not any(path.iterdir()) and modes == modes[:1] * 2:
                    path.rmdir()
            elif not os.path.lexists(old) or is_folder(old) or not self._is_same(old, new):
                self._copy(new, path)
        layer.chmod(full.stat().st_mode)

    def _is_same(self, old: Path, new: Path) -> bool:
        before, after = old.lstat(), new.lstat()
        if before.st_mode != after.st_mode:
            return False
        if self.lower.get(before.st_ino) != self.full.get(after.st_ino):
            return False
        if stat.S_ISLNK(after.st_mode):
            return old.readlink() == new.readlink()
        return filecmp.cmp(old, new, shallow=False)

    def _copy(self, new: Path, path: Path) -> None:
        number = new.lstat().st_ino
        if number in self.made:
            os.link(self.made[number], path, follow_symlinks=False)
        else:
            shutil.copy2(new, path, follow_symlinks=False)
        if number in self.full:
            self.made[number] = path


def difference(lower: Path, full: Path, layer: Path) -> None:
    """Fill the new directory ``layer`` with what lower lacks; what full lacks is a whiteout."""
    _Difference(_links(lower), _links(full)).fill(lower, full, layer)


def make_layer(lower: Path, full: Path, image: Path) -> int:
    """Squash what full has over lower; the size of the image in bytes."""
    folder = image.with_suffix(".tree")
    difference(lower, full, folder)
    size = squash(folder, image)
    remove(folder)
    return size

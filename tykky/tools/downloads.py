"""What is kept of downloads: how much it is, and deleting what was not used for long.

All of it can be had again. It goes piece by piece, each of which programs miss as a whole: a file,
or a folder of a cache's own. What the cache's directory has besides is somebody else's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tykky.files import BUSY, discard

#: The folders of the cache, and how deep in each of them its pieces lie.
_FOLDERS = {"downloads": 1, "bytecode": 1, "conda": 1, "uv": 2, "resolved": 2}
#: What a piece is called while it is deleted.
_GONE = ".gone-"


@dataclass(frozen=True)
class Piece:
    """One piece of the cache: its size in bytes, and when it was last used (as far as known)."""

    path: Path
    folder: str
    bytes: int
    used: float


def pieces(cache: Path) -> list[Piece]:
    """Everything that is kept. Locks and unreadable folders are left out."""
    found = []
    for folder, depth in _FOLDERS.items():
        for path in sorted((cache / folder).glob("/".join(["*"] * depth))):
            if not path.name.startswith("."):
                with contextlib.suppress(OSError):  # deleted meanwhile
                    found.append(_piece(path, folder))
    return found


def _piece(path: Path, folder: str) -> Piece:
    inside = list(_files(path))
    # When it was made, linked or read: what is unpacked keeps the times that it was packed with.
    used = max((max(status.st_atime, status.st_ctime) for status in inside), default=0)
    return Piece(path, folder, sum(status.st_size for status in inside), used)


def _files(path: Path) -> Iterator[os.stat_result]:
    if path.is_symlink() or not path.is_dir():
        yield path.lstat()
        return
    for where, _, names in os.walk(path):
        for name in names:
            yield Path(where, name).lstat()


def delete(kept: list[Piece], seconds: float, *, dry_run: bool = False) -> list[Piece]:
    """Delete what was not used for so many seconds; which pieces. Raises ``OSError``."""
    gone = [piece for piece in kept if time.time() - piece.used >= seconds]
    for piece in gone if not dry_run else ():
        # Who looks for it meanwhile finds all of it, or nothing.
        aside = piece.path.with_name(f"{_GONE}{secrets.token_hex(8)}")
        with contextlib.suppress(FileNotFoundError):
            piece.path.rename(aside)
    return gone


def sweep(cache: Path) -> int:
    """Delete what was taken aside; how many pieces are busy, for the next time.

    Raises ``OSError``.
    """
    busy = 0
    for folder, depth in _FOLDERS.items():
        for path in (cache / folder).glob("/".join([*["*"] * (depth - 1), f"{_GONE}*"])):
            try:
                discard(path)
            except OSError as error:
                if error.errno not in BUSY:
                    raise
                busy += 1
    return busy

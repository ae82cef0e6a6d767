"""Who else may change a file: whoever may write to it, or to one of the folders above it.

Root may, and whoever owns the program that runs, so these are nobody else. Nor is the owner of a
folder on the way: where a project's leader owns the project's folder, its members live with that.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tykky.errors import TykkyError
from tykky.host import group_of, owner_of, real


@dataclass(frozen=True)
class Opening:
    """What lets somebody else in: ``path``, in which way, and how that is closed."""

    path: Path
    why: str
    remedy: str


def opening(
    path: Path, groups: Collection[int] = (), owners: Collection[int] | None = None
) -> Opening | None:
    """The first way by which somebody else may change what is at a path, or ``None``.

    That is a file or folder on the way which everybody may write to, unless only owners may
    replace what is in it (as in /tmp); there, what belongs to somebody else, who may just have been
    the first. With ``groups``, the only ones that may write, it is also what another may
    write to. With ``owners``, what is at the path must belong to one of them, to root, or to
    whoever asks.
    """
    path = path.absolute()
    for each in _way(path):
        try:
            status, shared = each.lstat(), _is_sticky(each.parent.stat().st_mode)
        except OSError:
            continue  # it is not there, or whoever uses it will say it better
        mode, is_link = status.st_mode, stat.S_ISLNK(status.st_mode)
        named = owners if each == path and not shared else None
        if (shared or named is not None) and is_foreign(status.st_uid, named or ()):
            why = f"belongs to {owner_of(each)}, who may change it"
            return Opening(each, why, "use one that belongs to you or to root")
        if is_link:
            continue
        if each != path and _is_sticky(mode):
            continue
        each = real(each)
        if mode & stat.S_IWOTH:
            return Opening(each, "can be written by everybody", _chmod("o-w", each))
        if mode & stat.S_IWGRP and groups and status.st_gid not in (*groups, 0):
            return Opening(each, f"can be written by group {group_of(each)}", _chmod("g-w", each))
    return None


def check(
    path: Path,
    what: str,
    error: Callable[..., TykkyError],
    owners: Collection[int] | None = None,
) -> None:
    """Raise an ``error`` if somebody else decides what is in a file that is run, or read for that.

    ``what`` names it in the message.
    """
    if found := opening(path, owners=owners):
        said = f"{found.path} {found.why}, so {what} cannot be trusted"
        closing = "" if found.remedy.startswith("use ") else "if its content is right: "
        raise error(said, remedy=f"{closing}{found.remedy}")


def owner(path: Path) -> tuple[int, ...]:
    """The owner of what somebody has named, and trusts by that; nobody if it is not there."""
    try:
        return (path.stat().st_uid,)
    except OSError:
        return ()


def is_foreign(uid: int, owners: Collection[int] = ()) -> bool:
    """Whether somebody is none of the owners, nor of those who may do anything anyway.

    These are root, who runs this, and who owns the program.
    """
    return uid not in (*_trusted(), *owners) and not is_hidden("uid", uid)


def _is_sticky(mode: int) -> bool:
    """Whether others may put files into a folder, and only owners may replace what is there."""
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX and mode & 0o022)


@cache
def _trusted() -> tuple[int, ...]:
    return 0, os.geteuid(), *owner(Path(__file__))


def _way(path: Path) -> Iterator[Path]:
    """A path and all folders and links by which it is reached, the outermost first."""
    known: set[Path] = set()
    todo = [path]
    while todo:
        here = todo.pop()
        for each in (*reversed(here.parents), here):
            if each in known:
                continue
            known.add(each)
            yield each
            with contextlib.suppress(OSError):  # no link, or one that cannot be seen
                if len(known) < 1000:
                    todo.append(each.parent / each.readlink())


def _chmod(change: str, path: Path) -> str:
    return f"chmod {change} {shlex.quote(str(path))}"


@cache
def is_hidden(kind: str, number: int) -> bool:
    """Whether a user namespace hides which user (``uid``) or group (``gid``) that is."""
    try:
        known = Path(f"/proc/self/{kind}_map").read_text(encoding="ascii").split()
        overflow = int(Path(f"/proc/sys/kernel/overflow{kind}").read_text())
        return known[2] != "4294967295" and number == overflow
    except (OSError, ValueError, IndexError):
        return False

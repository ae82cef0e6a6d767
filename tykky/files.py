"""Files and folders: written whole or not at all, with the site's modes; read with care."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tykky.errors import ConfigError, Exit, StepError, StoreError, from_os_error

_T = TypeVar("_T")


@dataclass(frozen=True)
class Permissions:
    """Modes and group of everything in a store, whatever the installer's umask is.

    ``group`` is a name, or empty for the group of the process (or the folder's, with
    ``setgid``). The modes are ``chosen`` by the site, or follow from somebody's umask.
    """

    folder: int = 0o755
    file: int = 0o644
    group: str = ""
    setgid: bool = False
    chosen: bool = True

    @property
    def gid(self) -> int:
        """The numeric group, -1 to leave it as it is. Raises ``ConfigError``."""
        if not self.group:
            return -1
        import grp

        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            raise ConfigError(
                f"there is no group '{self.group}' on this machine",
                remedy="'tykky config why permissions.group' says where it was set",
            ) from None

    def apply(self, path: Path, *, executable: bool = False, instead: Path | None = None) -> None:
        """Give one file or folder its mode and group.

        Where nobody has chosen modes, who could read what it comes ``instead`` of goes on to.
        """
        gid = self.gid
        if gid != -1 and path.lstat().st_gid != gid:
            os.chown(path, -1, gid, follow_symlinks=False)
        if path.is_dir():
            path.chmod(self.folder | (0o2000 if self.setgid else 0))
        else:
            # Who may read a program may run it.
            mode = self.file | ((self.file & 0o444) >> 2 if executable else 0)
            if instead is not None and not self.chosen and instead.is_file():
                mode |= instead.stat().st_mode & 0o775
            path.chmod(mode)


def make_folder(path: Path, permissions: Permissions) -> None:
    """Make a folder and its missing parents, each with the site's mode and group."""

    def make() -> None:
        missing = [each for each in (path, *path.parents) if not each.is_dir()]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                permissions.apply(folder)

    insist(make)


def check_writable(folder: Path, doing: str) -> None:
    """Raise ``StoreError`` if nothing may be changed in a folder."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"you may not {doing}: {folder} is not writable",
            remedy="ask its owner, whom 'ls -ld' shows, to do it",
            code=Exit.NOT_WRITABLE,
        )


def insist(action: Callable[[], _T], tries: int = 10) -> _T:
    """What an action gives that begins by making a folder, tried again if that is gone.

    Somebody may just have removed it, together with the last of what was in it.
    """
    for _ in range(tries - 1):
        with contextlib.suppress(FileNotFoundError):
            return action()
    return action()


def write_file(path: Path, data: bytes, permissions: Permissions, *, durable: bool = True) -> None:
    """Write a file by a temporary name and a rename: readers see the old or the new one.

    Who writes to a path holds a lock for it, so the temporary name is always the same, and what
    a killed writer left is overwritten by the next. Raises the ``TykkyError`` behind an
    ``OSError``; then nothing has changed.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        permissions.apply(temporary, instead=path)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except BaseException as error:  # Ctrl-C as well
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise from_os_error(error, f"write {path}") from error
        raise


def bring(source: Path, target: Path, permissions: Permissions, *, link: bool) -> None:
    """Put a file that never changes where it is not yet: a second name if it may be, or a copy.

    Raises ``OSError``.
    """
    if target.exists():
        return
    if link:
        with contextlib.suppress(OSError):  # it may be on another file system
            os.link(source, target)
            return
    new = target.with_name(f"{target.name}.new")
    shutil.copyfile(source, new)
    permissions.apply(new)
    new.replace(target)


def open_regular(path: Path) -> BinaryIO:
    """A file to be read, which anybody may have put there: opening it never waits.

    Raises ``OSError``, also for what is no regular file and for a name that no file can have.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "no file can have that name", str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_json(path: Path) -> Any:
    """What a JSON file holds, which anybody may have put there: never waits, never overflows.

    Raises ``OSError``, and ``ValueError`` for what is no JSON.
    """
    with open_regular(path) as stream:
        return parse_json(stream.read())


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ``ValueError`` for what is none, or is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_within(root: Path, path: Path) -> bytes:
    """The bytes of a file below ``root``, where something built may have left anything.

    Raises ``StepError`` for one that is not really there: a link that leads out of it, a pipe.
    """
    try:
        real, top = path.resolve(strict=True), root.resolve()
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if top in real.parents and stat.S_ISREG(os.fstat(descriptor).st_mode):
                return stream.read()
    except RuntimeError:  # links that lead to each other
        pass
    except OSError as error:
        raise from_os_error(error, "read what was built") from error
    raise StepError(
        f"what was built has a link that leads out of it, or no file, where a file belongs: {path}",
        remedy="what was built is broken or hostile; the log says what was run",
    )


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file, in hex. Raises ``OSError``."""
    digest = hashlib.new(algorithm, usedforsecurity=algorithm == "sha256")
    with open_regular(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush one file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a file or a whole tree, also one with read-only folders in it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):
        path.chmod(0o700)
    for folder, below, _ in os.walk(path):
        # Before they are walked into: what cannot be read has nothing in it for os.walk.
        for each in (Path(folder, name) for name in below):
            with contextlib.suppress(OSError):
                if not each.is_symlink():
                    each.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        shutil.rmtree(path)


def count(path: Path) -> int:
    """How many files and folders there are in a tree, itself included."""
    return 1 + sum(len(folders) + len(files) for _, folders, files in os.walk(path))

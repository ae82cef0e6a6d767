"""Locks: on files that may be removed without letting two processes in, and on places.

Who waits for a lock opens its file again and again. If it is removed in between by whoever held it,
the one who opened it last would hold a lock that nobody else can find. So a holder sees whether
its file is still the one of that name, and tries again if it is not. The kernel drops the lock of
a process that dies, so none has to be removed by hand.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tykky.errors import from_os_error
from tykky.files import NO_LOCKS, Permissions, insist, make_folder, text_at, write_file
from tykky.host import host_name, user_name
from tykky.store.place import Place


class Lock(FileLock):
    """A lock on a file; the kernel drops it when its process ends, however that comes."""

    def acquire(self, *arguments: Any, **options: Any) -> Any:
        """Take the lock of the file that has the name now. Raises ``Timeout``."""
        while True:
            held = super().acquire(*arguments, **options)
            if self._has_its_name():
                return held
            self.release()

    def _has_its_name(self) -> bool:
        descriptor = self._context.lock_file_fd
        try:
            return descriptor is None or os.path.samestat(
                os.fstat(descriptor), Path(self.lock_file).stat()
            )
        except FileNotFoundError:
            return False


def remove_unused(files: Iterable[Path]) -> int:
    """Remove the files of locks that nobody holds; how many there were.

    What cannot be removed, somebody else's say, stays.
    """
    removed = 0
    for file in files:
        with contextlib.suppress(OSError, Timeout), Lock(file, timeout=0):
            file.unlink()
            removed += 1
    return removed


def take(
    path: Path, permissions: Permissions, what: str, *, shown: bool = False, **options: float
) -> Lock | None:
    """Take the lock of a file, whose folder is made, to change ``what`` it is for.

    Only who may write there can open the file, since who can open it can lock it; one that is
    ``shown`` everybody may look at. ``None`` where the file system has no locks. Raises
    ``Timeout``, ``TykkyError``.
    """
    writers = permissions.folder & 0o222
    those = permissions if shown else replace(permissions, folder=writers | writers << 1)

    def attempt() -> Lock:
        make_folder(path.parent, permissions)
        _check_that_locks_work(path.parent)
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        # Who may make installs here may take the lock, whoever made its file.
        lock = Lock(path, mode=those.folder & 0o666)
        lock.acquire(**options)
        if (descriptor := lock._context.lock_file_fd) is not None:
            those.lock(descriptor)
        return lock

    try:
        return insist(attempt)
    except Timeout:
        raise
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise from_os_error(error, f"take the lock for {what}") from error


def _check_that_locks_work(folder: Path) -> None:
    """Raise ``OSError`` where they do not: some versions of filelock would wait for ever there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claim(
    place: Place,
    what: str,
    waiting: Callable[[str], None],
    permissions: Permissions,
    *,
    wait: bool = True,
) -> Iterator[bool]:
    """Hold the lock of a place while changing ``what`` is there.

    The owner is written beside the lock; ``waiting`` is called once, with a sentence that names
    it, if somebody else holds it. Gives whether it is held: not without ``wait`` if somebody else
    has it, and not where the file system has no locks. Raises ``TykkyError``.
    """
    file, owner = place.hidden / "lock", place.hidden / "owner"
    made = not place.prefix.exists()
    try:
        lock = take(file, permissions, what, timeout=0)
    except Timeout:
        if not wait:
            yield False
            return
        waiting(f"{what} is being changed by {holder(file, owner) or 'another process'}; waiting")
        lock = take(file, permissions, what, poll_interval=0.2)
    if lock is None:
        waiting(f"{place.prefix} is where no locks work: do not change {what} twice at once")
    else:
        with contextlib.suppress(Exception):  # who waits is told less, and that is all
            write_file(owner, _self().encode(), permissions, durable=False)
    try:
        yield lock is not None
    finally:
        with contextlib.suppress(OSError):
            owner.unlink()
        if lock is not None:
            _tidy(place, made)
            lock.release()


def _tidy(place: Place, made: bool) -> None:
    """Leave nothing of a place in which there is nothing; also not the lock, which is held."""
    if place.numbers or place.current:
        return
    with contextlib.suppress(OSError):
        for folder in (place.images, place.generation(1).parent):
            if folder.is_dir():
                folder.rmdir()
        if {path.name for path in place.hidden.iterdir()} <= {"lock", "launch"}:
            place.launcher.unlink(missing_ok=True)
            (place.hidden / "lock").unlink()
            place.hidden.rmdir()
        if (place.prefix / "bin").is_dir():
            (place.prefix / "bin").rmdir()
        if made:  # else what runs may have its image on it
            place.prefix.rmdir()
            place.prefix.parent.rmdir()  # only if nothing else is in it


def _self() -> str:
    """Who this process is, for those who wait for it."""
    job = os.environ.get("SLURM_JOB_ID")
    where = f"on {host_name()}, process {os.getpid()}" + (f", job {job}" if job else "")
    return f"{user_name()} {where}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


def holder(file: Path, owner: Path | None = None) -> str:
    """Who holds a lock, as ``owner`` says or this machine knows; empty if that is not known."""
    told = text_at(owner)[:300].replace("\n", " ").strip() if owner else ""
    processes = _processes(file)
    if not processes or any(f"process {number}," in told for number in processes):
        return told
    # Whoever has written that is gone, or has never held it.
    known = []
    for number in processes:
        with contextlib.suppress(OSError, KeyError):
            place = Path("/proc", str(number))
            user, name = pwd.getpwuid(place.stat().st_uid).pw_name, text_at(place / "comm")
            known.append(f"process {number} of {user} on {host_name()} ({name.strip()[:40]})")
    return ", ".join(known) or told


def is_held(file: Path, owner: Path) -> bool:
    """Whether somebody holds a lock that one may not open, as far as can be known."""
    told = text_at(owner)[:300]
    return bool(_processes(file) or (told and f" on {host_name()}," not in told))


def _processes(file: Path) -> list[int]:
    """The processes of this machine that hold the lock of a file."""
    try:
        number = file.stat().st_ino
        rows = [row.split() for row in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return []
    return [
        int(row[4])
        for row in rows
        if row[1:2] == ["FLOCK"] and row[5].endswith(f":{number}") and row[4].isdecimal()
    ]

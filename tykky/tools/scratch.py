"""The scratch directory of a build, on local disk.

Each is held under a lock while it is used. So what a killed build left can be told from what
is in use, and removed by the next build of the same, or by ``tykky gc``.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import Exit, StepError, TykkyError, explained
from tykky.files import discard, insist
from tykky.host import user_name

if TYPE_CHECKING:
    from filelock import FileLock


#: What may be written to, or into, where something built has left it.
_PLAIN = (stat.S_IFREG, stat.S_IFDIR)


@dataclass(frozen=True)
class Scratch:
    """The folders of one build; ``top`` becomes the image.

    ``below`` is where in that the environment is, if it is not all of it. ``upper`` has what was
    changed, if there was something at ``top`` before.
    """

    path: Path
    below: str = ""
    upper: Path | None = None

    @property
    def top(self) -> Path:
        """All that goes into the image."""
        return self.path / "root"

    @property
    def root(self) -> Path:
        """What lies over the prefix while building."""
        return self.top / self.below

    @property
    def home(self) -> Path:
        """The home directory of everything that is built and tested."""
        return self.path / "home"

    @property
    def tmp(self) -> Path:
        """What lies over /tmp."""
        return self.path / "tmp"

    @property
    def layer(self) -> Path:
        """Where what is built on top of images is taken apart from these."""
        return self.path / "layer"

    @property
    def empty(self) -> Path:
        """Where the tests of a stack start."""
        return self.path / "empty"

    def renew(self) -> None:
        """Remove what was built and what building left beside it: a stack works without."""
        for folder in (self.top, self.layer, self.home, self.tmp, self.empty):
            discard(folder)
        for folder in (self.home, self.tmp, self.empty):
            folder.mkdir()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory, empty at first; nothing is left of it afterwards."""
        with explained(f"build in {self.path.parent}", "build_dir"):
            lock = _take(self.path)
        try:
            with explained(f"build in {self.path.parent}", "build_dir"):
                discard(self.path)
                # For nobody else, who could run a program of another user's in it.
                self.path.mkdir(mode=0o700, parents=True)
                self.top.mkdir()
                self.empty.mkdir()
            yield
        finally:
            with contextlib.suppress(OSError):
                discard(self.path)
            with _guard(self.path.parent):
                _lock_of(self.path).unlink(missing_ok=True)
                lock.release()


def contained(root: Path, path: Path) -> Path:
    """The real path of ``path``, which counts from ``root``, with its folder made.

    What a build has run may have left links that lead to the installer's own files: one on the
    way raises ``StepError``; one in the last place, or a pipe there, is removed.
    """
    root = root.resolve()
    try:
        real = (root / path).parent.resolve() / path.name if path.name else root
    except (OSError, RuntimeError):  # links that lead to each other
        real = Path()
    if real != root and root not in real.parents:
        raise StepError(
            f"a link in the build leads out of it: {path.parent}",
            remedy="what was built is broken or hostile; the log says what was run",
        )
    if os.path.lexists(real) and stat.S_IFMT(real.lstat().st_mode) not in _PLAIN:
        real.unlink()
    real.parent.mkdir(parents=True, exist_ok=True)
    return real


def classic_folder(base: str | Path) -> Path:
    """Where the classic commands build, in the directory for temporary files that they are told."""
    return Path(base) / f"tykky-classic-{user_name()}"


def sweep(build_dir: Path, *, dry_run: bool = False, logs: float = math.inf) -> int:
    """Remove what killed builds left; returns how many there were, or would be with ``dry_run``.

    Logs that no build writes to go if they are older than ``logs`` seconds.
    """
    from filelock import FileLock, Timeout

    if not os.path.lexists(build_dir):
        return 0
    own_folder(build_dir)
    swept = 0
    with contextlib.suppress(FileNotFoundError), _guard(build_dir):
        # A lock alone is what stays where it could not be removed.
        names = {path.name.removesuffix(".lock") for path in build_dir.iterdir()}
        for path in (build_dir / name for name in names if re.fullmatch("[0-9a-f]{16}", name)):
            lock = _lock_of(path)
            if lock.exists() and not lock.is_file():
                continue  # nobody's
            with contextlib.suppress(Timeout), FileLock(lock, timeout=0):
                if not dry_run:
                    discard(path)
                    lock.unlink(missing_ok=True)
                swept += 1
        if dry_run:
            return swept
        under_way = {path.name[:8] for path in build_dir.glob("*.lock")}
        for log in build_dir.glob("logs/*/*.log"):
            if log.stem[-8:] not in under_way and time.time() - log.lstat().st_mtime >= logs:
                log.unlink()
        for folder in (*build_dir.glob("logs/*"), build_dir / "logs", build_dir):
            with contextlib.suppress(OSError):  # what is not empty stays
                folder.rmdir()
    return swept


def _take(path: Path) -> FileLock:
    """The lock of a scratch directory, waited for; the guard is not held meanwhile."""
    from filelock import FileLock, Timeout

    while True:
        own_folder(path.parent)
        # Another build that ends may remove the build directory in between.
        with contextlib.suppress(Timeout, FileNotFoundError), _guard(path.parent):
            lock = FileLock(_lock_of(path))
            lock.acquire(timeout=0)
            return lock
        time.sleep(0.2)


def own_folder(path: Path) -> None:
    """Make the build directory, closed to others; refuse one that somebody else laid out.

    It usually lies below /tmp, where anybody may have made a folder or link of that name.
    """

    def make() -> os.stat_result:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.lstat()  # unless the last build there has just removed it

    status = insist(make, 100)
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise TykkyError(
            f"the build directory {path} is no directory, or belongs to somebody else, or can be "
            "written to by others",
            remedy="remove it, or choose another: 'tykky config set build_dir DIR'",
            code=Exit.NOT_WRITABLE,
        )


@contextlib.contextmanager
def _guard(build_dir: Path) -> Iterator[None]:
    """Held while locks are taken or removed: nobody then holds one whose file is gone."""
    descriptor = os.open(build_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")

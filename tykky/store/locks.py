"""Locks on files, whose files may be removed without letting two processes in.

Who waits for a lock opens its file again and again. If it is removed in between by whoever held it,
the one who opened it last would hold a lock that nobody else can find. So a holder sees whether
its file is still the one of that name, and tries again if it is not.

Public names: ``Lock``, ``remove_unused``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


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

"""The journal of a root: a line for each change of anything, by whom, when and why.

It is only ever added to. A line that was torn, by a full disk or a crash, is left out, and the next
one begins anew; nothing depends on it but who wants to know.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.errors import explained
from tykky.files import NO_LOCKS, make_folder
from tykky.store.state import Event

if TYPE_CHECKING:
    from tykky.store import Store


def path_of(store: Store) -> Path:
    """Where the journal of a root is."""
    return store.root / "journal.jsonl"


def add(store: Store, module: str, event: Event) -> None:
    """Add a line, safe on disk when this returns. Raises ``TykkyError``."""
    path = path_of(store)
    text = json.dumps({"module": module, **asdict(event)}).encode() + b"\n"
    with explained(f"write to {path}"):
        make_folder(path.parent, store.permissions)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, store.permissions.folder & 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            store.permissions.lock(descriptor)
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" * bool(torn) + text)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def events(store: Store, last: int = 0) -> list[dict[str, Any]]:
    """The events, the oldest first; only the ``last`` so many, if not 0. Raises ``OSError``."""
    lines: list[bytes] = []
    with contextlib.suppress(FileNotFoundError), path_of(store).open("rb") as stream:
        lines = stream.readlines()
    found: list[dict[str, Any]] = []
    for line in reversed(lines):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            data = json.loads(line)
            found.append({"module": str(data.pop("module")), **asdict(Event(**data))})
        if last and len(found) == last:
            break
    return found[::-1]

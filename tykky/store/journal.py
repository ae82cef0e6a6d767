"""The journal of a root: a line for each change of anything, by whom, when and why.

It is only ever added to. A line that was torn, by a full disk or a crash, is left out, and the next
one begins anew; nothing depends on it but who wants to know. Each line has a digest of itself and
of the line before. So one that was changed, or taken out, is found, unless all after it were
written anew as well; those at the end of which nothing is left are not.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.errors import explained
from tykky.files import NO_LOCKS, make_folder
from tykky.store.state import Event
from tykky.store.written import Fault

if TYPE_CHECKING:
    from tykky.store import Store


#: What the digest of a line is called in it, and more bytes than any line has.
_DIGEST, _LONGEST = "digest", 1 << 20
#: Seconds that a line waits for those of others, which take a moment each.
_PATIENCE = 60


def path_of(store: Store) -> Path:
    """Where the journal of a root is."""
    return store.root / "journal.jsonl"


def add(store: Store, module: str, event: Event) -> None:
    """Add a line, safe on disk when this returns. Raises ``TykkyError``."""
    path = path_of(store)
    data = {"module": module, **asdict(event)}
    with explained(f"write to {path}"):
        make_folder(path.parent, store.permissions)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, store.permissions.folder & 0o666)
        try:
            _lock(descriptor)
            store.permissions.lock(descriptor)
            size = os.fstat(descriptor).st_size
            end = os.pread(descriptor, _LONGEST, max(0, size - _LONGEST))
            torn = b"" if end.endswith(b"\n") or not end else b"\n"
            last = end.removesuffix(b"\n").rpartition(b"\n")[2]
            text = json.dumps({**data, _DIGEST: _digest(last, data)}).encode()
            os.write(descriptor, torn + text + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Keep others from writing meanwhile; nobody does that for long.

    Everybody may read the file, and so hold its lock: who does that for ever ends no install.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                return
            time.sleep(0.02)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return
            raise


def events(store: Store, last: int = 0) -> list[dict[str, Any]]:
    """The events, the oldest first; only the ``last`` so many, if not 0. Raises ``OSError``."""
    lines: list[bytes] = []
    with contextlib.suppress(FileNotFoundError), path_of(store).open("rb") as stream:
        lines = stream.readlines()
    found: list[dict[str, Any]] = []
    for line in reversed(lines):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            data = json.loads(line)
            data.pop(_DIGEST, None)
            found.append({"module": str(data.pop("module")), **asdict(Event(**data))})
        if last and len(found) == last:
            break
    return found[::-1]


def faults(store: Store) -> Iterator[Fault]:
    """The first line that is not as it was written, if there is one. Raises ``OSError``.

    Those that an earlier Tykky has written have no digest; no such line follows one that has.
    """
    path, last, chained = path_of(store), b"", False
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            data = json.loads(line)
            digest = data.pop(_DIGEST, "")
            good = digest == _digest(last, data) if digest or chained else True
            chained = chained or bool(digest)
        except (ValueError, TypeError, AttributeError):
            good = True  # torn: the digest of the next one tells whether it was so from the first
        if not good:
            wrong = f"was changed: line {number}, or the one before it, is not what was written"
            aside = shlex.join(["mv", str(path), f"{path}.{number}"])
            yield Fault(path, wrong, f"keep it for whoever looks into that: '{aside}'")
            return
        last = line


def _digest(last: bytes, data: Mapping[str, Any]) -> str:
    """The digest of a line, which has that of the line before in it."""
    return hashlib.sha256(last + b"\n" + json.dumps(data).encode()).hexdigest()

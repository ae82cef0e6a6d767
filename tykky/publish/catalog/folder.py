"""The folder of a catalogue: what is in it is ours, and known by a list; nothing else is touched.

The list is written before what is new in it, and again when all is there: so whatever a killed run
has left is known, and nobody's file is taken for ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tykky.errors import Exit, StoreError, TykkyError, explained, from_os_error
from tykky.files import Permissions, make_folder, parse_json, read_small, write_file
from tykky.store.record import is_a

#: The list of what is ours, and the lock of who writes.
LIST, _LOCK = ".tykky-catalog.json", ".tykky-catalog.lock"
FORMAT = 1
_WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
#: All that a catalogue can have in it: a list that somebody has changed deletes nothing else.
_OURS = re.compile(
    rf"stacks/{_WORD}/(index\.html|stack\.json|versions/{_WORD}\.html)|search/[a-z]+[0-9]*\.js"
    r"|[a-z]+\.(html|css|js|svg|json|xml)"
)
#: The most bytes of what is read again; seconds that somebody else is waited for.
_LARGEST, _PATIENCE = 1 << 28, 600


@dataclass
class Folder:
    """A folder that a catalogue is written to; use it within :func:`opened`.

    ``known`` has what was kept of the last run. ``written`` counts.
    """

    path: Path
    permissions: Permissions
    known: dict[str, Any]
    _old: dict[str, str]
    #: The digests of files that are read again: what somebody has changed is made anew.
    _sums: dict[str, str]
    _new: dict[str, str] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)
    _folders: set[Path] = field(default_factory=set)
    written: int = 0
    removed: int = 0

    def has(self, name: str, digest: str) -> bool:
        """Whether a file is there that was made from the same; then it stays."""
        if self._old.get(name) == digest and (self.path / name).is_file():
            self._new[name] = digest
            return True
        return False

    def put(self, name: str, make: Callable[[], str], digest: str = "") -> None:
        """Let a file be what ``make`` gives, if it is not yet: by a digest of what that is from.

        Raises ``TykkyError``.
        """
        if digest and self.has(name, digest):
            return
        data = make().encode(errors="replace")
        found = _sum(data)
        digest = digest or found
        if not self.has(name, digest):
            self._check(name)
            write_file(self.path / name, data, self.permissions, durable=False)
            self._new[name] = digest
            if name.endswith("/stack.json"):
                self._sums[name] = found
            self.written += 1

    def is_whole(self) -> bool:
        """Whether all that the last run has written is there."""
        return all(self._old.values()) and all((self.path / name).is_file() for name in self._old)

    def read(self, name: str) -> Any:
        """What the last run has written as JSON; nothing if it is not there as it was written."""
        if name in self._old:
            with contextlib.suppress(OSError, ValueError):
                path = self.path / name
                text = path.read_bytes() if path.stat().st_size < _LARGEST else b""
                if _sum(text) == self._sums.get(name):
                    return parse_json(text)
            self._old[name] = ""
        return None

    def expect(self, names: set[str]) -> None:
        """Note what is to be written, before it is. Raises ``TykkyError``."""
        for name in sorted(names - {*self._old}):
            if os.path.lexists(self.path / name):
                raise StoreError(
                    f"{self.path / name} is there already, and is none of a catalogue's files",
                    remedy="choose a directory that is empty, or is a catalogue's",
                    code=Exit.CONFLICT,
                )
        if not names <= {*self._old} | self._noted:
            self._noted |= names
            self._keep({**dict.fromkeys(self._noted, ""), **self._old}, self.known)

    def finish(self, known: Mapping[str, Any], *, sure: bool) -> None:
        """Remove what is gone, if that is ``sure``, and keep what is ``known`` for the next run.

        Raises ``TykkyError``.
        """
        if not sure:
            self._new = {**self._old, **self._new}
        gone = ({*self._old} | self._noted) - {*self._new}
        with explained(f"remove what is gone from {self.path}"):
            for name in sorted(gone):
                self._remove(name)
        if known != self.known or self._new != self._old or self._noted:
            self._keep(self._new, known)

    def _remove(self, name: str) -> None:
        path = self.path / name
        if not self._is_link(path.parent):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
                self.removed += 1
            with contextlib.suppress(FileNotFoundError):  # of one who was killed
                path.with_name(f".{path.name}.new").unlink()
            for folder in path.parents[: len(Path(name).parts) - 1]:
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _keep(self, files: Mapping[str, str], known: Mapping[str, Any]) -> None:
        sums = {name: digest for name, digest in self._sums.items() if name in files}
        data = {"format": FORMAT, "files": dict(files), "sums": sums, "known": dict(known)}
        text = json.dumps(data, separators=(",", ":"), sort_keys=True) + "\n"
        write_file(self.path / LIST, text.encode(), self.permissions)

    def _check(self, name: str) -> None:
        """Make the folder of a file, and see that none leads elsewhere."""
        folder = (self.path / name).parent
        if folder not in self._folders:
            if self._is_link(folder):
                cause = f"{folder} leads elsewhere by a link, and is not written to"
                raise StoreError(cause, remedy="remove the link", code=Exit.CONFLICT)
            with explained(f"write to {folder}"):
                make_folder(folder, self.permissions)
            self._folders.add(folder)

    def _is_link(self, folder: Path) -> bool:
        inner = [each for each in (folder, *folder.parents) if self.path in each.parents]
        return any(each.is_symlink() for each in inner)


@contextmanager
def opened(path: Path, permissions: Permissions) -> Iterator[Folder]:
    """A folder to write a catalogue to, alone as far as there are locks. Raises ``TykkyError``."""
    from tykky.store import claims

    lock = None
    try:
        with explained(f"make {path}", "catalog.output"):
            make_folder(path, permissions)
        lock = claims.take(path / _LOCK, permissions, f"the catalogue {path}", timeout=_PATIENCE)
        old, sums, known = _listed(path)
        yield Folder(path, permissions, known, old, sums)
    except TimeoutError:
        cause = f"somebody has been at work on the catalogue {path} for {_PATIENCE // 60} minutes"
        raise StoreError(cause, remedy="try again later", code=Exit.CONFLICT) from None
    except TykkyError as error:
        if isinstance(error.__cause__, OSError):  # with the remedy for this directory
            raise from_os_error(error.__cause__, f"write to {path}", "catalog.output") from None
        raise
    finally:
        if lock is not None:
            lock.release()


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:20]


def _listed(path: Path) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """What the list says of a folder: its files, digests of some, and what was known."""
    try:
        data = parse_json(read_small(path / LIST))
        if data["format"] > FORMAT:
            cause = f"{path} was written by a newer Tykky, and is left alone"
            raise StoreError(cause, remedy="use that Tykky", code=Exit.NEWER)
        files, known = data["files"], data["known"]
        versions = {name: each["versions"] for name, each in known.get("names", {}).items()}
        if not (
            is_a("Mapping[str, str]", files)
            and is_a("Mapping[str, str]", data["sums"])
            and is_a("Mapping[str, Mapping[str, str]]", versions)
            and all(is_a("Mapping[str, str]", each) for each in known.get("gone", []))
        ):
            raise ValueError("it was changed by others")
        files = {name: made_from for name, made_from in files.items() if _OURS.fullmatch(name)}
        return files, data["sums"], known
    except FileNotFoundError:
        return {}, {}, {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path / LIST}, by which a catalogue knows its own files, cannot be read: {error}",
            remedy=f"empty {path}, and make the catalogue again",
            code=Exit.DAMAGED,
        ) from None

"""Which modules a test may import: what the wheels of a lock have in them.

Of a wheel that is not kept here already, its list of files and its metadata are read, by ranges,
and nothing else.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from keyword import iskeyword
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tykky import fetch
from tykky.errors import TykkyError
from tykky.lock import Lock, Package, canonical
from tykky.tools import uv, wheels

if TYPE_CHECKING:
    from tykky.config import Config

#: Modules that a test does not name, although projects have them at their top.
_ASIDE = re.compile(r"_.*|tests?|testing|docs?|examples?|benchmarks?|scripts|setup|conftest|bin")
#: What looking into a wheel raises that cannot be had or is damaged: an install will say it better.
_PROBLEMS = (
    *(TykkyError, OSError, EOFError, KeyError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
#: How many modules a test imports of one project, and how much of a file is read at once, in bytes.
_EACH, _BLOCK = 3, 1 << 16
#: As many projects may be asked for one by one; more are what some environment has.
_FEW = 20


def modules(lock: Lock, asked: Iterable[str], config: Config) -> tuple[str, ...]:
    """The modules of the projects that were asked for; of many, those that no other of them needs.

    Nothing of a project whose wheel cannot be looked into.
    """
    names = {canonical(name) for name in asked} - {"pip", "setuptools", "wheel"}
    wanted = [p for p in lock.packages if canonical(p.name) in names and p.file.endswith(".whl")]
    found = fetch.together(lambda package: _look(package, config), wanted)
    needed = {name for _, requires in found for name in requires}
    tops = [
        (package, each)
        for package, (each, _) in zip(wanted, found, strict=True)
        if len(wanted) <= _FEW or canonical(package.name) not in needed
    ]
    return tuple(sorted({name for p, each in tops for name in chosen(p.name, each)}, key=str.lower))


def chosen(project: str, files: Iterable[str]) -> list[str]:
    """The modules that a project is known by, from its files: the one of its name, or the first."""
    found = _modules(files)
    own = [name for name in found if canonical(name.replace(".", "-")) == canonical(project)]
    return own or found[:_EACH]


def _modules(files: Iterable[str]) -> list[str]:
    """The packages and modules at the top of some files, those of namespaces by their full name."""
    there: set[tuple[str, ...]] = set()
    for file in files:
        path = PurePosixPath(file)
        if path.name == "__init__.py":
            there.add(path.parent.parts)
        elif len(path.parts) == 1 and path.suffix in (".py", ".so"):
            there.add((path.name.partition(".")[0],))
    tops = [parts for parts in there if not any(parts[:n] in there for n in range(1, len(parts)))]
    return [".".join(parts) for parts in sorted(tops) if parts and all(map(_is_module, parts))]


def _is_module(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name) and not _ASIDE.fullmatch(name)


def _look(package: Package, config: Config) -> tuple[list[str], set[str]]:
    """The files of a wheel, and the projects that it needs; nothing if that cannot be told."""
    with contextlib.suppress(*_PROBLEMS):
        kept = fetch.kept(package.sha256, config.cache_dir)
        if kept is not None:
            with zipfile.ZipFile(kept) as wheel:
                return _told(wheel)
        address = package.url or wheels.address_of(package, uv.indexes(config), config.timeout)
        if address.startswith(("https://", "http://")):
            with zipfile.ZipFile(_Remote(address, config.timeout)) as wheel:
                return _told(wheel)
    return [], set()


def _told(wheel: zipfile.ZipFile) -> tuple[list[str], set[str]]:
    files = [name for name in wheel.namelist() if ".data/" not in name]
    metadata = next((name for name in files if name.endswith(".dist-info/METADATA")), "")
    lines = wheel.read(metadata).decode(errors="replace").partition("\n\n")[0].splitlines()
    needed = (
        line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line
    )
    names = (re.search(r":\s*([A-Za-z0-9._-]+)", line) for line in needed)
    return files, {canonical(name[1]) for name in names if name}


class _Remote(io.RawIOBase):
    """A file of a server that gives parts of it, the last block at once."""

    def __init__(self, address: str, patience: int) -> None:
        import requests

        self._session = requests.Session()
        self._address = address
        self._patience = (fetch.CONNECT, patience)
        self._at = 0
        self._start, self._block = 0, b""
        self._size = _BLOCK
        said = self._ask(f"bytes=-{_BLOCK}", _BLOCK)
        self._size = int(said.rpartition("/")[2])
        self._start = self._size - len(self._block)

    def _ask(self, part: str, most: int) -> str:
        """Have another block, of as many bytes at most; what the server says it is."""
        import requests

        try:
            with self._session.get(
                self._address,
                headers={"Range": part, "Accept-Encoding": "identity"},
                timeout=self._patience,
                verify=fetch.certificates(),
                stream=True,
            ) as answer:
                if answer.status_code != 206:
                    raise OSError(f"the server gives no parts: {answer.status_code}")
                self._block = answer.raw.read(most)
                return str(answer.headers.get("Content-Range", ""))
        except requests.RequestException as error:
            raise OSError(str(error)) from None

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence, self._size)
        return self._at

    def tell(self) -> int:
        """Where that is."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The bytes from here on, as many as are asked for unless it ends before."""
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if not self._start <= self._at <= end <= self._start + len(self._block):
            last = min(max(end, self._at + _BLOCK), self._size) - 1
            self._ask(f"bytes={self._at}-{last}", last + 1 - self._at)
            self._start = self._at
        found = self._block[self._at - self._start : end - self._start]
        self._at += len(found)
        return found

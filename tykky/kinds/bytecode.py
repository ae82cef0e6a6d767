"""Byte code of wheels: compiled once for each Python, and kept beside the downloads.

What is kept is made of a file whose digest is in a lock and of nothing else, by a Python of the
base, in a box where no code of packages runs and nothing is that a build could have written. Its
name says of what it was made, and its digest; and nobody else may write where it is kept.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import trust
from tykky.bases import ImageBase
from tykky.errors import TykkyError
from tykky.files import Permissions, discard, open_regular, read_within, write_file
from tykky.lock import digest_of
from tykky.tools import uv, wheels
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.lock import Package

#: Changes with ``compiling.py``.
_FORMAT = 1
#: What distinguishes a Python from all that would compile in another way.
_ASK = "import sys; print(sys.implementation, sys.version, sys.flags)"
#: Where the byte code of wheels is in the box of a build, and in one where it is made: the script.
_READY, _SCRIPT = Path("/tmp/bytecode"), Path("/tmp/compiling.py")
#: Bytes of a wheel that is compiled by several processes, and not beside others.
_LARGE = 1 << 20


def provide(box: RealBox, packages: Sequence[Package], python: Path) -> list[Path]:
    """Let a box have the byte code of wheels, as a Python of its base compiles it; where it is.

    What cannot be had this way is left out. Raises ``TykkyError`` if a wheel is not there any more.
    """
    base, here, said = box.base, box.scratch.path / "bytecode", str(python)
    if not (isinstance(base, ImageBase) and base.file):  # whose digest says it
        said = _alone(box, "python")[0].run([python, "-I", "-S", "-c", _ASK], say="byte code")
    here.mkdir(exist_ok=True)
    asked = [_FORMAT, base.digest, said]
    wanted = {digest_of([*asked, p.sha256]): p for p in packages if p.file.endswith(".whl")}
    ready: dict[str, Path] = {}

    def put(key: str, code: bytes) -> None:
        # A copy, of what was verified: somebody may tidy up the cache meanwhile.
        (copy := here / key).write_bytes(code)
        ready[key] = box.files[copy] = _READY / key[:16]

    folder = _folder(box)
    for key, code in _kept(folder, wanted) if folder else ():
        put(key, code)
    missing = {key: package for key, package in wanted.items() if key not in ready}
    for key, code in _compiled(box, missing, python):
        put(key, code)
        if folder:
            with suppress(TykkyError):  # a full disk, say
                name = f"{key}-{hashlib.sha256(code).hexdigest()}"
                write_file(folder / name, code, Permissions(), durable=False)
    return [ready[key] for key in sorted(ready)]


def _folder(box: RealBox) -> Path | None:
    """Where byte code is kept; ``None`` if that cannot be, or somebody else may write to it."""
    folder = box.config.cache_dir / "bytecode"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        next(folder.iterdir(), None)
        why = "" if _is_own(folder.lstat()) else "others may write to it"
        if found := trust.opening(folder):
            why = f"{found.path} {found.why}"
    except OSError as error:
        why = str(error)
    if why:
        box.log.write(
            f"# byte code is not kept in {folder}: {why}\n".encode(errors="backslashreplace")
        )
    return None if why else folder


def _is_own(status: os.stat_result) -> bool:
    return not (trust.is_foreign(status.st_uid) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _kept(folder: Path, keys: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
    """The byte code that is kept and whole; what is not is removed."""
    for path in folder.iterdir():
        key, _, digest = path.name.partition("-")
        if key in keys:
            with suppress(OSError):
                with open_regular(path) as stream:
                    is_own, code = _is_own(os.fstat(stream.fileno())), stream.read()
                if is_own and hashlib.sha256(code).hexdigest() == digest:
                    yield key, code
                else:
                    path.unlink()


def _compiled(
    box: RealBox, missing: Mapping[str, Package], python: Path
) -> Iterator[tuple[str, bytes]]:
    """Compile wheels: large ones after each other, small ones beside each other."""
    if not missing:
        return
    packages, config = list(missing.values()), box.config
    files = wheels.provide(packages, uv.indexes(config), config, box.say, {})
    large = [p for p in packages if files[p.file].stat().st_size >= _LARGE]
    small = [p for p in packages if p not in large]
    codes = {p: _compile(box, files, python, box.jobs, p) for p in large}
    with ThreadPoolExecutor(box.jobs) as pool:
        codes |= zip(small, pool.map(partial(_compile, box, files, python, 1), small), strict=True)
    for key, package in missing.items():
        if (code := codes[package]) is not None:
            yield key, code


def _compile(
    box: RealBox, files: Mapping[str, Path], python: Path, jobs: int, package: Package
) -> bytes | None:
    """What ``compiling.py`` makes of a wheel; ``None`` if it fails, which the log tells."""
    (own, here), wheel = _alone(box, package.sha256), Path("/tmp", package.file)
    own.files = {files[package.file]: wheel, Path(__file__).with_name(_SCRIPT.name): _SCRIPT}
    target = own.prefix / "code"
    # Not isolated: Python 3.10 writes sets in the order of hashes, which a variable settles.
    line: list[str | Path] = [python, "-s", "-S", _SCRIPT, wheel, target, str(jobs)]
    try:
        own.run(line, say=f"byte code of {package.name}")
        return read_within(own.scratch.root, own.scratch.root / target.name)
    except TykkyError:
        return None
    finally:
        with suppress(OSError):
            discard(here)


@dataclass(frozen=True)
class _Corner(Scratch):
    """Folders of its own in the scratch directory of a build, whose root directory it shares."""

    name: str = ""

    @property
    def here(self) -> Path:
        """Where they are."""
        return self.path / "bytecode" / self.name

    @property
    def top(self) -> Path:
        return self.here / "root"

    @property
    def home(self) -> Path:
        return self.here / "home"

    @property
    def tmp(self) -> Path:
        return self.here / "tmp"


def _alone(box: RealBox, name: str) -> tuple[RealBox, Path]:
    """A box with the same base, with nothing in it that a build has left, and no way out.

    Also where its folders are.
    """
    corner = _Corner(box.scratch.path, name=name)
    own = replace(box, scratch=corner, variables={}, files={}, reads=(), network=False, nests=False)
    return own, corner.here

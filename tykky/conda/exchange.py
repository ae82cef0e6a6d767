"""Taking the files of packages out of an environment, and putting others in.

Both touch only what they have to. A file that more than one package has is nobody's to take or to
put: rattler settles that by looking at all packages, so that it is left to it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

#: Where rattler has the files of packages whose names others have: then the package's name.
_CLASHES = "__clobbers__"


class Shared(Exception):
    """A file that is not one package's alone."""


def take_out(prefix: Path, stems: Iterable[str]) -> None:
    """Remove packages, their byte code, and the folders that nothing is left in.

    Raises ``Shared``, with the environment half changed.
    """
    clashes = {file for own in prefix.glob(f"{_CLASHES}/*") for file in _files(own)}
    folders: dict[Path, set[str]] = {}
    for stem in stems:
        path = prefix / "conda-meta" / f"{stem}.json"
        for name in json.loads(path.read_text(encoding="utf-8"))["files"]:
            file = prefix / name
            if name in clashes or name.startswith(f"{_CLASHES}/"):
                raise Shared(f"another package has {name} of {stem} as well")
            modules = folders.setdefault(file.parent, set())
            if file.suffix == ".py":
                modules.add(file.stem)
            if not os.path.lexists(file) and file.suffix != ".pyc":
                raise Shared(f"something else has changed {name} of {stem}")
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                file.unlink()
        path.unlink()
    for folder, modules in folders.items():
        for code in folder.glob("__pycache__/*.pyc") if modules else ():
            if code.name.partition(".")[0] in modules:
                code.unlink()
    every = {each for folder in folders for each in (folder, *folder.parents)}
    inside = (each for each in every if prefix in each.parents)
    for folder in sorted(inside, key=lambda path: -len(path.parts)):
        for each in (folder / "__pycache__", folder):
            with contextlib.suppress(OSError):  # what is not empty stays
                each.rmdir()


def _files(folder: Path) -> Iterable[str]:
    for where, _, names in os.walk(folder):
        yield from (str(Path(where, name).relative_to(folder)) for name in names)


def put_in(side: Path, prefix: Path, where: str = "") -> None:
    """Move all from a folder beside into an environment. Raises ``Shared`` for what is there."""
    if found := next(iter(_files(side / _CLASHES)), ""):
        raise Shared(f"two packages that came have {found.partition('/')[2]}")
    for name in sorted(os.listdir(side)):  # noqa: PTH208
        own, there = side / name, prefix / name
        if own.is_dir() and not own.is_symlink() and there.is_dir() and not there.is_symlink():
            put_in(own, there, f"{where}{name}/")
        elif os.path.lexists(there):
            raise Shared(f"something else has {where}{name} of what came")
        else:
            own.rename(there)

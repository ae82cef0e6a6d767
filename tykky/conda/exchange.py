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

#: In the name of a file whose own name a later package has taken.
_CLASH = "__clobber-from-"


class Shared(Exception):
    """A file that is not one package's alone."""


def take_out(prefix: Path, stems: Iterable[str]) -> None:
    """Remove packages, their byte code, and the folders that nothing is left in.

    Raises ``Shared``, with the environment half changed.
    """
    folders: dict[Path, set[str]] = {}
    for stem in stems:
        path = prefix / "conda-meta" / f"{stem}.json"
        for name in json.loads(path.read_text(encoding="utf-8"))["files"]:
            file = prefix / name
            modules = folders.setdefault(file.parent, set())
            if file.suffix == ".py":
                modules.add(file.stem)
            if _CLASH in name or not (os.path.lexists(file) or file.suffix == ".pyc"):
                raise Shared(f"something else has changed {name} of {stem}")
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                file.unlink()
        path.unlink()
    for folder, modules in folders.items():
        for code in folder.glob("__pycache__/*.pyc") if modules else ():
            if code.name.partition(".")[0] in modules:
                code.unlink()
    more = {above for each in folders for above in each.parents if prefix in above.parents}
    for folder in sorted({*folders, *more} - {prefix}, key=lambda path: -len(path.parts)):
        for each in (folder / "__pycache__", folder):
            with contextlib.suppress(OSError):  # what is not empty stays
                each.rmdir()
    for folder in folders:
        names = os.listdir(folder) if folder.is_dir() else ()  # noqa: PTH208
        if found := next((name for name in names if _CLASH in name), ""):
            raise Shared(f"{found} has been another package's as well")


def put_in(side: Path, prefix: Path, where: str = "") -> None:
    """Move all from a folder beside into an environment. Raises ``Shared`` for what is there."""
    for name in sorted(os.listdir(side)):  # noqa: PTH208
        own, there = side / name, prefix / name
        if _CLASH in name:
            raise Shared(f"two packages that came have {where}{name.partition(_CLASH)[0]}")
        is_folder = own.is_dir() and not own.is_symlink()
        if is_folder and there.is_dir() and not there.is_symlink():
            put_in(own, there, f"{where}{name}/")
        elif os.path.lexists(there):
            raise Shared(f"something else has {where}{name} of what came")
        else:
            if is_folder:
                _check(own, f"{where}{name}/")
            own.rename(there)


def _check(folder: Path, where: str) -> None:
    for path in folder.rglob(f"*{_CLASH}*"):
        name = path.name.partition(_CLASH)[0]
        raise Shared(f"two packages that came have {where}{name}")

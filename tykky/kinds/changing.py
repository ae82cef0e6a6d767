"""Making of the packages that are there those of another lock, with nothing left over."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import contents
from tykky.console import plural
from tykky.lock import Package, canonical
from tykky.tools import uv
from tykky.tools.overlay import NoLayers

if TYPE_CHECKING:
    from tykky.build.box import Box, RealBox


def added(box: Box) -> Sequence[Package]:
    """The wheels of the lock, but for those that are there already."""
    before = box.before.packages if box.before is not None else ()
    there = {(package.name, package.sha256) for package in before}
    packages = box.lock.packages
    return [p for p in packages if not p.is_conda and (p.name, p.sha256) not in there]


def gone(box: Box) -> list[str]:
    """The names of wheels that are there and not in the lock, or as another file."""
    kept = {(package.name, package.sha256) for package in box.lock.packages}
    before = box.before.packages if box.before is not None else ()
    return [p.name for p in before if not p.is_conda and (p.name, p.sha256) not in kept]


def change(box: Box, python: Path, source: Sequence[str], version: str, what: str) -> None:
    """Uninstall what is not in the lock any more, and install what has come.

    Raises ``NoLayers`` if two packages have a file in common: it is the last one's, and is lost
    with the first that goes.
    """
    out, files = gone(box), list[Path]()
    if out:
        alone = "see that nothing else has files of what goes"
        box.do(alone, lambda real: files.extend(_alone(real, out)))
        line: list[str | Path] = [uv.program(), "pip", "uninstall", "--python", python, *out]
        box.run(line, env=uv.offline(box.config), say=f"{plural(len(out), 'package')} out")
        box.do("remove folders with nothing in them any more", lambda real: _prune(real, files))
    new = added(box)
    if new:
        uv.install(box, new, source, version, what)
        names = [package.name for package in new]
        alone = "see that nothing else has files of what came"
        box.do(alone, lambda real: files.extend(_alone(real, names)))


def _alone(real: RealBox, names: Collection[str]) -> list[Path]:
    """The files of packages. Raises ``NoLayers`` if one is another's, too."""
    wanted = {canonical(name) for name in names}
    top = real.real(".")
    own: dict[str, str] = {}
    records = [*top.glob("lib/python3*/site-packages/*.dist-info/RECORD")]
    names_of = {path: canonical(path.parent.name.partition("-")[0]) for path in records}
    # First those that are asked for, then all others.
    for path in sorted(records, key=lambda path: names_of[path] not in wanted):
        name = names_of[path]
        for file in _files(path):
            if file in own:
                raise NoLayers(f"{name} and {own[file]} have the same file, {file}")
            if name in wanted:
                own[file] = name
    return [path.parents[1] / file for file in own for path in records[:1]]


def _prune(real: RealBox, files: Sequence[Path]) -> None:
    """Remove the folders of files that are gone, as far as they are empty.

    Raises ``NoLayers`` for one with nothing but folders in it: no RECORD tells whose they are.
    """
    top, stay = real.real("."), set[Path]()
    for folder in sorted({Path(os.path.normpath(file)).parent for file in files}, reverse=True):
        while top in folder.parents:
            try:
                folder.rmdir()
                stay.discard(folder)
            except FileNotFoundError:
                pass
            except OSError:
                stay.add(folder)
                break
            folder = folder.parent
    for folder in stay:
        for child in folder.iterdir():
            if _is_hollow(child):
                raise NoLayers(f"{child.relative_to(top)} has no files, and may be what goes")


def _is_hollow(path: Path) -> bool:
    """Whether it is a folder with nothing in it, or folders of which that holds."""
    return path.is_dir() and not path.is_symlink() and all(map(_is_hollow, path.iterdir()))


def _files(record: Path) -> Iterator[str]:
    """The files of a package: as its RECORD says, but for byte code, which is made of them.

    Each has one name, whatever dots and slashes the package has in it.
    """
    with record.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        for row in csv.reader(stream):
            if row and not row[0].endswith(".pyc"):
                yield os.path.normpath(row[0])


def check_conda(real: RealBox) -> None:
    """Raise ``NoLayers`` if one cannot tell what a change of conda packages would come to.

    What packages do when they are in place is done once all are there: it may look at any.
    """
    programs = real.real("bin")
    for end in ("post-link", "pre-unlink"):
        for path in programs.glob(f".*-{end}.sh"):
            name = path.name.removesuffix(f"-{end}.sh")[1:]
            raise NoLayers(f"{name} has a script that may look at what changes")


def check_apart(real: RealBox) -> None:
    """Raise ``NoLayers`` if a conda package and one of pip have a file in common.

    It is the latter's, and with that the former's would have to come back.
    """
    before = real.before.packages if real.before is not None else ()
    if all(package.is_conda for package in (*before, *real.lock.packages)):
        return
    top, own = real.real("."), dict[str, str]()
    for path in top.glob("lib/python3*/site-packages/*.dist-info/INSTALLER"):
        if path.read_bytes().strip() == b"uv" and (record := path.with_name("RECORD")).is_file():
            folder = path.parents[1].relative_to(top)
            for file in _files(record):
                own[os.path.normpath(folder / file)] = path.parent.name
    for conda in contents.records(top):
        for file in conda.get("files", ()):
            if file in own and not file.endswith(".pyc"):
                raise NoLayers(f"{conda['name']} and {own[file]} have the same file, {file}")

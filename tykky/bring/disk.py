"""A directory: what can be run in it, and whether it works elsewhere than where it is."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bring.found import Found, Left
from tykky.bring.images import CORRECT, UNKNOWN
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.config import Config

#: More programs of a directory than these are offered by a pattern, and as much of each is looked
#: at, in bytes.
_MANY, _HEAD = 40, 1 << 22
#: What a command may be called.
_NAME = re.compile(r"[A-Za-z0-9_][^\s,\[\]*?\x00-\x1f\x7f\ud800-\udfff]*")
#: A directory with one of these is a project, and no installation; what tells most is first.
_PROJECTS = (
    *("uv.lock", "pixi.lock", "pylock.toml", "conda-lock.yml", "renv.lock", "pyproject.toml"),
    *("pixi.toml", "environment.yml", "environment.yaml", "requirements.txt"),
)


def is_one(path: Path) -> bool:
    """Whether a directory may be an installation, and is no project."""
    return path.is_dir() and ((path / "bin").is_dir() or not project_file(path))


def project_file(folder: Path) -> str:
    """The file that says what a project needs, if a directory is one; empty if it is none."""
    return next((name for name in _PROJECTS if (folder / name).is_file()), "")


def read(path: Path, config: Config) -> Found:
    """The recipe of an installation in a directory. Raises ``TykkyError``."""
    source = Path(os.path.abspath(path))  # noqa: PTH100 (links in it may be what its programs name)
    programs = [*_programs(source)]
    if not programs:
        remedy = "give the directory of an installation, with programs in it or in its 'bin'"
        cause = f"there is nothing in {path} that can be run"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    left = [Left("the documentation's address, the licence", CORRECT), *_strange(source)]
    masks = any(_names(source / program, source) for program in programs)
    commands = [*_commands(programs)]
    fields: dict[str, object] = {
        "homepage": UNKNOWN,
        "license": UNKNOWN,
        "source": str(source),
        **({"mask": True} if masks else {}),
        "commands": tuple(commands),
    }
    first = programs[0].rpartition("/")[2]
    version = re.search(r"(?:^|[-_/v])(\d[\w.]*)$", str(source))
    about = f"The installation in {source}."
    tests = (f"command -v {first}",)
    return Found("DiskStack", fields, {}, tuple(left), version[1] if version else "", about, tests)


def _programs(source: Path) -> Iterator[str]:
    """The programs of an installation by their paths in it: of its own ``bin``, else those at its
    top, else those in each ``bin`` below.
    """
    try:
        below = sorted(each.name for each in os.scandir(source) if each.is_dir())
    except OSError as error:
        cause = f"the directory {source} cannot be read: {error.strerror}"
        raise TykkyError(cause, remedy="ask its owner", code=Exit.NOT_FOUND) from None
    for folders in (["bin"], [""], [f"{name}/bin" for name in below]):
        found = [path for folder in folders for path in _in(source, folder)]
        if found:
            yield from found
            return


def _in(source: Path, folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(source / folder))  # noqa: PTH208
    except OSError:
        return []
    return [
        f"{folder}/{name}".lstrip("/")
        for name in names
        if _NAME.fullmatch(name)
        and (source / folder / name).is_file()
        and os.access(source / folder / name, os.X_OK)
    ]


def _strange(source: Path) -> Iterator[Left]:
    """The programs in its ``bin`` that no command can be named as."""
    with contextlib.suppress(OSError):
        for path in sorted((source / "bin").iterdir()):
            if path.is_file() and os.access(path, os.X_OK) and not _NAME.fullmatch(path.name):
                yield Left(f"bin/{path.name}", "no command can have that name: link to it")


def _commands(programs: list[str]) -> Iterator[str]:
    """The commands for programs, many by their directory."""
    folders = dict.fromkeys(program.rpartition("/")[0] for program in programs)
    seen: set[str] = set()
    for folder in folders:
        own = [p for p in programs if p.rpartition("/")[0] == folder]
        names = [p.rpartition("/")[2] for p in own]
        if folder == "bin":
            yield from names if len(names) <= _MANY else ["*"]
        elif len(own) > _MANY and folder:
            yield f"{folder}/"
        else:
            yield from (p if folder else f"./{p}" for p in own if p.rpartition("/")[2] not in seen)
        seen |= {*names}


def _names(program: Path, source: Path) -> bool:
    """Whether a program has the path of the installation in it."""
    try:
        with program.open("rb") as stream:
            return os.fsencode(source) + b"/" in stream.read(_HEAD)
    except OSError:
        return False

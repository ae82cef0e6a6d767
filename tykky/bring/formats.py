"""The formats that recipes can be made of: how each is recognised, and who reads it."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bring import (
    classic,
    conda_lock,
    disk,
    environment,
    images,
    locks,
    pixi,
    prefix,
    project,
    renv,
    requirements,
    shpc,
    venv,
)
from tykky.bring.found import Found
from tykky.errors import Exit, TykkyError, did_you_mean
from tykky.store import Place
from tykky.text import drained

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.fetch import Say


@dataclass(frozen=True)
class Format:
    """A format: its name as ``--format`` has it, and what it is, for people.

    ``is_one`` looks at a file or directory, its name first and then its content, and runs nothing;
    it never raises: what cannot be read or is no text is not one. ``read`` raises ``TykkyError``.
    """

    name: str
    what: str
    is_one: Callable[[Path], bool]
    read: Callable[[Path, Config], Found]


#: In the order in which they are tried: the first that recognises something reads it, so what is
#: told by its name or marks stands before what is told by looking like it.
FORMATS: tuple[Format, ...] = (
    Format("uv-lock", "the lock of a project of uv", locks.is_uv, locks.read_uv),
    Format("pylock", "a lock as PEP 751 has it", locks.is_pylock, locks.read_pylock),
    Format("pixi", "a manifest of pixi", pixi.is_manifest, pixi.read_manifest),
    Format("pyproject", "a Python project", project.is_one, project.read),
    Format("classic", "an install of a classic command", classic.is_one, classic.read),
    Format("venv", "a virtual environment", venv.is_one, venv.read),
    Format("conda", "a conda environment", prefix.is_one, prefix.read),
    Format(
        "environment",
        "an environment file of conda, or what 'conda env export' prints",
        environment.is_environment,
        environment.read_environment,
    ),
    Format("conda-lock", "a lock of conda-lock", conda_lock.is_one, conda_lock.read),
    Format("pixi-lock", "a lock of pixi", pixi.is_lock, pixi.read_lock),
    Format("renv", "a lock of R packages, as renv makes it", renv.is_one, renv.read),
    Format(
        "conda-list",
        "a list that 'conda list' prints with --explicit or --export",
        environment.is_list,
        environment.read_list,
    ),
    Format("shpc", "a container.yaml of shpc", shpc.is_one, shpc.read),
    Format("image", "a container", images.is_image, images.read),
    Format(
        "requirements",
        "a requirements file, or what 'pip freeze' prints",
        requirements.is_one,
        requirements.read,
    ),
    Format("directory", "an installation on disk", disk.is_one, disk.read),
)


def told() -> dict[str, str]:
    """What the formats are, by their names."""
    return {each.name: each.what for each in FORMATS}


def read(
    source: str, config: Config, name: str = "", hint: str = "", say: Say = lambda _: None
) -> tuple[str, Found]:
    """What ``source`` is, and what it has; ``name`` is the format, if that need not be told.

    ``hint`` is what the stack is called. Raises ``TykkyError``.
    """
    if source.startswith(images.SCHEMES):
        return "image", images.of_reference(source, config, hint=hint, say=say)
    path = Path("/dev/stdin" if source == "-" else source).expanduser()
    if path.is_fifo():  # <(pip freeze)
        return _piped(path, config, name)
    if not os.path.lexists(path):
        cause = f"there is no {source}"
        remedy = "give a file or directory that is there, or a container: docker://NAME:TAG"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    if os.path.realpath(path) in ("/", str(Path.home())):
        cause = f"{source} is more than an installation"
        remedy = "give the directory that the software was installed into"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    if Place(path).current and not classic.is_one(path):
        kept = path / ".tykky/current/recipe"
        cause = f"{source} is an install of a recipe already"
        remedy = f"copy that: cp -r {shlex.quote(str(kept))} REPOSITORY/NAME"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    names = [each.name for each in FORMATS]
    if name and name not in names:
        remedy = did_you_mean(name, names) or f"there is {', '.join(names)}"
        raise TykkyError(f"there is no format '{name}'", remedy=remedy, code=Exit.USAGE)
    try:
        for each in FORMATS:
            if each.name == name or (not name and _is_one(each, path)):
                if each.read is images.read:
                    where = str(path.absolute())
                    return each.name, images.of_reference(where, config, hint=hint, say=say)
                return each.name, each.read(path, config)
        if path.is_dir():
            os.listdir(path)  # noqa: PTH208
    except OSError as error:
        cause = f"{source} cannot be read ({error.filename or path}): {error.strerror or error}"
        remedy = "make it readable for yourself, or ask its owner, whom 'ls -l' shows"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND) from None
    cause, remedy = f"nothing tells what {source} is", f"say it: --format {'|'.join(names)}"
    if file := disk.project_file(path):
        cause = f"{source} is the directory of a project"
        remedy = f"name the file that says what it needs: --from {path / file}"
    raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)


def _is_one(format: Format, path: Path) -> bool:
    try:
        return format.is_one(path)
    except OSError:  # which reading it says better
        return False


def _piped(path: Path, config: Config, name: str) -> tuple[str, Found]:
    """What comes out of a pipe, as if it were a file."""
    with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
        file = Path(folder, "stdin.txt")
        try:
            file.write_bytes(drained(path))
        except OSError as error:
            cause = f"nothing can be read from {path}: {error.strerror}"
            raise TykkyError(cause, remedy="write it into a file", code=Exit.NOT_FOUND) from None
        return read(str(file), config, name)

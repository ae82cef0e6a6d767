"""The formats that recipes can be made of: how each is recognised, and who reads it."""

from __future__ import annotations

import os
import shlex
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
    Format("directory", "an installation on disk", Path.is_dir, disk.read),
)


def told() -> dict[str, str]:
    """What the formats are, by their names."""
    return {each.name: each.what for each in FORMATS}


def read(
    source: str, config: Config, name: str = "", say: Say = lambda _: None
) -> tuple[str, Found]:
    """What ``source`` is, and what it has; ``name`` is the format, if that need not be told.

    Raises ``TykkyError``.
    """
    if source.startswith(images.SCHEMES):
        return "image", images.of_reference(source, config, say=say)
    path = Path(source).expanduser()
    if not os.path.lexists(path):
        cause = f"there is no {source}"
        remedy = "give a file or directory that is there, or a container: docker://NAME:TAG"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    if path.resolve() in (Path("/"), Path.home()):
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
    for each in FORMATS:
        if each.name == name or (not name and each.is_one(path)):
            return each.name, each.read(path, config)
    raise TykkyError(
        f"nothing tells what {source} is",
        remedy=f"say it: --format {'|'.join(names)}",
        code=Exit.USAGE,
    )

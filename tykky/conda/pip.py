"""The pip part of a conda environment: resolved against what conda puts there.

Public names: ``resolve``, ``distributions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.conda import packages as contents
from tykky.conda.channels import subdir_of
from tykky.conda.process import Outside
from tykky.errors import RecipeError
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.lock import Package


def resolve(
    requirements: Sequence[str],
    conda: Sequence[Package],
    *,
    arch: str,
    source: Sequence[str],
    config: Config,
    scratch: Scratch,
) -> tuple[Package, ...]:
    """What has to be added from the package index to conda packages.

    The environment is made in the scratch directory for that, to see what its Python would; so
    it works for other architectures, too, because nothing in it is run. Raises ``TykkyError``.
    """
    from tykky.tools import uv

    python = contents.python_of(conda)
    if not python:
        raise RecipeError(
            "the recipe has requirements for pip, and no Python",
            remedy="add 'python' to its packages",
        )
    scratch.root.mkdir(parents=True, exist_ok=True)
    scene = Outside(scratch, config, {scratch.root: scratch.root})
    contents.install(conda, scratch.root, scene, subdir=subdir_of(arch))
    present = distributions(scratch.root, python)
    return uv.resolve(
        requirements, python=python, arch=arch, source=source, config=config, present=present
    )


def distributions(prefix: Path, python: str) -> Mapping[str, str]:
    """The Python projects that an environment has, and their versions, as the index spells them."""
    from email.parser import HeaderParser

    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    found: dict[str, str] = {}
    folder = prefix / "lib" / f"python{python}" / "site-packages"
    for path in (*folder.glob("*.dist-info/METADATA"), *folder.glob("*.egg-info/PKG-INFO")):
        head = HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
        try:
            found[canonicalize_name(head["Name"] or "")] = str(Version(head["Version"] or ""))
        except InvalidVersion:
            continue  # no resolver could speak of it
    return found

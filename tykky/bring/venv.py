"""A virtual environment: the packages that are in it, read from their metadata alone."""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bring import requirements
from tykky.bring.found import Found
from tykky.bring.imports import chosen
from tykky.bring.python import Asked, At, located, python_of, stack
from tykky.errors import RecipeError, Where
from tykky.lock import canonical
from tykky.text import read_text

if TYPE_CHECKING:
    from tykky.config import Config

#: What an environment has from the beginning.
_SEEDS = ("pip", "setuptools", "wheel")


def is_one(path: Path) -> bool:
    """Whether a directory is a virtual environment."""
    return (path / "pyvenv.cfg").is_file() and any(path.glob("lib/python3*"))


def read(path: Path, config: Config) -> Found:
    """The recipe of a virtual environment, with the versions that are in it. ``TykkyError``."""
    folders = sorted(path.glob("lib/python3*/site-packages"))
    if not folders:
        cause = f"the virtual environment {path} has no packages"
        raise RecipeError(cause, remedy="give the directory with 'pyvenv.cfg' in it")
    there: dict[str, Distribution] = {}
    for each in distributions(path=[str(folder) for folder in folders]):
        name, version = each.metadata["Name"], each.metadata["Version"]
        if name and version and requirements.parsed(f"{name}=={version}") is not None:
            there.setdefault(canonical(name), each)
    asked = Asked()
    text = read_text(path / "pyvenv.cfg", any_bytes=True)
    if re.search(r"(?mi)^include-system-site-packages\s*=\s*true", text):
        why = "packages of the Python below it are not in it: name those that you need"
        asked.leave("include-system-site-packages = true", why, At("pyvenv.cfg"))
    modules: set[str] = set()
    wanted = _wanted(there)
    for name, each in sorted(there.items()):
        if not _direct(asked, each) and name not in _SEEDS:
            asked.constraints.append(f"{each.metadata['Name']}=={each.metadata['Version']}")
            if name in wanted:
                asked.packages.append(str(each.metadata["Name"]))
                modules |= {*chosen(name, map(str, each.files or ()))}
    if not asked.packages:
        raise RecipeError(
            f"the virtual environment {path} has no package that a recipe could have",
            remedy="; ".join(f"{left.what}: {left.why}" for left in asked.left[:3])
            or "install what it is for, and try again",
            where=Where(path / "pyvenv.cfg"),
        )
    version = folders[0].parent.name.removeprefix("python")
    python = python_of(config, asked, version, at=At("pyvenv.cfg"))
    about = f"The packages of the virtual environment {path.absolute().name}, in its versions."
    return stack(asked, python, about=about, modules=sorted(modules, key=str.lower))


def _wanted(there: dict[str, Distribution]) -> set[str]:
    """Those that somebody has asked for, as installers note it, or that no other needs."""
    needed = set()
    for each in there.values():
        for line in each.requires or ():
            found = requirements.parsed(line)
            if found is not None and not (found.marker and "extra" in str(found.marker)):
                needed.add(canonical(found.name))
    requested = {name for name, each in there.items() if _is_requested(each)}
    return (requested | (there.keys() - needed)) - {*_SEEDS}


def _is_requested(each: Distribution) -> bool:
    """Whether pip has noted that somebody asked for it; uv notes that of everything."""
    by_pip = (each.read_text("INSTALLER") or "").strip() == "pip"
    return by_pip and each.read_text("REQUESTED") is not None


def _direct(asked: Asked, each: Distribution) -> bool:
    """Whether a package came from a place of its own, which is carried over or left."""
    try:
        said = json.loads(each.read_text("direct_url.json") or "{}")
        url, vcs = str(said.get("url") or ""), said.get("vcs_info") or {}
        address = f"{vcs['vcs']}+{url}@{vcs.get('commit_id', '')}" if vcs else url
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    if address:
        name, version = each.metadata["Name"], each.metadata["Version"]
        located(asked, address, name, At(f"{name} {version}"))
    return bool(address)

"""A virtual environment: the packages that are in it, read from their metadata alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bring import requirements
from tykky.bring.found import Found
from tykky.bring.imports import chosen
from tykky.bring.python import Asked, At, located, nothing, python_of, stack
from tykky.errors import RecipeError
from tykky.lock import canonical
from tykky.text import LIMIT, read_text

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
    there: dict[str, _Project] = {}
    for found in (each for folder in folders for each in _distributions(folder)):
        if (project := _project(found)) is not None:
            there.setdefault(canonical(project.name), project)
    asked = Asked()
    text = read_text(path / "pyvenv.cfg", any_bytes=True)
    if re.search(r"(?mi)^include-system-site-packages\s*=\s*true", text):
        why = "packages of the Python below it are not in it: name those that you need"
        asked.leave("include-system-site-packages = true", why, At("pyvenv.cfg"))
    version = folders[0].parent.name.removeprefix("python")
    needs = {name: _needs(each, version, there) for name, each in there.items()}
    for name, each in sorted(there.items()):
        if each.address:
            before = len(asked.packages)
            located(asked, each.address, each.name, At(f"{each.name} {each.version}"))
            if len(asked.packages) == before:
                needs[name] = set()  # what only this one has needed is asked for now
    modules: set[str] = set()
    wanted = _wanted(there, needs)
    for name, each in sorted(there.items()):
        if not each.address and name not in _SEEDS:
            asked.constraints.append(f"{each.name}=={each.version}")
            if name in wanted:
                asked.packages.append(each.name)
                modules |= {*chosen(name, each.files)}
    if not asked.packages:
        cause = f"the virtual environment {path} has no package that a recipe could have"
        remedy = "install what it is for, and try again"
        raise nothing(asked, cause, remedy, path / "pyvenv.cfg")
    python = python_of(config, asked, version, at=At("pyvenv.cfg"))
    about = f"The packages of the virtual environment {path.absolute().name}, in its versions."
    return stack(asked, python, about=about, modules=sorted(modules, key=str.lower))


def _wanted(there: Mapping[str, _Project], needs: Mapping[str, set[str]]) -> set[str]:
    """Those that somebody has asked for, as pip notes it, or that no other needs.

    And of what is left then, because it needs itself in a circle, the first.
    """
    needed = {other for name, others in needs.items() for other in others - {name}}
    wanted = {name for name, each in there.items() if each.requested or name not in needed}
    reached: set[str] = set()
    for name in [*sorted(wanted), *sorted(there)]:
        if name not in reached:
            wanted.add(name)
            pending = {name}
            while pending:
                reached |= pending
                pending = {other for each in pending for other in needs[each]} - reached
    return wanted - {*_SEEDS}


def _needs(project: _Project, python: str, there: Container[str]) -> set[str]:
    """Which of those that are there a project needs, but for what only an extra asks for."""
    about = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    found = set()
    for each in filter(None, map(requirements.parsed, project.requires)):
        with contextlib.suppress(ValueError):  # a marker that compares what cannot be compared
            if each.marker is None or each.marker.evaluate(about):
                found.add(canonical(each.name))
    return {name for name in found if name in there}


@dataclass(frozen=True)
class _Project:
    """A project that is installed, and what is known of it by its metadata."""

    name: str
    version: str
    address: str
    requested: bool
    requires: tuple[str, ...]
    files: tuple[str, ...]


def _distributions(folder: Path) -> Iterator[Distribution]:
    """What is installed in a folder, but for what nothing has installed: pipes, and endless files.

    Whoever has made the environment may have put anything there.
    """
    for about in sorted((*folder.glob("*.dist-info"), *folder.glob("*.egg-info"))):
        try:
            files = [*about.iterdir()] if about.is_dir() else [about]
            status = [file.stat() for file in files if file.exists()]
        except OSError:
            continue
        if all(stat.S_ISDIR(s.st_mode) or _is_read(s) for s in status):
            yield Distribution.at(about)


def _is_read(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size < LIMIT


def _project(each: Distribution) -> _Project | None:
    """What an environment says of a project; ``None`` if that cannot be understood."""
    try:
        head = each.metadata
        name, version = (str(head[key]) if key in head else "" for key in ("Name", "Version"))
        if requirements.parsed(f"{name}=={version}") is None:
            return None
        # uv notes of everything that it was asked for.
        by_pip = (each.read_text("INSTALLER") or "").strip() == "pip"
        requested = by_pip and each.read_text("REQUESTED") is not None
        files = tuple(map(str, each.files or ()))
        address = _address(each.read_text("direct_url.json") or "{}")
        return _Project(name, version, address, requested, tuple(each.requires or ()), files)
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _address(text: str) -> str:
    """Where a project came from, if not from an index."""
    try:
        said = json.loads(text)
        url, vcs = str(said.get("url") or ""), said.get("vcs_info") or {}
        return f"{vcs['vcs']}+{url}@{vcs.get('commit_id', '')}" if vcs else url
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""

"""A conda environment that is there, by its path: read, and nothing in it is run."""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tykky.bring import exact
from tykky.bring.conda_lock import PACKAGE, mapping
from tykky.bring.environment import of_environments
from tykky.bring.exact import ARCHS, Exact, Leaving
from tykky.bring.found import Found
from tykky.bring.imports import chosen
from tykky.bring.python import name_of
from tykky.conda.channels import public
from tykky.conda.environment import Environment, Pinned, names_of
from tykky.config import Config
from tykky.contents import COMMAND, Installed, canonical, of_environment, records
from tykky.errors import TykkyError
from tykky.fetch import is_sha256
from tykky.files import parse_json, read_within

#: What history says was asked for, or taken away.
_HISTORY = re.compile(r"#\s*(update|install|remove|uninstall|neutered) specs?:\s*(\[.*\])\s*$")
#: A file of a package that Python finds, below the folder where it looks for those.
_MODULE = re.compile(r"lib/python3[^/]*/site-packages/(.+)")
_SUBDIR = re.compile(r"noarch|(linux|osx|win)-\w+")
_SEEDS = ("python", "pip", "setuptools", "wheel")
#: Programs that conda puts into environments itself, and how many of others are named.
_OF_CONDA, _SHOWN = ("activate", "deactivate", "conda"), 10


def is_one(path: Path) -> bool:
    """Whether a directory is a conda environment."""
    return (path / "conda-meta").is_dir() and any(path.glob("conda-meta/*.json"))


def read(source: Path, config: Config) -> Found:
    """The recipe that has the same packages. Raises ``TykkyError``."""
    source = Path(os.path.realpath(source))
    leave = Leaving(source.name)
    there = [*of_environment(source)]
    names = {package.name for package in there if package.type == "conda"}
    rows = [row for row in records(source) if row["name"] in names]
    for row in records(source):
        if row["name"] not in names:
            leave(row["name"], "pip has replaced or removed it")
    pip = [*_pip(there, leave)]
    _strangers(source, rows, leave)
    asked = [*_asked(source, rows)]
    env = exact.variables(_variables(source), leave)
    more = {"env": env} if env else {}
    about = f"The conda environment '{source.name}'."
    if not any(map(_address, rows)):
        return _by_names(rows, pip, leave, config, about, more)
    for row in rows:
        if not _address(row):
            why = "it is from a file that no channel has: put it into one, and add it"
            leave(f"{row['name']} {row['version']}", why)
    rows = [row for row in rows if _address(row)]
    each = exact.by_platform(map(_pinned, rows), leave)
    wanted = {arch: Exact(conda, tuple(pip)) for arch, conda in each.items()}
    said = ", ".join(asked)
    note = said and f"Asked for: {said}. For newer ones, 'packages' in place of 'environment'."
    modules = [*_modules(rows, {*names_of(asked)}), *_modules_of_pip(source, there, pip)]
    return exact.found(wanted, leave, config, about=about, note=note, more=more, modules=modules)


def _pinned(row: Mapping[str, Any]) -> Pinned:
    sha256, md5 = str(row.get("sha256") or ""), str(row.get("md5") or "")
    md5 = md5 if re.fullmatch("[0-9a-f]{32}", md5) else ""
    return Pinned(_address(row), sha256 if is_sha256(sha256) else "", md5)


def _address(row: Mapping[str, Any]) -> str:
    """Where a package is from; nothing if that is no channel."""
    url = row.get("url")
    known = isinstance(url, str) and PACKAGE.fullmatch(public(url))
    return str(url) if known and _SUBDIR.fullmatch(exact.subdir_in(str(url))) else ""


def _pip(there: Sequence[Installed], leave: Leaving) -> Iterator[str]:
    """What pip has added. What only this machine has is told, as what R has added is."""
    for package in there:
        if package.type == "pypi":
            sha256 = package.sha256
            yield from exact.requirement(package.name, package.version, package.url, sha256, leave)
    if added := [package.name for package in there if package.type == "cran"]:
        why = "R itself has added it: install it in the recipe's 'finish' step"
        leave(f"R packages: {', '.join(added)}", why)


def _variables(prefix: Path) -> dict[str, str]:
    """What ``conda env config vars set`` has kept."""
    try:
        state = parse_json(read_within(prefix, prefix / "conda-meta/state"))
    except (OSError, ValueError, TykkyError):
        return {}
    return {str(k): str(v) for k, v in mapping(mapping(state).get("env_vars")).items()}


def _strangers(prefix: Path, rows: Sequence[Mapping[str, Any]], leave: Leaving) -> None:
    """Tell programs and activation scripts that are of no package."""
    known = {str(file) for row in rows for file in row.get("files") or ()}
    for _, files in _recorded(prefix):
        known |= {f"bin/{file.rpartition('/')[2]}" for file in files if "/bin/" in file}
    known |= {f"bin/{COMMAND}", *(f"bin/{name}" for name in _OF_CONDA)}
    for folder in ("bin", "etc/conda/activate.d", "etc/conda/deactivate.d"):
        names = sorted(p.name for p in (prefix / folder).glob("*") if not p.is_dir())
        if added := [name for name in names if f"{folder}/{name}" not in known]:
            shown = ", ".join(added[:_SHOWN]) + (", ..." if len(added) > _SHOWN else "")
            why = "no package brings it: install it in the recipe's 'finish' step"
            leave(f"{folder}: {shown}", why)
    for pattern in ("*.egg-link", "*.egg", "conda.pth"):  # of 'develop', and of 'setup.py install'
        for path in sorted(prefix.glob(f"lib/python3*/site-packages/{pattern}")):
            leave(path.name, "it is of no released package: make a wheel of it, and name that")


def _asked(prefix: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was asked for, as history or else the packages themselves say."""
    asked: dict[str, str] = {}
    for row in rows:
        specs = row.get("requested_specs") or [row.get("requested_spec")]
        for spec in specs if isinstance(specs, list) else ():
            if isinstance(spec, str) and spec not in ("", "None"):
                asked[row["name"]] = spec
    with contextlib.suppress(OSError, TykkyError):
        history = read_within(prefix, prefix / "conda-meta/history").decode(errors="replace")
        for found in map(_HISTORY.match, history.splitlines()):
            for spec in _specs(found[2]) if found else ():
                for name in names_of([spec]):
                    asked.pop(name, None)
                    if found and found[1] in ("update", "install"):
                        asked[name] = spec
    there = {row["name"] for row in rows}
    yield from (public(spec) for name, spec in sorted(asked.items()) if name in there)


def _modules(rows: Sequence[Mapping[str, Any]], asked: Container[str]) -> list[str]:
    """The Python modules of the packages that were asked for, but for Python's own tools."""
    found = []
    for row in rows:
        if row["name"] in asked and row["name"] not in _SEEDS:
            files = map(_MODULE.fullmatch, map(str, row.get("files") or ()))
            found += chosen(row["name"], [file[1] for file in files if file])
    return found


def _modules_of_pip(prefix: Path, there: Sequence[Installed], pip: Sequence[str]) -> Iterator[str]:
    """The modules of the projects that are requirements now, but for those that others need."""
    needed = {canonical(name) for package in there for name in package.requires}
    added = {canonical(name_of(line)) for line in pip} - needed
    for folder, files in _recorded(prefix):
        if (name := canonical(folder.partition("-")[0])) in added - {*_SEEDS}:
            yield from chosen(name, files)


def _recorded(prefix: Path) -> Iterator[tuple[str, list[str]]]:
    """The files of each Python project, below the folder that it is in, and what that is called."""
    for path in sorted(prefix.glob("lib/python3*/site-packages/*.dist-info/RECORD")):
        lines = read_within(prefix, path).decode(errors="replace").splitlines()
        yield path.parent.name, [line.partition(",")[0] for line in lines]


def _specs(text: str) -> list[str]:
    """The list that a line of the history has."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [spec for spec in found if isinstance(spec, str)] if isinstance(found, list) else []


def _by_names(
    rows: Sequence[Mapping[str, Any]],
    pip: Sequence[str],
    leave: Leaving,
    config: Config,
    about: str,
    more: Mapping[str, object],
) -> Found:
    """The recipe where no package says where it is from, as of conda long ago."""
    wanted = Environment(
        specs=tuple("=".join((row["name"], row["version"], row["build"])) for row in rows),
        pip=tuple(pip),
    )
    platforms = {str(row.get("subdir")) for row in rows} & set(ARCHS) or {"linux-64"}
    by_arch = {ARCHS[platform]: wanted for platform in platforms}
    return of_environments(by_arch, leave, config, about=about, more=more)

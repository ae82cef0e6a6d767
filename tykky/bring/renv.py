"""``renv.lock``: the R packages of a project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tykky import bases
from tykky.bring.conda_lock import line_of, mapping
from tykky.bring.environment import text_of
from tykky.bring.exact import Leaving
from tykky.bring.found import Found
from tykky.bring.python import LICENCES
from tykky.config import Config
from tykky.errors import RecipeError, TykkyError, Where, masked
from tykky.files import parse_json
from tykky.kinds.r import language_of
from tykky.text import read_text

#: A day in the address of a snapshot, at Posit's package manager and what was before it.
_DAY = re.compile(r"/(\d{4}-\d\d-\d\d)(?:[/+]|$)")
#: Repositories that have what CRAN has.
_CRAN = re.compile(
    r"packagemanager\.(posit|rstudio)\.|cran\.|cloud\.r-project\.org|mran\.|/cran(/|$)", re.I
)
_BIOCONDUCTOR = re.compile(r"bioconductor|/bioc|^bioc", re.I)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_VERSION = re.compile(r"[0-9]+([.-][0-9]+)*")


def is_one(path: Path) -> bool:
    """Whether a file is a lock of renv."""
    if path.suffix not in (".lock", ".json"):
        return False
    try:
        said = parse_json(text_of(path))
    except ValueError:
        return False
    return isinstance(said, dict) and {"R", "Packages"} <= said.keys()


def read(source: Path, config: Config) -> Found:
    """The recipe with the same versions of R packages. Raises ``RecipeError``."""
    path = Path(os.path.realpath(source))
    leave = Leaving(path.name)
    text = read_text(path, "lock file", RecipeError)
    try:
        said = mapping(parse_json(text))
    except ValueError as error:
        where = Where(path, getattr(error, "lineno", 0))
        remedy = "make it anew with 'renv::snapshot()'"
        raise RecipeError(f"not valid JSON: {error}", remedy=remedy, where=where) from None
    about = mapping(said.get("R"))
    r = str(about.get("Version") or "")
    addresses = {
        str(row.get("Name")): str(row.get("URL") or "").rstrip("/")
        for row in about.get("Repositories") or ()
        if isinstance(row, Mapping)
    }
    day = next((found[1] for url in addresses.values() if (found := _DAY.search(url))), "")
    if not day:
        why = "no repository of the lock is of a day: what packages need besides is the newest"
        leave("the day of the snapshot", why, line_of(text, '"Repositories"'))
    for key in said.keys() - {"R", "Packages", "Bioconductor", "renv"}:
        leave(key, "a recipe of R packages has R only", line_of(text, f'"{key}"'))
    packages: list[str] = []
    releases: list[str] = []
    for name, row in sorted(mapping(said.get("Packages")).items()):
        packages += _package(name, mapping(row), leave, text, releases)
    if not packages:
        cause = f"{path.name} names no packages that are in a repository"
        raise RecipeError(cause, remedy="write a recipe by hand", where=Where(path))
    release = str(mapping(said.get("Bioconductor")).get("Version") or "")
    if releases and not re.fullmatch(r"\d+\.\d+", release):
        release = next((found[0] for one in releases if (found := re.search(r"\d+\.\d+", one))), "")
    if releases and not release:
        why = "set 'bioconductor' to the release that goes with this R"
        leave("the release of Bioconductor", why, line_of(text, "Bioconductor"))
    fields: dict[str, object] = {
        "homepage": "https://cran.r-project.org",
        "license": LICENCES,
        "base": _base(r, config, leave, line_of(text, '"Version"')),
        "r": ".".join(r.split(".")[:2]),
        "snapshot": day or "latest",
        "bioconductor": release if releases else "",
        "repositories": tuple(_others(addresses, leave, text)),
        "packages": tuple(packages),
    }
    fields = {name: value for name, value in fields.items() if value}
    return Found("RStack", fields, {}, tuple(leave.found), "", f"The R packages of {path.name}.")


def _package(
    name: str, row: Mapping[str, Any], leave: Leaving, text: str, releases: list[str]
) -> Iterator[str]:
    """A package as a recipe asks for it; nothing for one that is in no repository."""
    version = str(row.get("Version") or "")
    source = str(row.get("Source") or row.get("RemoteType") or "Repository")
    line = line_of(text, f'"{name}": {{')
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        leave(f"{name} {version}", "that is no name and version of an R package", line)
    elif source.lower() in ("repository", "cran", "standard", "p3m"):
        yield f"{name}=={version}"
        _told(name, row, leave, line)
    elif source.lower() == "bioconductor":
        releases.append(f"{row.get('Repository')} {row.get('git_branch')}".replace("_", "."))
        yield f"{name}=={version}"
    else:
        where = "/".join(str(row[k]) for k in ("RemoteUsername", "RemoteRepo") if row.get(k))
        where = where or str(row.get("RemoteUrl") or row.get("Source"))
        commit = str(row.get("RemoteSha") or row.get("RemoteRef") or "")
        why = "it is in no repository: build it and put it into one of yours, for 'repositories'"
        if source.lower() in ("unknown", "local", "cellar", "url"):
            why = f"it is from a file of its own ({source}): put it into one of 'repositories'"
        leave(f"{name} {version} ({where}{'@' * bool(commit)}{commit[:12]})", why, line)


def _told(name: str, row: Mapping[str, Any], leave: Leaving, line: int) -> None:
    """Say what is asked of the system, which no repository of R packages has."""
    if needed := row.get("SystemRequirements"):
        why = f"{name} needs it of the system: take a base that has it"
        leave(" ".join(str(needed).split())[:200], why, line)


def _others(addresses: Mapping[str, str], leave: Leaving, text: str) -> Iterator[str]:
    """Repositories besides CRAN and Bioconductor; those that nobody else may use are told."""
    for name, url in addresses.items():
        if _CRAN.search(url) or _BIOCONDUCTOR.search(f"{name} {url}"):
            continue
        if masked(url) != url or not re.match(r"https?://", url):
            why = "a recipe is for everybody, and this has a password or is no address of the web"
            leave(f"the repository {url}", why, line_of(text, url))
        else:
            yield url


def _base(r: str, config: Config, leave: Leaving, line: int) -> str:
    """The image that has just this R; nothing if the configured base may well have the like."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", r):
        return ""
    try:
        base = bases.find(config.base, config)
        if not isinstance(base, bases.HostBase):
            return ""
        there = language_of(base)
    except TykkyError:
        return ""
    if there is None or not f"{there.version}.".startswith(f"{r.rpartition('.')[0]}."):
        return f"docker://rocker/r-ver:{r}"
    if there.version != r:
        leave(f"R {r}", f"the base has {there.version}, which is taken", line)
    return ""

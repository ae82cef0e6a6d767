"""Recipes of Python packages: what all formats of such have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tykky import bases
from tykky.bring.found import Found, Left
from tykky.errors import RecipeError, TykkyError, Where, masked
from tykky.tools.wheels import public

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

    from tykky.config import Config

#: More requirements than these lie in a file beside the recipe.
MANY = 30
#: The Python that a recipe asks for where nothing else is said: that of the kind.
USUAL = "3.11"
LICENCES = "various open-source licences, 'list-packages' tells each"
NO_FILE = "is no file that a lock could name by its digest: make a wheel of it ('pip wheel') and"
BY_PATH = "name that, 'NAME @ file:///PATH/NAME-1.0-py3-none-any.whl'"
_SDIST = re.compile(r"\.(tar\.(gz|bz2|xz)|tgz|zip)$")


@dataclass(frozen=True)
class At:
    """Where something was read: the ``file`` as people know it, the line, and the file's folder."""

    file: str
    line: int = 0
    folder: Path = Path("/")


@dataclass
class Asked:
    """What a file or an environment asks for, as it is gathered.

    ``packages`` and ``constraints`` are requirements as pip writes them, ``source`` are the names
    of projects that are to be built from source, ``left`` is what cannot be carried over.
    """

    packages: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def leave(self, what: str, why: str, at: At | None = None) -> None:
        """Note what is not carried over, once."""
        if (left := Left(masked(what), why, *((at.file, at.line) if at else ()))) not in self.left:
            self.left.append(left)


def stack(
    asked: Asked,
    python: str,
    *,
    about: str,
    homepage: str = "",
    license: str = "",
    version: str = "",
    modules: Sequence[str] = (),
    locked: bool = False,
) -> Found:
    """The recipe of some requirements; ``locked`` ones lie in a file beside it.

    Its test imports the ``modules``, if they are known.
    """
    packages = [*dict.fromkeys(asked.packages)]
    files: dict[str, bytes] = {}
    fields: dict[str, object] = {
        "homepage": homepage or _homepage(packages),
        "license": license or LICENCES,
        "python": python,
    }
    if locked or len(packages) > MANY or any(" --hash" in one for one in packages):
        fields["requirements"] = "requirements.txt"
        files["requirements.txt"] = _file(packages)
    elif packages:
        fields["packages"] = tuple(packages)
    if constraints := [*dict.fromkeys(asked.constraints)]:
        fields["constraints"] = "constraints.txt"
        files["constraints.txt"] = _file(constraints)
    if asked.source:
        fields["source"] = tuple(dict.fromkeys(asked.source))
    fields["commands"] = "*"
    names = [*map(name_of, packages)][:MANY]
    left, test = tuple(asked.left), tests(tuple(filter(None, names)), modules)
    return Found("PipStack", fields, files, left, version, about, test)


def _file(requirements: Iterable[str]) -> bytes:
    """The file of some requirements, with each digest on a line of its own."""
    lines = (one.replace(" --hash", " \\\n    --hash") for one in requirements)
    return "".join(f"{line}\n" for line in lines).encode()


def name_of(requirement: str) -> str:
    """The project that a requirement is about; empty if it has no name."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    return found[0] if found else ""


def tests(names: Sequence[str], modules: Sequence[str] = ()) -> tuple[str, ...]:
    """Commands that fail unless modules can be imported; or, where none are known, if the projects
    of some names are not there.
    """
    if modules:
        return (f"python -c 'import {', '.join(modules)}'",)
    listed = " ".join(names)
    program = "import sys; from importlib.metadata import version; [*map(version, sys.argv[1:])]"
    return (f"python -c '{program}' {listed}",)


def _homepage(packages: Sequence[str]) -> str:
    """Where a single package is documented; of several, where all are."""
    name = name_of(packages[0]) if len(packages) == 1 else ""
    return f"https://pypi.org/project/{name}" if name else "https://pypi.org"


def python_of(
    config: Config, asked: Asked, wanted: str = "", limits: str = "", at: At | None = None
) -> str:
    """The version of Python for a recipe: the one that is ``wanted``, or one that the base has.

    ``limits`` is what the metadata of a project says (``>=3.10``). What does not fit is left.
    """
    there = _there(config)
    fitting = [version for version in there or _all() if _fits(version, limits)]
    if wanted and (not there or wanted in there):
        return wanted
    if wanted:
        why = f"the base '{config.base or 'host'}' has Python {', '.join(there)}: set 'base' to one"
        why += f" that has it, such as docker://python:{wanted}-slim"
        asked.leave(f"Python {wanted}", f"{why}, or set 'python' and lock again", at)
        return wanted
    if limits and not fitting:
        why = f"no Python of the base '{config.base or 'host'}' is one ({', '.join(there)})"
        asked.leave(f"requires-python = {limits}", f"{why}: set 'base' to what has one", at)
        fitting, there = [version for version in _all() if _fits(version, limits)], []
    if USUAL in fitting or not fitting:
        return USUAL
    return fitting[-1] if there else min(fitting, key=lambda v: abs(int(v[2:]) - int(USUAL[2:])))


def _all() -> list[str]:
    return [f"3.{minor}" for minor in range(8, 30)]


def _there(config: Config) -> list[str]:
    """The versions of Python that the configured base has, as far as it is known, in order."""
    try:
        base = bases.find(config.base, config)
        if not isinstance(base, bases.HostBase):
            return []
        return sorted(base.pythons(), key=lambda version: int(version.split(".")[1]))
    except TykkyError:
        return []


def _fits(version: str, limits: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        found: SpecifierSet = SpecifierSet(limits)
    except InvalidSpecifier:
        return True
    return any(found.contains(f"{version}.{patch}") for patch in (0, 5, 99))


def nothing(asked: Asked, cause: str, remedy: str, path: Path) -> RecipeError:
    """The error where nothing is asked for that a recipe could have: what was left says why."""
    why = "; ".join(f"{left.what}: {left.why}" for left in asked.left[:3])
    return RecipeError(cause, remedy=why or remedy, where=Where(path))


def located(
    asked: Asked, address: str, name: str, at: At, extras: Iterable[str] = (), marker: str = ""
) -> None:
    """Add a requirement that names where its file is: an address, or a path from its folder on.

    What a lock cannot name by a digest is left.
    """
    shown = f"{name} @ {address}" if name else address
    if re.match(r"(git|hg|svn|bzr)\+|git@", address):
        asked.leave(shown, f"what a version control system has {NO_FILE} {BY_PATH}", at)
        return
    plain, _, fragment = address.partition("#")
    if re.match(r"https?://", plain):
        path = unquote(urlsplit(plain).path)
        if (opened := public(plain)) != plain:
            why = "the name and password are left out: put them into ~/.netrc"
            asked.leave(f"the login of {opened}", why, at)
            plain = opened
        if masked(plain) != plain or masked(f"#{fragment}") != f"#{fragment}":
            why = "there is a token in the address, and a recipe is for everybody: copy the file"
            asked.leave(shown, f"{why} and {BY_PATH}", at)
            return
    else:
        local = plain
        if plain.startswith("file:"):
            local = unquote(urlsplit(plain).path)
        place = at.folder / local
        if place.is_dir():
            asked.leave(shown, f"a directory {NO_FILE} {BY_PATH}", at)
            return
        if not place.is_file():
            asked.leave(shown, f"there is no such file here: if you have a wheel, {BY_PATH}", at)
            return
        path, plain = str(place), place.absolute().as_uri()
    project = _project(path)
    if not project and not (name and _SDIST.search(path)):
        why = "is neither a wheel nor a source archive" if name else "nothing tells its name"
        asked.leave(shown, f"{why}: write 'NAME @ {address}'", at)
        return
    name = name or project
    kept = [part for part in fragment.split("&") if part and not part.startswith("egg=")]
    with_extras = f"[{','.join(sorted(extras))}]" if extras else ""
    condition = f" ; {marker}" if marker else ""
    asked.packages.append(f"{name}{with_extras} @ {'#'.join([plain, *kept[:1]])}{condition}")
    if not path.endswith(".whl"):
        asked.source.append(name)


def _project(path: str) -> str:
    """The project of a wheel or source archive, by the name of its file; empty if none is told."""
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    name = path.rpartition("/")[2]
    try:
        if name.endswith(".whl"):
            return str(parse_wheel_filename(name)[0])
        return str(parse_sdist_filename(name)[0])
    except (InvalidSdistFilename, InvalidWheelFilename):
        return ""

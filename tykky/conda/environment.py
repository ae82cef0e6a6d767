"""Files that say what an environment consists of, as conda users write them.

Three forms: YAML (``environment.yml``), a list of the exact addresses of packages (it has a line
``@EXPLICIT``), and a list of specs, one a line.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tykky.errors import Exit, RecipeError, Where
from tykky.fetch import is_sha256
from tykky.files import open_regular
from tykky.text import decoded, entries, load_yaml, whole

_SELECTOR = re.compile(r"\s#\s*\[([^\]]*)\]\s*$")
#: A channel, a name, a version (which has a digit or a star in it), and a build.
_SPEC = re.compile(
    r"(?:\S+::)?[A-Za-z0-9_.*-]+"
    r"(?:(?:\s*(?:===|[=!~]?=|[<>]=?)(?![<>=!~])|\s+)(?=\S*[\d*])[\w.*+!|,<>=~^$()-]+(?:\s+[\w.*+|^$-]+)?)?"
)
#: Its name, whatever its channel.
_NAME = re.compile(r"(?:.*::)?\s*([A-Za-z0-9_][A-Za-z0-9_.-]*)")
_TERM = re.compile(r"\s*(not\s+)?(\S+)\s*")
_SEL_KEY = re.compile(r"sel\((.*)\)")
#: Is told what is left out: as it is written, why, and where.
Leave = Callable[[str, str, Where], None]
#: How many files include each other, at most.
_DEPTH = 20
_ELSEWHERE = "it is for other machines than those with Linux"
_KNOWN_KEYS = ("name", "channels", "dependencies", "variables", "prefix", "platforms")
#: What selectors call an architecture of Linux, and what else they may name.
_NAMES = {
    "x86_64": {"x86_64", "linux64", "x86", "linux-64"},
    "aarch64": {"aarch64", "arm64", "linux-aarch64"},
    "ppc64le": {"ppc64le", "linux-ppc64le"},
}
_OTHERS = {"win", "win32", "win64", "osx", "osx64", "osx-64", "osx-arm64", "emscripten", "linux32"}


@dataclass(frozen=True)
class Pinned:
    """A package by its address; with its digest, if the file has it."""

    url: str
    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True)
class Environment:
    """What a file asks for. ``pip`` are requirements, ``variables`` are set on activation.

    ``pinned`` are the packages of an explicit list, which has nothing else. ``names`` is what the
    file calls the environment, if it does.
    """

    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    pinned: tuple[Pinned, ...] = ()
    names: tuple[str, ...] = ()


def read(
    path: Path,
    arch: str,
    below: Sequence[Path] = (),
    *,
    locked: bool = True,
    leave: Leave | None = None,
) -> Environment:
    """What a file asks for on an architecture.

    If directories are given, the file and what it includes must be ``below`` one of them. If it is
    not to be ``locked``, what it has for pip is as pip is to be given it, whatever that is. What
    no recipe can say is an error, unless somebody is there to whom it can be told as left out.
    Raises ``RecipeError`` with the line to blame.
    """
    file = _File(path, arch, below, locked, leave)
    if re.search(r"^@EXPLICIT\s*$", file.text, re.MULTILINE):
        return Environment(pinned=tuple(file.explicit()))
    return file.environment() if file.is_yaml else Environment(specs=tuple(file.specs()))


def checked(spec: str, where: Where) -> str:
    """A package as conda writes it. Raises ``RecipeError`` for what a solver asks for in vain."""
    whole = re.sub(r"\s*([,|])\s*", r"\1", re.sub(r"([<>=!~])\s+", r"\1", spec))
    if not (_SPEC.fullmatch(whole) or re.fullmatch(r"[^\s\[]+\[.*\]", whole)):
        raise RecipeError(
            f"'{spec[:80]}' is no package as conda writes them",
            remedy="write NAME, NAME=VERSION or 'NAME >=VERSION,<VERSION'",
            where=where,
        )
    return spec


def names_of(specs: Iterable[str]) -> set[str]:
    """The names of packages in specs."""
    found = (_NAME.match(spec) for spec in specs)
    return {match[1].lower() for match in found if match}


@dataclass(frozen=True)
class _File:
    """A file, which knows its lines for errors; ``named`` is where another one includes it."""

    path: Path
    arch: str
    below: Sequence[Path]
    locked: bool = True
    leave: Leave | None = None
    named: Where | None = None
    depth: int = 0

    @cached_property
    def text(self) -> str:
        try:
            # Looked at once it is open: a link on the way may be another at any time.
            with open_regular(self.path) as stream:
                real = Path(f"/proc/self/fd/{stream.fileno()}").readlink()
                if self.below and not any(
                    Path(os.path.realpath(f)) in real.parents for f in self.below
                ):
                    raise OSError(errno.EACCES, "it is in none of the folders that are read here")
                content = whole(stream)
        except OSError as error:
            cause = f"the file {self.path} cannot be read: {error.strerror or error}"
            raise RecipeError(cause, where=self.named, code=Exit.NOT_FOUND) from error
        return decoded(content, self.path, RecipeError, any_bytes=not self.is_yaml)

    @property
    def is_yaml(self) -> bool:
        return self.path.suffix in (".yml", ".yaml")

    def specs(self) -> Iterator[str]:
        for number, entry in entries(self.text, self.path, RecipeError):
            yield checked(entry, Where(self.path, number))

    def lines(self) -> list[str]:
        """The lines without comments, but for those with nothing else."""
        return [entry for _, entry in entries(self.text, self.path, RecipeError)]

    def where(self, word: str) -> Where:
        """The first line that has a word in it."""
        lines = enumerate(self.text.splitlines(), 1)
        return Where(self.path, next((number for number, line in lines if word in line), 0))

    def error(self, cause: str, remedy: str, word: object) -> RecipeError:
        return RecipeError(cause, remedy=remedy, where=self.where(str(word)))

    def refuse(self, what: object, cause: str, remedy: str, why: str) -> None:
        """Leave something out because of ``why``, or raise if nobody is told."""
        if self.leave is None:
            raise self.error(cause, remedy, what)
        self.leave(str(what), why, self.where(str(what)))

    # -- explicit lists -------------------------------------------------------------------

    def explicit(self) -> Iterator[Pinned]:
        for number, line in enumerate(self.text.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#") or line == "@EXPLICIT":
                continue
            url, _, digest = line.partition("#")
            if not urlsplit(url).scheme or not url.endswith((".conda", ".tar.bz2")):
                raise RecipeError(
                    "an explicit list has addresses of packages only",
                    remedy="make it with 'conda list --explicit --sha256'",
                    where=Where(self.path, number),
                )
            digest = digest.lower().removeprefix("sha256:").removeprefix("md5:")
            if is_sha256(digest):
                yield Pinned(url, digest)
            elif re.fullmatch("([0-9a-f]{32})?", digest):
                yield Pinned(url, md5=digest)
            else:
                raise RecipeError(
                    f"'{digest}' is neither a sha256 nor an md5",
                    remedy="correct it, or take it away",
                    where=Where(self.path, number),
                )

    # -- YAML -----------------------------------------------------------------------------

    def environment(self) -> Environment:
        lines = enumerate(self.text.split("\n"), 1)
        text = "\n".join(self._selected(*each) for each in lines)
        data = load_yaml(text, self.path, RecipeError) or {}
        if not isinstance(data, Mapping):
            raise RecipeError(
                "the environment file is no mapping",
                remedy="it begins with 'dependencies:'",
                where=Where(self.path),
            )
        for key in (key for key in data if key not in _KNOWN_KEYS):
            cause = f"an environment file has no '{key}'"
            self.refuse(key, cause, f"it has {', '.join(_KNOWN_KEYS[:4])}", "conda ignores it, too")
        if self.leave and data.get("prefix"):
            self.leave("prefix", "a stack has a place of its own", self.where("prefix:"))
        specs, pip = self._dependencies(self._list(data, "dependencies"))
        variables = data.get("variables") or {}
        if not isinstance(variables, Mapping):
            raise self.error("'variables' is no mapping", "write NAME: value below it", "variables")
        return Environment(
            channels=tuple(self._strings(self._list(data, "channels"), "channels")),
            specs=tuple(specs),
            pip=tuple(pip),
            variables={str(name): str(value) for name, value in variables.items()},
            names=(str(data["name"]),) if data.get("name") else (),
        )

    def _selected(self, number: int, line: str) -> str:
        """The line, or nothing if its selector (``# [win]``) is for other machines."""
        found = _SELECTOR.search(line)
        if found is None or self._applies(found[1], Where(self.path, number)):
            return line
        if self.leave and not line.lstrip().startswith("#"):
            self.leave(line.strip(" -"), _ELSEWHERE, Where(self.path, number))
        return ""

    def _applies(self, selector: str, where: Where) -> bool:
        """Whether a selector such as ``linux and not aarch64`` is for Linux on this machine."""
        true = {"linux", "unix", self.arch, *_NAMES.get(self.arch, ())}
        known = true.union(_OTHERS, *_NAMES.values())

        def holds(term: str) -> bool:
            found = _TERM.fullmatch(term)
            if found is None or found[2] not in known:
                raise RecipeError(
                    f"the selector [{selector}] is not understood",
                    remedy="use linux, osx, win, x86_64, aarch64, with not, and, or",
                    where=where,
                )
            return (found[2] in true) != bool(found[1])

        return any(all(map(holds, part.split(" and "))) for part in selector.split(" or "))

    def _list(self, data: Mapping[str, Any], key: str) -> Sequence[Any]:
        value = data.get(key) or []
        if not isinstance(value, list):
            raise self.error(f"'{key}' is no list", "begin each line with '- '", key)
        return value

    def _strings(self, values: Sequence[Any], key: str) -> list[str]:
        for value in values:
            if not isinstance(value, str) or not value.strip():
                raise self.error(f"'{key}' has {value!r} in it, which is no text", "quote it", key)
        return [value.strip() for value in values]

    def _dependencies(self, values: Sequence[Any]) -> tuple[list[str], list[str]]:
        specs: list[str] = []
        pip: list[str] = []
        for value in values:
            if not isinstance(value, Mapping):
                (text,) = self._strings([value], "dependencies")
                specs.append(checked(text, self.where(text)))
                continue
            for key, below in value.items():
                listed = below if isinstance(below, list) else [] if below is None else [below]
                items = self._strings(listed, str(key))
                if key == "pip":
                    pip += self._requirements(items)
                elif found := _SEL_KEY.fullmatch(str(key)):
                    if self._applies(found[1], Where(self.path)):
                        specs += items
                    elif self.leave:
                        self.leave(": ".join((key, *items)), _ELSEWHERE, self.where(key))
                else:
                    cause = f"'{key}' is no kind of dependencies"
                    remedy = "only 'pip:' has a list of its own"
                    self.refuse(key, cause, remedy, "only packages of conda and pip are installed")
        return specs, pip

    def _requirements(self, values: Sequence[str]) -> list[str]:
        if not self.locked:
            return [self._whole(value) for value in values]
        found: list[str] = []
        for value in values:
            option, _, name = value.partition(" ")
            if option in ("-r", "--requirement"):
                found += self._included(value, name.strip())
            elif value.startswith(("-", ".", "/")) or "git+" in value:
                remedy = (
                    "name released packages here; set indexes in the configuration "
                    "('pip.index_url'), and install the rest in the recipe's finish step"
                )
                self.refuse(value, f"'{value}' cannot be locked", remedy, remedy)
            else:
                found.append(value)
        return found

    def _included(self, value: str, name: str) -> list[str]:
        """The requirements of another file, and of those that that one includes."""
        file = replace(self, path=self.path.parent / name, named=self.where(name))
        file = replace(file, depth=self.depth + 1)
        if file.depth > _DEPTH:
            self.refuse(value, f"'{value}' includes itself", "take it out", "it includes itself")
            return []
        try:
            return file._requirements(file.lines())
        except RecipeError as error:
            if self.leave is None:
                raise
            self.refuse(value, error.cause, error.remedy, error.cause)
            return []

    def _whole(self, value: str) -> str:
        """A line for pip as it is given elsewhere: with the whole path of another file."""
        found = re.match(r"(-r|-c|--requirement|--constraint)[\s=]*(\S+)$", value)
        local = found is not None and "://" not in found[2]
        return f"{found[1]} {self.path.parent / found[2]}" if found and local else value

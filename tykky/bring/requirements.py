"""Requirements files as pip reads them, and what ``pip freeze`` prints."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bring.found import Found
from tykky.bring.python import Asked, At, located, nothing, python_of, stack
from tykky.errors import RecipeError, TykkyError, Where
from tykky.text import read_text
from tykky.tools.wheels import public

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from tykky.config import Config

#: Options by their short and old names, and those with a value.
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url"}
_SHORT |= {"-f": "--find-links", "--pypi-url": "--index-url"}
_VALUED = {*_SHORT.values(), "--extra-index-url", "--no-binary", "--only-binary", "--trusted-host"}
_VALUED |= {"--use-feature", "--hash", "--config-settings", "--config-setting", "--global-option"}
#: Those that a recipe does anyway: digests of all files, wheels before anything else.
_ANYWAY = ("--require-hashes", "--prefer-binary", "--only-binary", "--no-index")
#: Why an option is left, and what to do.
_LEFT = {
    "--find-links": "name each file of it, 'NAME @ file:///PATH/NAME-1.0-py3-none-any.whl', or "
    "make an index of it and set 'pip.extra_index_urls'",
    "--trusted-host": "what has no valid certificate is not trusted: have its authority added",
    "--pre": "only those pre-releases are taken that a requirement names: 'NAME>=2.0rc1'",
}
_COMMENT = re.compile(r"(^|\s)#.*$")
#: What the folder of a project has.
_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
#: Files that include each other, at most.
_MOST = 100
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")


def is_one(path: Path) -> bool:
    """Whether a file is named as requirements files are, or each of its lines is one of such."""
    if not path.is_file():
        return False
    if re.fullmatch(r".*(requirements?|constraints|freeze).*\.(txt|in)", path.name):
        return True
    try:
        lines = [text for _, text in _lines(read_text(path, any_bytes=True))]
    except TykkyError:
        return False
    return bool(lines) and path.suffix in (".txt", ".in", "") and all(map(_looks, lines))


def _looks(line: str) -> bool:
    option = line.split()[0].partition("=")[0]
    if option in (*_SHORT, *_VALUED, *_ANYWAY, *_LEFT):
        return True
    return parsed(line.partition(" --")[0]) is not None


def read(path: Path, config: Config) -> Found:
    """The recipe of a requirements file and of those that it includes. Raises ``TykkyError``."""
    found = asked(path, config)
    if not found.packages:
        cause = f"{path.name} asks for no package that a recipe could have"
        remedy = "give a file with a requirement on each line, such as 'numpy>=2'"
        raise nothing(found, cause, remedy, path)
    return stack(found, python_of(config, found), about=f"The Python packages of {path.name}.")


def asked(path: Path, config: Config) -> Asked:
    """What a requirements file asks for, with those that it includes. Raises ``TykkyError``."""
    reader = _Reader(path.absolute(), config)
    reader.file(reader.top, constrains=False)
    return reader.asked


def is_within(path: Path, folder: Path) -> bool:
    """Whether a file that another one names is of the same project, and not hidden in it.

    Who has written that other one may want to have something else read, and sent around.
    """
    real, top = path.resolve(), folder.resolve()
    return top in real.parents and not any(p.startswith(".") for p in real.relative_to(top).parts)


def _project(top: Path) -> Path:
    """The folder of the project that a file is of, or else the file's own."""
    for folder in (top.parent, *top.parent.parents):
        if folder in (Path.home(), Path("/")):
            break
        if any((folder / mark).exists() for mark in _MARKS):
            return folder
    return top.parent


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, put together where they end in a backslash, with numbers."""
    first, parts = 0, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        first = first or number
        comment = re.match(r"\s*#", line)
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        whole = _COMMENT.sub("", "".join([*parts, " " + line if comment else line])).strip()
        if whole:
            yield first, whole
        first, parts = 0, []


def parsed(text: str) -> Requirement | None:
    """A text as a requirement, if it is one."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


class _Reader:
    """Reads a file and those that it includes."""

    def __init__(self, top: Path, config: Config) -> None:
        self.top = top
        self.folder = _project(top)
        self.config = config
        self.asked = Asked()
        self._seen: set[Path] = set()

    def file(self, path: Path, *, constrains: bool, where: Where | None = None) -> None:
        """Read a file; its requirements only constrain if it is one of constraints."""
        if (real := path.resolve()) in self._seen:
            return
        self._seen.add(real)
        if len(self._seen) > _MOST:
            cause = f"{self.top.name} includes more than {_MOST} files"
            raise RecipeError(cause, remedy="write what it needs into one", where=where)
        text = read_text(path, "requirements file", RecipeError, where=where, any_bytes=True)
        for number, line in _lines(text.lstrip("\ufeff")):
            at = At(os.path.relpath(path, self.top.parent), number, path.parent)
            if re.search("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff]", line):
                self.asked.leave(line, "is no text", at)
            elif found := _VARIABLE.search(line):
                why = f"{found[0]} is of the environment of whoever calls: write what it stands for"
                self.asked.leave(line, why, at)
            elif line.startswith("-"):
                self._options(line, path, at, constrains)
            else:
                self._requirement(line, at, constrains)

    # -- options -----------------------------------------------------------------------

    def _options(self, line: str, path: Path, at: At, constrains: bool) -> None:
        try:
            words = iter(shlex.split(line))
        except ValueError as error:
            self.asked.leave(line, f"cannot be read: {error}", at)
            return
        for word in words:
            name, equals, value = word.partition("=")
            if name[:2] in _SHORT:  # also -rFILE
                name, value = name[:2], word[2:].removeprefix("=")
                equals = value
            name = _SHORT.get(name, name)
            if name in _VALUED and not equals:
                value = next(words, "")
            if name not in ("--requirement", "--constraint"):
                self._option(name, value, at)
            elif re.match(r"[a-z]+://", value):
                why = "no file is fetched to make a recipe of: download it, and name that"
                self.asked.leave(f"{name} {value}", why, at)
            elif not is_within(at.folder / value, self.folder):
                why = f"it is hidden, or not in {self.folder}: copy it there if others may read it"
                self.asked.leave(f"{name} {value}", why, at)
            else:
                constrains = constrains or name == "--constraint"
                self.file(at.folder / value, constrains=constrains, where=Where(path, at.line))

    def _option(self, name: str, value: str, at: At) -> None:
        if name == "--editable":
            self._location(value, at)
        elif name == "--no-binary" and value == ":all:":
            why = "only packages that a recipe names in 'source' are built from source"
            self.asked.leave(f"{name} {value}", why, at)
        elif name == "--no-binary":
            self.asked.source += [each for each in value.split(",") if each not in ("", ":none:")]
        elif name in ("--index-url", "--extra-index-url"):
            known = (self.config.pip.index_url, *self.config.pip.extra_index_urls)
            if public(value).rstrip("/") not in (public(one).rstrip("/") for one in known):
                self.asked.leave(f"{name} {public(value)}", why_index(value), at)
        elif name not in _ANYWAY:
            why = _LEFT.get(name, "an option of pip that a recipe has not")
            self.asked.leave(f"{name} {value}".strip(), why, at)

    # -- requirements ------------------------------------------------------------------

    def _requirement(self, line: str, at: At, constrains: bool) -> None:
        text, *options = re.split(r" (?=--?[a-z])", " ".join(line.split()))
        digests = []
        for option in options:
            name, _, value = option.replace(" ", "=", 1).partition("=")
            if name == "--hash" and re.fullmatch("sha256:[0-9a-fA-F]{64}", value.strip()):
                digests.append(f" --hash={value.strip()}")
            elif name != "--hash":
                why = "what a build is told is not carried over: have 'finish' do it, or do without"
                self.asked.leave(f"{text} {option}", why, at)
        found = parsed(text)
        if found is None:
            self._location(text, at)
        elif found.url is not None:
            located(self.asked, found.url, found.name, at, found.extras, str(found.marker or ""))
        else:
            into = self.asked.constraints if constrains else self.asked.packages
            into.append(" ".join(text.split()) + "".join(digests))

    def _location(self, text: str, at: At) -> None:
        """A requirement that is no more than where something is, perhaps with extras behind it."""
        address, _, marker = text.partition(" ;")
        extras: list[str] = []
        if found := re.fullmatch(r"(.+)\[([\w., -]+)\]", address):
            address, extras = found[1], [each.strip() for each in found[2].split(",")]
        is_place = re.match(r"[./~]|[a-z+]+:|git@", address) or address.endswith((".whl", ".gz"))
        if not (is_place or (at.folder / address).exists()):
            self.asked.leave(text, "is no requirement as pip writes them, such as 'numpy>=2'", at)
            return
        egg = re.search(r"[#&]egg=([\w.-]+)", address)
        located(self.asked, address, egg[1] if egg else "", at, extras, marker.strip())


def why_index(address: str) -> str:
    """Why an index is not carried over, and what to do."""
    shown = public(address)
    login = ", and its name and password into ~/.netrc" if shown != address else ""
    return (
        "a recipe names no index, the configuration does: "
        f"tykky config set pip.extra_index_urls {shown} '{{inherited}}'{login}"
    )

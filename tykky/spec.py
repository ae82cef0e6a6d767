"""Specs: what a user types to name a stack.

``python-data``, ``python-data@26.11``, ``python-data/26.11``, ``python-data +jupyter ~gui
gpu=cuda12``. Only the form is known here; what a recipe offers is asked of it later, by
:meth:`tykky.repos.Repos.select`.

Public names: ``Spec``, ``parse`` (several), ``parse_one``, ``marked`` (carets under a text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tykky.errors import SpecError

NAME_PATTERN = r"[a-z0-9][a-z0-9_-]*"

_NAME = re.compile(NAME_PATTERN)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FLAG = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SETTING = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=")
_REST = re.compile(r"\S+")

_HELP = "a spec looks like: python-data@26.11 +jupyter ~gui gpu=cuda12"


@dataclass(frozen=True)
class Spec:
    """The name of a recipe, perhaps a version, and the choices that were spelled out."""

    name: str
    version: str | None = None
    choices: Mapping[str, bool | str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", dict(sorted(self.choices.items())))

    def __str__(self) -> str:
        """The canonical form, which parses to an equal spec."""
        words = [self.name if self.version is None else f"{self.name}@{self.version}"]
        for name, value in self.choices.items():
            if isinstance(value, str):
                words.append(f"{name}={value}")
            else:
                words.append(f"{'+' if value else '~'}{name}")
        return " ".join(words)


def parse(words: Sequence[str]) -> list[Spec]:
    """Parse the words of a command line into specs; choices belong to the name before them.

    Raises :class:`SpecError` with the text and a caret under the place that is wrong.
    """
    return _Parser(" ".join(words)).parse()


def parse_one(words: Sequence[str] | str) -> Spec:
    """Parse exactly one spec, given as words or as one text."""
    text = words if isinstance(words, str) else " ".join(words)
    specs = _Parser(text).parse()
    if len(specs) == 1:
        return specs[0]
    if not specs:
        raise SpecError("a spec is missing", remedy=_HELP)
    raise SpecError(
        f"one spec is wanted here, and these are {len(specs)}: "
        + ", ".join(f"'{spec}'" for spec in specs),
        remedy="give one at a time; choices begin with '+' or '~', or contain '='",
    )


def marked(text: str, start: int, width: int = 1) -> tuple[str, str]:
    """The text, and below it carets under ``width`` characters from ``start`` (from 0)."""
    return text, " " * start + "^" * max(1, width)


class _Parser:
    """Reads one text from left to right; every error knows its place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.specs: list[Spec] = []

    def parse(self) -> list[Spec]:
        while True:
            while self.text[self.at : self.at + 1].isspace():
                self.at += 1
            if self.at >= len(self.text):
                return self.specs
            self._part()

    def _part(self) -> None:
        sign = self.text[self.at]
        begins_word = self.at == 0 or self.text[self.at - 1].isspace()
        if sign in "+~":
            self._flag(sign == "+")
        elif sign == "@" or (sign == "/" and not begins_word):
            self._version(sign)
        elif begins_word and _SETTING.match(self.text, self.at):
            self._setting()
        elif begins_word and _NAME.match(self.text, self.at):
            name = self._take(_NAME)
            self.specs.append(Spec(name))
        else:
            self._refuse(begins_word)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def _flag(self, value: bool) -> None:
        start = self.at
        self.at += 1
        name = self._take(_FLAG)
        if not name:
            raise self._error(
                f"the name of a variant is missing after '{self.text[start]}'",
                "write it without a space: +jupyter, ~jupyter",
                start,
            )
        self._choose(name, value, start)

    def _setting(self) -> None:
        start = self.at
        name = self._take(_SETTING)[:-1]
        value = self._take(_VERSION)
        if not value:
            raise self._value_error(name, start)
        self._choose(name, value, start)

    def _value_error(self, name: str, start: int) -> SpecError:
        rest = _REST.match(self.text, self.at)
        if rest and rest.group().startswith("=") and not self.specs:
            version = rest.group()[1:]
            return self._error(
                "'==' is not how a version is asked for", f"did you mean '{name}@{version}'?"
            )
        return self._error(f"the value of '{name}' is missing", f"write {name}=VALUE", start)

    def _choose(self, name: str, value: bool | str, start: int) -> None:
        shown = self.text[start : self.at]
        if not self.specs:
            remedy = "name the recipe first, then its choices"
            if isinstance(value, str) and value[0].isdigit():
                remedy = f"did you mean '{name}@{value}'?"
            raise self._error(f"'{shown}' belongs to no recipe", remedy, start, len(shown))
        spec = self.specs[-1]
        if spec.choices.get(name, value) != value:
            raise self._error(
                f"'{shown}' contradicts what was said of '{name}' before",
                "choose one of the two",
                start,
                len(shown),
            )
        self.specs[-1] = Spec(spec.name, spec.version, {**spec.choices, name: value})

    def _version(self, sign: str) -> None:
        start = self.at
        self.at += 1
        version = self._take(_VERSION)
        if not version:
            raise self._error(
                f"a version is missing after '{sign}'",
                "write it without a space: python-data@26.11",
                start,
            )
        if not self.specs:
            raise self._error(
                f"'{sign}{version}' belongs to no recipe", "name the recipe first", start
            )
        spec = self.specs[-1]
        if spec.version not in (None, version):
            raise self._error(
                f"'{spec.name}' has two versions, {spec.version} and {version}",
                "choose one of the two",
                start,
                self.at - start,
            )
        self.specs[-1] = Spec(spec.name, version, spec.choices)

    def _refuse(self, begins_word: bool) -> None:
        rest = _REST.match(self.text, self.at)
        word = rest.group() if rest else ""
        lower = re.split(r"[@/+~=:]", word)[0].lower()
        if begins_word and word.startswith(("/", "./", "../")):
            raise self._error(
                f"'{word}' is a path, and a spec is wanted",
                "if you wrote ~NAME and the shell made a path of it, quote it: '~NAME'",
                width=len(word),
            )
        if begins_word and word.startswith("-"):
            raise self._error(
                f"'{word}' is neither a recipe nor a choice",
                f"did you mean '~{word.lstrip('-')}'? '~' leaves a variant out",
                width=len(word),
            )
        if begins_word and word[0].isupper() and _NAME.fullmatch(lower):
            raise self._error(
                "names of recipes are lower case", f"did you mean '{lower}'?", width=len(lower)
            )
        if not begins_word and self.specs and word[0] in ":=" and self.specs[-1].version is None:
            version = word.lstrip(":=")
            raise self._error(
                f"'{word[0]}' cannot stand here",
                f"did you mean '{self.specs[-1].name}@{version}'?",
            )
        raise self._error(f"'{word[0]}' cannot stand here", _HELP)

    def _error(
        self, cause: str, remedy: str, start: int | None = None, width: int = 1
    ) -> SpecError:
        place = self.at if start is None else start
        return SpecError(cause, remedy=remedy, details=marked(self.text, place, width))

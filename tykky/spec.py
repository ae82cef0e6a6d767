"""Specs: what a user types to name a stack.

``python-data``, ``python-data@26.11``, ``python-data/26.11``, ``python-data +jupyter ~gui
gpu=cuda12``. Only the form is known here; what a recipe offers is asked of it later, by
:meth:`tykky.repos.Repos.select`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tykky.errors import SpecError

NAME_PATTERN = r"[a-z0-9][a-z0-9_-]*"

#: A part of a spec: a flag, a version, a choice with a value, or the name of a recipe.
_PART = re.compile(
    rf"""
    (?P<sign>[+~])(?P<flag>[A-Za-z_][A-Za-z0-9_-]*)?
    | (?P<at>@|(?<=\S)/)(?P<version>[A-Za-z0-9][A-Za-z0-9._-]*)?
    | (?<!\S)(?P<key>[A-Za-z_][A-Za-z0-9_-]*)=(?P<value>[A-Za-z0-9][A-Za-z0-9._-]*)?
    | (?<!\S)(?P<name>{NAME_PATTERN})
    """,
    re.VERBOSE,
)

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
    text, at = " ".join(words), 0
    specs: list[Spec] = []
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        found = _PART.match(text, at)
        if found is None:
            raise _strange(text, at, specs)
        if found["name"]:
            specs.append(Spec(found["name"]))
        else:
            _add(found, specs)
        at = found.end()
    return specs


def parse_one(words: Sequence[str] | str) -> Spec:
    """Parse exactly one spec, given as words or as one text."""
    specs = parse([words] if isinstance(words, str) else words)
    if len(specs) == 1:
        return specs[0]
    if not specs:
        raise SpecError("a spec is missing", remedy=_HELP)
    raise SpecError(
        f"one spec is wanted here, and these are {len(specs)}: "
        + ", ".join(f"'{spec}'" for spec in specs),
        remedy="give one at a time; choices begin with '+' or '~', or contain '='",
    )


def is_path(word: str) -> bool:
    """Whether a word means a file or folder, and not a name."""
    return word in (".", "..") or word.startswith(("/", "./", "../"))


def marked(text: str, start: int, width: int = 1) -> tuple[str, str]:
    """The text, and below it carets under ``width`` characters from ``start`` (from 0)."""
    return text, " " * start + "^" * max(1, width)


def _add(found: re.Match[str], specs: list[Spec]) -> None:
    """Add what a part says to the last spec."""
    text, shown, start = found.string, found[0], found.start()
    name, version = found["flag"] or found["key"], found["version"]
    value = found["value"] or shown[0] == "+"
    if not (found["flag"] or version or found["value"]):
        rest = text[found.end() :].split(maxsplit=1)
        if found["key"] and not specs and rest and rest[0][0] == "=":
            remedy = f"did you mean '{name}@{rest[0][1:]}'?"
            raise _error(text, found.end(), "'==' is not how a version is asked for", remedy)
        if found["key"]:
            raise _error(text, start, f"the value of '{name}' is missing", f"write {name}=VALUE")
        what, example = "the name of a variant", "+jupyter, ~jupyter"
        if found["at"]:
            what, example = "a version", "python-data@26.11"
        remedy = f"write it without a space: {example}"
        raise _error(text, start, f"{what} is missing after '{shown}'", remedy)
    width = 1 if version and not specs else len(shown)
    if not specs:
        remedy = "name the recipe first, then its version and choices"
        if isinstance(value, str) and value[0].isdigit():
            remedy = f"did you mean '{name}@{value}'?"
        raise _error(text, start, f"'{shown}' belongs to no recipe", remedy, width)
    spec = specs[-1]
    cause = ""
    if version and spec.version not in (None, version):
        cause = f"'{spec.name}' has two versions, {spec.version} and {version}"
    elif not version and spec.choices.get(name, value) != value:
        cause = f"'{shown}' contradicts what was said of '{name}' before"
    if cause:
        raise _error(text, start, cause, "choose one of the two", width)
    if version:
        specs[-1] = replace(spec, version=version)
    else:
        specs[-1] = replace(spec, choices={**spec.choices, name: value})


def _strange(text: str, at: int, specs: list[Spec]) -> SpecError:
    """The error for what is no part of a spec."""
    word = text[at:].split(maxsplit=1)[0]
    begins_word = at == 0 or text[at - 1].isspace()
    lower = re.split(r"[@/+~=:]", word)[0].lower()
    cause, remedy, width = f"'{word[0]}' cannot stand here", _HELP, 1
    if begins_word and is_path(word):
        cause = f"'{word}' is a path, and a spec is wanted"
        remedy = "if you wrote ~NAME and the shell made a path of it, quote it: '~NAME'"
        width = len(word)
    elif begins_word and word.startswith("-"):
        cause = f"'{word}' is neither a recipe nor a choice"
        remedy = f"did you mean '~{word.lstrip('-')}'? '~' leaves a variant out"
        width = len(word)
    elif begins_word and word[0].isupper() and re.fullmatch(NAME_PATTERN, lower):
        cause, remedy = "names of recipes are lower case", f"did you mean '{lower}'?"
        width = len(lower)
    elif not begins_word and specs and word[0] in ":=" and specs[-1].version is None:
        remedy = f"did you mean '{specs[-1].name}@{word.lstrip(':=')}'?"
    return _error(text, at, cause, remedy, width)


def _error(text: str, at: int, cause: str, remedy: str, width: int = 1) -> SpecError:
    return SpecError(cause, remedy=remedy, details=marked(text, at, width))

"""What a stack is chosen by: its version, and the values of its variants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, overload

from tykky.errors import RecipeError

# Versions and values are part of paths, module names and specs: no '+', '~', '@', '/' or spaces.
_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMPONENT = re.compile(r"\d+|[A-Za-z]+")

# How the parts of a version sort when they meet in the same position:
# 1.0rc1 < 1.0 < 1.0-extra < 1.0.1 < main
_PRE_RELEASE, _END, _WORD, _NUMBER, _BRANCH = range(5)
_PRE_RELEASES = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "pre": 3, "rc": 3}
_BRANCHES = ("develop", "latest", "main", "master", "nightly")

_Key = tuple[tuple[int, int, str], ...]


@cache
def _key(text: str) -> _Key:
    parts: list[tuple[int, int, str]] = []
    for part in _COMPONENT.findall(text):
        word = part.lower()
        if part.isdigit():
            parts.append((_NUMBER, int(part), ""))
        elif word in _PRE_RELEASES:
            parts.append((_PRE_RELEASE, _PRE_RELEASES[word], word))
        elif word in _BRANCHES:
            parts.append((_BRANCH, 0, word))
        else:
            parts.append((_WORD, 0, word))
    # The text itself comes last, so that only equal texts are neither less nor greater.
    return (*parts, (_END, 0, text))


def is_released(version: str) -> bool:
    """Whether a version is neither a pre-release, such as 2.0rc1, nor a branch, such as main."""
    return not {kind for kind, _, _ in _key(version)} & {_PRE_RELEASE, _BRANCH}


class Version(str):
    """A version of a recipe, equal to its text, ordered by its components.

    ``deprecated`` is true, or the sentence that users are told. Further keywords are data of
    this version alone, read back as attributes: ``Version("2.17", digest="sha256:...")`` has
    ``.digest``. Raises :class:`RecipeError` for text that cannot be part of a path.
    """

    deprecated: bool | str
    data: Mapping[str, object]

    def __new__(cls, text: str, *, deprecated: bool | str = False, **data: object) -> Version:
        """Check the text and the names of the data."""
        if not isinstance(text, str):
            raise RecipeError(
                f"a version is a string, and {text!r} is not",
                remedy="put quotes around it: as numbers, 26.10 and 26.1 are the same",
            )
        if not _VALID.fullmatch(text):
            raise RecipeError(
                f"{text!r} cannot be a version",
                remedy="use letters, digits, '.', '-' and '_', and begin with a letter or digit",
            )
        if isinstance(deprecated, str) and not deprecated.isprintable():
            raise RecipeError(
                f"what is said of version {text} has {deprecated!a} in it",
                remedy="write it in plain text, on one line",
            )
        for name in data:
            if hasattr(cls, name):
                raise RecipeError(
                    f"the data of version {text} cannot be called {name!r}",
                    remedy="choose another keyword: this one is a method of every version",
                )
        version = super().__new__(cls, text)
        version.deprecated = deprecated
        version.data = data
        return version

    if not TYPE_CHECKING:  # recipes read their own keywords; tykky itself uses ``data``

        def __getattr__(self, name: str) -> object:
            data = self.__dict__.get("data", {})
            if name not in data:
                raise AttributeError(f"version {self} has no {name!r}", name=name, obj=self)
            return data[name]

    @property
    def major(self) -> int:
        """The first component as a number; ``ValueError`` if it is not one."""
        return int(_COMPONENT.findall(self)[0])

    def up_to(self, count: int) -> Version:
        """The first ``count`` components, at least one: ``2.17.3`` up to 2 is ``2.17``."""
        if count < 1:
            raise ValueError(f"a version has no first {count} components")
        ends = [match.end() for match in _COMPONENT.finditer(self)]
        return Version(self[: ends[min(count, len(ends)) - 1]])

    def matches(self, prefix: str) -> bool:
        """Whether ``prefix`` is this version or its first components: 26 for 26.11, not 2."""
        return self == prefix or (
            bool(prefix) and self.startswith(prefix) and self[len(prefix)] in ".-_"
        )

    def __repr__(self) -> str:
        return f"Version({str(self)!r})"

    def __lt__(self, other: str) -> bool:
        return _key(self) < _key(other)

    def __le__(self, other: str) -> bool:
        return _key(self) <= _key(other)

    def __gt__(self, other: str) -> bool:
        return _key(self) > _key(other)

    def __ge__(self, other: str) -> bool:
        return _key(self) >= _key(other)


class Variant:
    """One declared choice: a flag (``values`` are booleans) or one of several words.

    The first of ``values`` is the default. Read on a selected recipe, it is the chosen value.
    """

    def __init__(self, values: tuple[bool | str, ...], help: str) -> None:
        self.values = values
        self.help = help
        self.name = ""

    @property
    def default(self) -> bool | str:
        """What is chosen when a spec says nothing."""
        return self.values[0]

    @property
    def is_flag(self) -> bool:
        """Whether specs say ``+name`` and ``~name`` rather than ``name=value``."""
        return isinstance(self.default, bool)

    def suffix(self, value: bool | str) -> str:
        """What this choice adds to a module's name; nothing for the default."""
        if value == self.default:
            return ""
        if isinstance(value, str):
            return f"-{value}"
        return f"-{self.name}" if value else f"-no{self.name}"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, recipe: None, owner: type) -> Variant: ...

    @overload
    def __get__(self, recipe: object, owner: type) -> bool | str: ...

    def __get__(self, recipe: object | None, owner: type) -> Variant | bool | str:
        if recipe is None:
            return self
        chosen: bool | str = recipe.choices[self.name]  # type: ignore[attr-defined]
        return chosen

    def __repr__(self) -> str:
        return f"<variant {self.name}: {', '.join(map(str, self.values))}>"


def declared(classes: Sequence[type]) -> dict[str, Variant]:
    """The variants that classes declare, given as in an ``__mro__``; the oldest first."""
    return {
        name: value
        for base in reversed(classes)
        for name, value in vars(base).items()
        if isinstance(value, Variant)
    }


def variant(default: bool | str, *others: str, help: str = "") -> Variant:
    """Declare a choice: ``variant(True)`` is a flag, ``variant("cpu", "cuda12")`` a word.

    Raises :class:`RecipeError` for values that a spec could not name.
    """
    if isinstance(default, bool):
        if others:
            raise RecipeError(
                "a flag has one default, true or false, and no other values",
                remedy='write variant(True), or name the values: variant("small", "large")',
            )
        return Variant((default, not default), help)
    values = (default, *others)
    for value in values:
        if not isinstance(value, str) or not _VALID.fullmatch(value):
            raise RecipeError(
                f"{value!r} cannot be a value of a variant",
                remedy="a value is text in quotes, of letters, digits, '.', '-' and '_'",
            )
        if values.count(value) > 1:
            raise RecipeError(
                f"the variant names the value {value!r} twice", remedy="take one of them out"
            )
    return Variant(values, help)

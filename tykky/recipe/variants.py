"""Variants: the finite choices that a recipe offers besides its version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import overload

from tykky.errors import RecipeError

# A value is part of specs and of module names.
VALUE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]*"


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
        if not isinstance(value, str) or not re.fullmatch(VALUE_PATTERN, value):
            raise RecipeError(
                f"{value!r} cannot be a value of a variant",
                remedy="a value is text in quotes, of letters, digits, '.', '-' and '_'",
            )
        if values.count(value) > 1:
            raise RecipeError(
                f"the variant names the value {value!r} twice", remedy="take one of them out"
            )
    return Variant(values, help)

"""What somebody has, as the fields of a recipe; and what of it no recipe can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Left:
    """Something that is not carried over, or is so otherwise than one may think.

    ``what`` it is, as it was written; ``why``, and what to do; the ``file`` (its name as people
    know it) and the ``line``, from 1, if there is one. Passwords need not be taken out of ``what``.
    """

    what: str
    why: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Found:
    """What somebody has, as a recipe.

    ``kind`` is the class that it is derived from (``PipStack``), ``fields`` are the attributes of
    the recipe in the order in which they are written: strings, truth values, tuples of strings and
    mappings of strings. ``files`` lie beside it, by their names. ``version`` is that of the first
    version, if what was found says one; ``about`` is the text of the docstring. ``tests`` are
    commands for the shell that must work in the finished stack, each on one line.
    """

    kind: str
    fields: Mapping[str, object]
    files: Mapping[str, bytes] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    version: str = ""
    about: str = ""
    tests: tuple[str, ...] = ()

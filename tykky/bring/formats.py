"""The formats that recipes can be made of: how each is recognised, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bring.found import Found

if TYPE_CHECKING:
    from tykky.config import Config


@dataclass(frozen=True)
class Format:
    """A format: its name as ``--format`` has it, and what it is, for people.

    ``is_one`` looks at a file or directory, its name first and then its content, and runs nothing;
    it never raises: what cannot be read or is no text is not one. ``read`` raises ``TykkyError``.
    """

    name: str
    what: str
    is_one: Callable[[Path], bool]
    read: Callable[[Path, Config], Found]


#: In the order in which they are tried: the first that recognises something reads it, so what is
#: told by its name or marks stands before what is told by looking like it.
FORMATS: tuple[Format, ...] = ()

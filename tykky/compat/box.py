"""The box of the classic commands: the contents at their path inside, the whole host around them.

Unlike a recipe's, it is open: what users have always run there uses modules of the site, programs
and files anywhere, and their own environment.

Public names: ``OpenBox``, ``Contents``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tykky.build.box import RealBox
from tykky.compat.rooms import Room
from tykky.tools.scratch import Scratch

#: What is said to the commands of installs. A build is entered natively, whatever those are.
_NOT_FOR_BUILDS = ("TYKKY_RUNTIME",)


@dataclass(frozen=True)
class Contents(Scratch):
    """A scratch directory whose contents are those of an install; ``root`` is the environment.

    ``below`` is where in the contents the environment is.
    """

    below: str = ""

    @property
    def top(self) -> Path:
        """All that goes into the image."""
        return self.path / "root"

    @property
    def root(self) -> Path:
        """The environment in it."""
        return self.top / self.below


class OpenBox(RealBox):
    """Commands see the host as the user does, and the contents where ``room`` shows them."""

    room: Room

    def environment(self) -> dict[str, str]:
        """What the user has, and what a kind adds."""
        own = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_BUILDS}
        return {**own, **self.room.variables, **self.variables}

    @property
    def tmp(self) -> Path:
        """The scratch directory for temporary files, which is at its own path in there."""
        return self.scratch.tmp

    @property
    def program(self) -> Path:
        """The box in which the path inside exists."""
        return self.room.program

    def enclose(self, argv: list[str], env: Mapping[str, str]) -> list[str]:
        """The command line that runs ``argv`` in the room."""
        return self.room.enclose(argv)

    @property
    def cwd(self) -> Path:
        """The caller's directory."""
        return self.room.cwd

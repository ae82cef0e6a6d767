"""The environment that ``conda`` commands in a box work on."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.conda.channels import subdir_of

if TYPE_CHECKING:
    from tykky.config import Config

#: Where the commands are in a box; before the environment's own, which may have a conda in it.
FOLDER = Path("/tmp/tykky-bin")

#: Where commands in a box whose root is an image hand their words out.
SOCKET = FOLDER / "socket"

#: What scripts call the command by.
PROGRAMS = ("conda", "mamba", "micromamba")

#: The variable with the path of the file that says which environment it is.
VARIABLE = "TYKKY_CONDA"
#: The variable with the path for a script, if another box runs the environment's programs.
FOLLOW = "TYKKY_CONDA_FOLLOW"
#: Then also the variable with the directories that files may be read from, with colons between:
#: what that box sees of the host, and no more.
READABLE = "TYKKY_CONDA_READABLE"


@dataclass(frozen=True)
class Target:
    """One environment: where it is, and what it was made for.

    ``channels`` are names or addresses, the most important first; ``names`` are what scripts may
    call the environment; ``state`` is the file that this is kept in.
    """

    prefix: Path
    channels: tuple[str, ...]
    virtual_packages: tuple[tuple[str, str, str], ...]
    strict: bool
    names: tuple[str, ...]
    arch: str
    config: Config
    state: Path

    @property
    def subdir(self) -> str:
        """The folder of a channel for its architecture."""
        return subdir_of(self.arch)

    def keep(self, **changes: object) -> None:
        """Change it for the commands that follow."""
        data = pickle.dumps(replace(self, **changes))  # type: ignore[arg-type]
        if FOLLOW in os.environ:  # it is no file, and nobody else's
            self.state.write_bytes(data)
            return
        temporary = self.state.with_suffix(".new")
        temporary.write_bytes(data)
        temporary.replace(self.state)


def follow(text: str) -> None:
    """Add to the script that the other box runs once this is done."""
    with Path(os.environ[FOLLOW]).open("a", encoding="utf-8", errors="surrogateescape") as script:
        script.write(text)

"""What the pipeline asks of a base, whatever it is.

Public names: ``Base``, ``arch``.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from tykky.tools.enclosure import PATH


@dataclass(frozen=True)
class Base(ABC):
    """A base that has been found: what a stack is built in and runs on.

    ``name`` is how it was asked for, ``id`` says in words what it is (``debian-12``), ``digest``
    what of it goes into the hash of an install.
    """

    name: str
    id: str
    digest: str

    @property
    def path(self) -> str:
        """Where programs are looked for in the base, as in ``$PATH``."""
        return PATH

    @abstractmethod
    def which(self, program: str) -> Path | None:
        """The path of a program in the base, or ``None``."""

    @abstractmethod
    def pythons(self) -> dict[str, Path]:
        """Every Python of the base, by its ``major.minor``."""

    @abstractmethod
    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The paths of the programs that a pattern means, sorted; of ``every`` file, if asked.

        It is a path or glob from ``/`` on, or a directory for all programs in it; without a
        slash, a glob of names along PATH, of which the first with each name counts.
        """


def arch() -> str:
    """The architecture of this machine, as the kernel names it: ``x86_64``, ``aarch64``."""
    return platform.machine()

"""The base a stack is built in and runs on. Here: the host itself.

Public names: ``Base``, ``host``, ``arch``.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tykky.errors import TykkyError
from tykky.lock import digest_of

#: Where programs of a base are looked for, whatever PATH the installer has.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Base:
    """A base that has been found. ``id`` says in words what it is: ``debian-12``."""

    name: str
    id: str
    digest: str

    def which(self, program: str) -> Path | None:
        """The path of a program in the base, or ``None``."""
        import shutil

        found = shutil.which(program, path=PATH)
        return Path(found) if found else None

    def pythons(self) -> dict[str, Path]:
        """Every Python of the base, by its ``major.minor``."""
        found: dict[str, Path] = {}
        for folder in PATH.split(":"):
            for path in sorted(Path(folder).glob("python3.*")):
                if re.fullmatch(r"python3\.\d+", path.name):
                    found.setdefault(path.name.removeprefix("python"), path)
        return found

    def programs(self, pattern: str) -> list[str]:
        """The paths of the programs that a pattern means, sorted.

        It is a path or glob from ``/`` on, or a directory for all programs in it; without a
        slash, a glob of names along PATH, of which the first with each name counts.
        """
        if "/" in pattern:
            paths = list(Path("/").glob(pattern.strip("/")))
            inside = [program for path in paths if path.is_dir() for program in path.iterdir()]
            return sorted(str(path) for path in (*paths, *inside) if _is_program(path))
        found: dict[str, str] = {}
        for folder in PATH.split(":"):
            for path in Path(folder).glob(pattern):
                if _is_program(path):
                    found.setdefault(path.name, str(path))
        return sorted(found.values())


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def arch() -> str:
    """The architecture of this machine, as the kernel names it: ``x86_64``, ``aarch64``."""
    return platform.machine()


def find(name: str) -> Base:
    """The base of that name. Raises ``TykkyError`` for one that cannot be used."""
    if name in ("", "host"):
        return host()
    raise TykkyError(
        f"the base '{name}' cannot be used",
        remedy="stacks are built on the host: set 'base: host'",
    )


def host() -> Base:
    """The host as a base, identified by its distribution's name and version."""
    try:
        values = platform.freedesktop_os_release()
    except OSError:
        values = {}
    identity = f"{values.get('ID', 'linux')}-{values.get('VERSION_ID', 'rolling')}"
    return Base("host", identity, digest_of(["host", identity, arch()]))

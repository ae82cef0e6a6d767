"""What one call of a classic command is to do.

Public names: ``Job``, ``Old``, ``existing``, ``read``, ``copied``, ``warn``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError, masked

if TYPE_CHECKING:
    from tykky.config import Config


@dataclass(frozen=True)
class Old:
    """The installation that is updated.

    ``image`` is its squashfs, which counts from the path inside; ``environ`` what it runs before
    each command, and ``ours`` tells whether this Tykky made it. ``state`` is what its kind needs.
    """

    prefix: Path
    values: Values
    image: Path | None
    environ: str
    ours: bool
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Job:
    """One call: the program and its verb, the values that count, what is updated if anything."""

    program: str
    verb: str
    values: Values
    prefix: Path
    config: Config
    old: Old | None = None

    @property
    def inside(self) -> Path:
        """Where the contents appear."""
        path = self.values["installation_path"]
        return self.prefix if path == "prefix" else Path(path)

    @property
    def is_bound(self) -> bool:
        """Whether the contents lie where the install does."""
        return self.inside == self.prefix

    @property
    def level(self) -> int:
        """How much is told: 0 errors only, 1 warnings, 2 what is done, more everything."""
        return int(self.values.get("log_level", 2))

    @property
    def workdir(self) -> Path:
        """The caller's directory, where scripts run."""
        return Path(self.values.get("workdir") or Path.cwd())

    def file(self, key: str) -> Path | None:
        """A file that a key names, from the caller's directory on. Raises ``TykkyError``."""
        named = self.values.get(key)
        return existing(named, self.workdir) if named else None

    def text(self, key: str) -> str:
        """The commands of ``pre_install`` or ``post_install``, those in files included."""
        parts = []
        for item in self.values.get(key, ()):
            if isinstance(item, dict):
                parts.append(read(existing(item["file"], self.workdir)))
            else:
                parts.append(item)
        return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)

    @property
    def inputs(self) -> dict[str, Path]:
        """The user's files that are kept with the install, by the names they get there."""
        named = [self.values.get("env_file"), self.values.get("requirements_file")]
        named += self.values.get("installation_file_paths", [])
        for key in ("pre_install", "post_install", "extra_envs"):
            named += [
                i["file"] for i in self.values.get(key, ()) if isinstance(i, dict) and "file" in i
            ]
        paths = (existing(name, self.workdir) for name in dict.fromkeys(named) if name)
        return {path.name: path for path in paths}


def copied(path: Path) -> bytes:
    """What is kept of a user's file, for all who may read the install: no passwords, no tokens."""
    text = path.read_bytes().decode(errors="surrogateescape")
    return masked(text).encode(errors="surrogateescape")


def existing(name: str | Path, folder: Path) -> Path:
    """A file of the user's. Raises ``TykkyError`` if it is not there."""
    path = folder / Path(name).expanduser()
    if not path.is_file():
        raise TykkyError(
            f"there is no file {name}",
            remedy=f"check its name; it counts from {folder}",
            code=Exit.NOT_FOUND,
        )
    return path


def read(path: Path) -> str:
    """The text of a user's file. Raises ``TykkyError``."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise TykkyError(
            f"the file {path} cannot be read: {error.strerror}",
            remedy="make it readable for yourself: chmod u+r",
            code=Exit.NOT_FOUND,
        ) from error


def warn(text: str) -> None:
    """A warning, unless the user wants to see errors only."""
    if os.environ.get("CW_LOG_LEVEL", "2") != "0":
        console.warn(text)

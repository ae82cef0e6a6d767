"""The host itself as a base.

Public names: ``host``, ``image_of_host``, ``HostBase``.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tykky.bases.base import Base, arch
from tykky.errors import Exit, TykkyError
from tykky.lock import digest_of
from tykky.tools.enclosure import PATH

#: The images that distributions are called by, where their own name is not the image's.
_IMAGES = {
    "sles": "docker://registry.suse.com/bci/bci-base:{version}",
    "rhel": "docker://redhat/ubi{major}:{version}",
    "rocky": "docker://rockylinux/rockylinux:{version}",
}


@dataclass(frozen=True)
class HostBase(Base):
    """The machine that builds: its programs and its Pythons."""

    def which(self, program: str) -> Path | None:
        """The path of a program on the host, or ``None``."""
        found = shutil.which(program, path=PATH)
        return Path(found) if found else None

    def pythons(self) -> dict[str, Path]:
        """Every Python of the host, by its ``major.minor``."""
        found: dict[str, Path] = {}
        for folder in PATH.split(":"):
            for path in sorted(Path(folder).glob("python3.*")):
                if re.fullmatch(r"python3\.\d+", path.name):
                    found.setdefault(path.name.removeprefix("python"), path)
        return found

    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The programs of the host that a pattern means."""
        if "/" in pattern:
            paths = list(Path("/").glob(pattern.strip("/")))
            inside = [program for path in paths if path.is_dir() for program in path.iterdir()]
            return sorted(str(path) for path in (*paths, *inside) if _is_program(path, every))
        found: dict[str, str] = {}
        for folder in PATH.split(":"):
            for path in Path(folder).glob(pattern):
                if _is_program(path, every):
                    found.setdefault(path.name, str(path))
        return sorted(found.values())


def _is_program(path: Path, every: bool) -> bool:
    return path.is_file() and (every or os.access(path, os.X_OK))


def host() -> HostBase:
    """The host as a base, identified by its distribution's name and version."""
    try:
        values = platform.freedesktop_os_release()
    except OSError:
        values = {}
    identity = f"{values.get('ID', 'linux')}-{values.get('VERSION_ID', 'rolling')}"
    return HostBase("host", identity, digest_of(["host", identity, arch()]))


def image_of_host() -> str:
    """The reference of an image of this machine's distribution. Raises ``TykkyError``."""
    name, _, version = host().id.rpartition("-")
    if name == "linux" or version == "rolling":
        raise TykkyError(
            "nothing says which distribution this machine has, so no container can be chosen",
            remedy="name one: 'container_src: docker://...'",
            code=Exit.BASE,
        )
    form = _IMAGES.get(name, f"docker://{name}:{{version}}")
    return form.format(version=version, major=version.partition(".")[0])

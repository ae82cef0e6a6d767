"""What the pipeline asks of a base, whatever it is; and the host itself as one."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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
class Base(ABC):
    """A base that has been found: what a stack is built in and runs on.

    ``name`` is how it was asked for, ``id`` says in words what it is (``debian-12``), ``digest``
    what of it goes into the hash of an install.
    """

    name: str
    id: str
    digest: str

    @property
    def has_root(self) -> bool:
        """Whether it brings a root directory of its own."""
        return False

    @property
    def path(self) -> str:
        """Where programs are looked for in the base, as in ``$PATH``."""
        return PATH

    @abstractmethod
    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The paths of the programs that a pattern means, sorted; of ``every`` file, if asked.

        It is a path or glob from ``/`` on, or a directory for all programs in it; without a
        slash, a glob of names along PATH, of which the first with each name counts.
        """

    def which(self, program: str) -> Path | None:
        """The path of a program in the base, or ``None``."""
        found = self.programs(program)
        return next((Path(p) for p in found if p == program or "/" not in program), None)

    def pythons(self) -> dict[str, Path]:
        """Every Python of the base, by its ``major.minor``."""
        found = (Path(path) for path in self.programs("python3.*"))
        wanted = (path for path in found if re.fullmatch(r"python3\.\d+", path.name))
        return {path.name.removeprefix("python"): path for path in wanted}


def search(
    pattern: str,
    path: str,
    glob: Callable[[str], Iterable[str]],
    is_program: Callable[[str], bool],
) -> list[str]:
    """What :meth:`Base.programs` answers, for a ``path`` as in ``$PATH``."""
    if "/" in pattern:
        inside = f"{pattern.rstrip('/')}/*"
        return sorted({p for one in (pattern, inside) for p in glob(one) if is_program(p)})
    found: dict[str, str] = {}
    for folder in path.split(":"):
        for program in glob(f"{folder.rstrip('/')}/{pattern}"):
            if is_program(program):
                found.setdefault(PurePosixPath(program).name, program)
    return sorted(found.values())


@dataclass(frozen=True)
class HostBase(Base):
    """The machine that builds: its programs and its Pythons."""

    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The programs of the host that a pattern means."""
        return search(pattern, PATH, _glob, os.path.isfile if every else _is_program)


def _glob(pattern: str) -> list[str]:
    with contextlib.suppress(ValueError, NotImplementedError):  # it is no pattern
        return [str(path) for path in Path("/").glob(pattern.strip("/"))]
    return []


def _is_program(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.X_OK)


def host() -> HostBase:
    """The host as a base, identified by its distribution's name and version."""
    values = release()
    identity = f"{values.get('ID', 'linux')}-{values.get('VERSION_ID', 'rolling')}"
    return HostBase("host", identity, digest_of(["host", identity, arch()]))


def release() -> Mapping[str, str]:
    """What the host's ``os-release`` says; nothing if there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def arch() -> str:
    """The architecture of this machine, as the kernel names it: ``x86_64``, ``aarch64``."""
    return platform.machine()


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

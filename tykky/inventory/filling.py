"""What is known of each package of an install, besides what the package itself says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from tykky.bases import Base, ImageBase, StackBase
from tykky.contents import Installed, canonical, of_install
from tykky.inventory import distribution, environments
from tykky.inventory.licences import expression
from tykky.lock import Lock, Package, asked_names
from tykky.store import Place

#: What packages of a lock are told apart by, where names of different kinds are the same.
_KINDS = {"conda": "conda", "cran": "r", "bioconductor": "r"}


def filled(
    found: Iterable[Installed], lock: Lock, addresses: Mapping[str, str]
) -> tuple[Installed, ...]:
    """The packages with what the lock knows of them, why they are there, and their licences.

    ``addresses`` are those of files, by their sha256.
    """
    locked = {_key(package): package for package in lock.packages}
    asked = {canonical(name) for name in asked_names(lock)}
    if lock.asked.get("pinned"):  # an explicit list names all
        asked |= {canonical(package.name) for package in lock.packages if package.is_conda}

    def one(package: Installed) -> Installed:
        package = replace(
            package, type=package.type or _type(package), spdx=expression(package.license)
        )
        file = locked.get((_KINDS.get(package.type, ""), canonical(package.name)))
        if file is None or not _is_same(file.version, package.version):
            # By a script, perhaps in the place of what was locked.
            return replace(package, why="added")
        return replace(
            package,
            why="asked" if canonical(package.name) in asked else "needed",
            url=package.url or file.url or addresses.get(file.sha256, ""),
            sha256=package.sha256 or file.sha256,
        )

    return tuple(map(one, found))


def of_base(base: Base) -> tuple[Installed, ...]:
    """The packages of what a stack is built in: its distribution's, and those of environments.

    Nothing of the host. Raises ``TykkyError`` for an image that cannot be read.
    """
    if isinstance(base, StackBase):
        known = on_stack(base.prefix, base.generation)
        more = () if any(package.type == "deb" for package in known) else of_base(base.below)
        return (*known, *more)
    if not isinstance(base, ImageBase):
        return ()
    rows = distribution.packages(base)
    for prefix, there in environments.found(base):
        if not (rows and prefix == "/usr"):  # whose packages are the distribution's
            rows += tuple(
                replace(package, why="base", spdx=expression(package.license)) for package in there
            )
    return rows


def on_stack(prefix: Path, generation: int) -> tuple[Installed, ...]:
    """The packages of a stack, for one that is built on it."""
    known = of_install(Place(prefix).generation(generation))
    return tuple(replace(package, why="base") for package in known)


def unread(base: Base, found: Iterable[Installed]) -> str:
    """The database of a base that could not be read, so that its packages were not ``found``."""
    return distribution.unread(base, found) if isinstance(base, ImageBase) else ""


def _type(package: Installed) -> str:
    """The type of a package that a recipe names itself, or that was noted before types were."""
    if package.channel == "pypi":
        return "pypi"
    return "conda" if package.build and package.channel else "generic"


def _is_same(locked: str, version: str) -> bool:
    """Whether a version is the one of the lock, which may be spelt in another way."""
    from packaging.utils import canonicalize_version

    return locked == version or canonicalize_version(locked) == canonicalize_version(version)


def _key(package: Package) -> tuple[str, str]:
    return "conda" if package.is_conda else "r" * package.is_r, canonical(package.name)

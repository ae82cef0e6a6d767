"""What is known of each package of an install, besides what the package itself says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tykky.bases import Base
from tykky.contents import Installed, canonical
from tykky.inventory import distribution
from tykky.inventory.licences import expression
from tykky.lock import Lock, Package, asked_names


def filled(
    found: Iterable[Installed], lock: Lock, addresses: Mapping[str, str]
) -> tuple[Installed, ...]:
    """The packages with what the lock knows of them, why they are there, and their licences.

    ``addresses`` are those of files, by their sha256.
    """
    locked = {_key(package): package for package in lock.packages}
    asked = {canonical(name) for name in asked_names(lock)}

    def one(package: Installed) -> Installed:
        file = locked.get((package.type == "conda", canonical(package.name)))
        if file is None or file.version != package.version or package.type == "cran":
            why = "added"  # by a script, perhaps in the place of what was locked
            return replace(package, why=why, spdx=expression(package.license))
        return replace(
            package,
            why="asked" if canonical(package.name) in asked else "needed",
            spdx=expression(package.license),
            url=package.url or file.url or addresses.get(file.sha256, ""),
            sha256=package.sha256 or file.sha256,
        )

    return tuple(map(one, found))


def of_base(base: Base) -> tuple[Installed, ...]:
    """The packages of what a stack is built in. Raises ``TykkyError`` for a damaged image."""
    return distribution.packages(base)


def unread(base: Base) -> str:
    """The database of a base that is there, and that nothing here can read; mostly none."""
    return distribution.unread(base)


def _key(package: Package) -> tuple[bool, str]:
    return package.is_conda, canonical(package.name)

"""Updates of what has known holes, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import contents
from tykky import lock as locks
from tykky.build import gate
from tykky.build.updating import Update, lock_of, prepare
from tykky.errors import Exit, TykkyError
from tykky.lock import canonical
from tykky.store import Place

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.inventory.advisories import Finding
    from tykky.repos import Repos
    from tykky.store import Entry, Store


@dataclass(frozen=True)
class Secured:
    """What would be updated, if that mends anything; the holes that it mends, and those it leaves.

    ``leaves`` has a reason for each.
    """

    update: Update | None
    mends: tuple[Finding, ...]
    leaves: tuple[tuple[Finding, str], ...]

    def answer(self) -> dict[str, Any]:
        """What programs read of it."""
        left = [{**finding.answer(), "why": why} for finding, why in self.leaves]
        return {"mends": [finding.answer() for finding in self.mends], "leaves": left}


def want(entries: list[Entry], config: Config) -> None:
    """Read the advisories on all that these installs have, in one go. Raises ``TykkyError``."""
    if config.advisories.osv is None:
        cause = "nothing says where the advisories are"
        remedy = "'tykky config set advisories.osv DIR', a directory or ZIP of OSV files"
        raise TykkyError(cause, remedy=remedy, code=Exit.CONFIG)
    gate.mirror(config).want([package for entry in entries for package in _inside(entry)])


def secure(
    entry: Entry, config: Config, repos: Repos, store: Store, say: Callable[[str], None]
) -> Secured:
    """Resolve anew what has known holes in an install; nothing is written.

    Raises ``TykkyError``.
    """
    mirror, module = gate.mirror(config), entry.module
    packages = _inside(entry)
    known = mirror.match(packages, module)
    found = [each for each in known if not each.statement]
    if not found:
        return Secured(None, (), ())
    lock = lock_of(Place(Path(entry.prefix)).record())
    locked = {canonical(package.name) for package in lock.packages}
    names = {canonical(each.package) for each in found} & locked
    update, mends = None, set[int]()
    while names:
        try:
            update = prepare(entry, sorted(names), config, repos, store, say)
        except TykkyError as error:
            if error.code != Exit.RESOLVE:
                raise
            error.remedy = f"{error.remedy}; or 'tykky update {module}', which may change all"
            raise
        after = {
            (canonical(each.package), each.ids)
            for each in mirror.match(update.plan.lock.packages, module)
        }
        mends = {
            number
            for number, each in enumerate(found)
            if canonical(each.package) in names and (canonical(each.package), each.ids) not in after
        }
        useful = {canonical(found[number].package) for number in mends}
        if useful == names:
            break
        # What is changed without any use is not changed.
        names, update = useful, None
    leaves = tuple(
        (each, _why(each, canonical(each.package) in locked))
        for number, each in enumerate(found)
        if number not in mends
    )
    return Secured(update, tuple(found[number] for number in sorted(mends)), leaves)


def _inside(entry: Entry) -> tuple[locks.Named, ...]:
    """What an install has: as it was found, or else as it was locked."""
    place = Place(Path(entry.prefix))
    if place.is_closed:
        return ()
    found = contents.of_install(place.generation(entry.generation))
    return found or lock_of(place.record()).packages


def _why(finding: Finding, is_locked: bool) -> str:
    if not is_locked:
        return "it is not from the lock, but from the base or a script: update that"
    if not finding.fixed:
        return "no version without it is known"
    return f"the recipe or other packages keep it from {finding.fixed}"

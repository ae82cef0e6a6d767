"""What keeps an install from being built or published: licences that the site does not allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tykky.console import plural
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.lock import Lock, Named

#: So many packages of one licence are named.
_NAMED = 5


def check(packages: Iterable[Named], what: str, config: Config, say: Callable[[str], None]) -> None:
    """Tell which packages are to be asked about. Raises ``TykkyError`` for what is denied."""
    from tykky.inventory.policy import Policy  # which most verbs need not wait for

    policy = Policy.of(config)
    if policy.is_empty:
        return
    found = policy.judge(packages)
    if denied := [each for each in found if each.answer == "deny"]:
        raise TykkyError(
            f"{what} has {plural(len(denied), 'package')} under licences that are not allowed",
            remedy="choose others, or say in licences.exceptions why they may be installed; "
            "'tykky config why licences.deny' tells who has decided",
            code=Exit.LICENCE,
            details=tuple(map(str, denied)),
        )
    asked: dict[str, list[str]] = {}
    for each in found:
        if each.answer == "ask":
            asked.setdefault(each.licence if each.spdx else "unknown", []).append(each.name)
    for licence, names in sorted(asked.items()):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        say(f"{what}: ask about the licence {licence} of {', '.join(names[:_NAMED])}{more}")


def check_lock(lock: Lock, what: str, config: Config, say: Callable[[str], None]) -> None:
    """The same before anything is built: of the packages whose licences a lock knows."""
    check([each for each in lock.packages if each.license], what, config, say)

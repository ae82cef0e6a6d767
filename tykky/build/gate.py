"""What keeps an install from being built or published: known holes in its packages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tykky.console import plural
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.build.work import Desk
    from tykky.config import Advisories, Config
    from tykky.inventory.advisories import Finding, Mirror
    from tykky.lock import Named

#: Holes that are told one by one.
_TOLD = 8
#: What was read by this process, and what was told of it.
_mirrors: dict[Advisories, Mirror] = {}
_told: set[tuple[object, ...]] = set()


def mirror(config: Config) -> Mirror:
    """The advisories of the configuration, read once. Raises ``TykkyError``."""
    from tykky import console
    from tykky.inventory.advisories import Mirror  # which most verbs need not wait for

    key = config.advisories
    if key not in _mirrors:
        _mirrors[key] = Mirror.of(config, console.warn)
    return _mirrors[key]


def check(packages: Iterable[Named], module: str, desk: Desk) -> None:
    """Warn of packages with known holes, or refuse them, as the configuration says.

    Raises ``TykkyError``.
    """
    settings = desk.config.advisories
    if settings.osv is None or settings.on_install == "ignore":
        return
    refuses = settings.on_install == "refuse"
    try:
        found = [each for each in mirror(desk.config).match(packages, module) if not each.statement]
    except TykkyError as error:
        if not refuses:
            if (module, error.cause) not in _told:
                desk.remark(f"{error.cause}; so nothing is known of holes in {module}")
            _told.add((module, error.cause))
            return
        error.remedy = f"{error.remedy}; without advisories, {_ALL_THE_SAME}"
        raise
    if refuses and (bad := [each for each in found if each.reaches(settings.fail_on)]):
        raise _refusal(bad, module)
    # A package may spell its name otherwise than its lock.
    keys = {(module, each.ids, each.version): each for each in found}
    new = [each for key, each in keys.items() if key not in _told]
    _told.update(keys)
    for each in new[:_TOLD]:
        desk.remark(f"{module}: {told(each)}")
    if len(new) > _TOLD:
        more = f"{plural(len(new) - _TOLD, 'more known hole')}"
        desk.remark(f"{module}: {more}: 'tykky audit --advisories {module}' shows all")


def told(finding: Finding) -> str:
    """A hole, for people."""
    fixed = f"mended in {finding.fixed}" if finding.fixed else "no version without it is known"
    name = finding.ids[0]
    return f"{finding.package} {finding.version} has {name} ({finding.severity}); {fixed}"


_ALL_THE_SAME = "'-c advisories.on_install=warn' installs it all the same"


def _refusal(bad: list[Finding], module: str) -> TykkyError:
    helped = "lock versions without them: 'tykky lock'"
    if not any(each.fixed for each in bad):
        helped = "choose other packages"
    return TykkyError(
        f"{module} would have {plural(len(bad), 'known hole')}, and advisories.on_install refuses",
        remedy=f"{helped}, or state in the file of advisories.statements why they do not matter; "
        f"{_ALL_THE_SAME}",
        code=Exit.VULNERABLE,
        details=tuple(map(told, bad)),
    )

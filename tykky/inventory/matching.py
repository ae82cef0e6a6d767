"""Whether an advisory is about a version of a package, and from which version on it is mended.

Versions are compared by ``univers``, within the rules of their ecosystem. What is not said there:

- A local version of Python's (``2.0+cu118``) is a build of the public one, and has its holes,
  unless the advisory itself names local versions.
- ``DebianVersion`` takes ``1.0-01`` and ``1.0-1`` for different, ``SemverVersion`` builds
  (``1.0.0+5``), though none is greater: only what is less counts here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache
from itertools import groupby
from typing import Any, TypeAlias

from tykky.inventory.osv import Affected, Range

#: The beginning of all versions, for OSV.
_FIRST = "0"


@dataclass(frozen=True)
class Version:
    """A version within an ecosystem: comparable, if ``value`` is not ``None``."""

    text: str
    value: Any
    public: Any = None  # without a local part, if it has one

    def __lt__(self, other: Version) -> bool:
        return bool(self.value < other.value)

    def at(self, boundary: Version) -> Version:
        """This one as it is compared with the version of an advisory."""
        is_plain = self.public is not None and boundary.public is None
        return Version(self.text, self.public) if is_plain else self


@lru_cache(maxsize=1 << 18)
def version(ecosystem: str, text: str) -> Version:
    """A version of an ecosystem: ``PyPI``, ``Debian``, ``Ubuntu``, or ``SEMVER``."""
    from univers import versions  # which takes a tenth of a second

    try:
        if ecosystem == "PyPI":
            value = versions.PypiVersion(text).value
            public = versions.PypiVersion(value.public).value if value.local else None
            return Version(text, value, public)
        if ecosystem in ("CRAN", "Bioconductor"):  # numbers, whatever is between them
            return Version(text, tuple(map(int, re.findall(r"\d+", text))) or None)
        if ecosystem == "SEMVER":
            return Version(text, versions.SemverVersion(text).value)
        return Version(text, versions.DebianVersion(text).value)
    except (ValueError, TypeError, OverflowError):  # univers' own is a ValueError
        return Version(text, None)


def is_affected(affected: Affected, text: str) -> bool | None:
    """Whether a version has the hole; ``None`` if the advisory's versions cannot be compared."""
    ecosystem = affected.ecosystem
    if text in affected.versions:
        return True
    installed = version(ecosystem, text)
    if installed.value is not None and ecosystem == "PyPI" and affected.versions:
        plain = installed.public if installed.public is not None else installed.value
        listed = _listed(affected.versions)
        if installed.value in listed or plain in listed:
            return True
    unclear = False
    for each in affected.ranges:
        found = _within(each, _type(each, ecosystem), text)
        if found:
            return True
        unclear |= found is None
    # Where all versions are listed, nothing else is meant by the range.
    return None if unclear and not affected.versions else False


def mended(affected: Iterable[Affected], text: str) -> str:
    """The least version above one that is said to be fixed, and has none of the holes; or none."""
    affected = [*affected]
    for fix in sorted(_fixes(affected, text)):
        if not any(is_affected(each, fix.text) for each in affected):
            return fix.text
    return ""


def _fixes(affected: Iterable[Affected], text: str) -> Iterator[Version]:
    for each in affected:
        for timeline in each.ranges:
            of = _type(timeline, each.ecosystem)
            installed = version(of, text)
            for kind, boundary in timeline.events:
                fix = version(of, boundary)
                if kind == "fixed" and None not in (fix.value, installed.value):
                    # What is compared with those of others is the version of the ecosystem.
                    whole = version(each.ecosystem, boundary)
                    if installed.at(fix) < fix and whole.value is not None:
                        yield whole


def _type(timeline: Range, ecosystem: str) -> str:
    return "SEMVER" if timeline.type == "SEMVER" else ecosystem


@lru_cache(maxsize=1 << 12)
def _listed(versions: tuple[str, ...]) -> frozenset[Any]:
    """The versions of Python's that are listed, however they are written."""
    found = (version("PyPI", text).value for text in versions)
    return frozenset(value for value in found if value is not None)


#: What happens, and in which version; ``None`` is before all others.
_Event: TypeAlias = "tuple[str, Version | None]"


@dataclass(frozen=True)
class _Timeline:
    """The events of a range, in order."""

    events: tuple[_Event, ...]
    limits: tuple[Version, ...]
    is_clear: bool


@lru_cache(maxsize=1 << 16)
def _timeline(timeline: Range, of: str) -> _Timeline:
    events: list[_Event] = []
    limits: list[Version] = []
    is_clear = True
    for kind, text in timeline.events:
        if kind == "introduced" and text == _FIRST:
            events.append((kind, None))
        elif kind == "limit" and "*" in text:
            limits.append(Version("*", None))
        else:
            boundary = version(of, text)
            is_clear &= boundary.value is not None
            if kind == "limit":
                limits.append(boundary)
            else:
                events.append((kind, boundary))
    if not is_clear:
        return _Timeline((), (), is_clear=False)
    if any(limit.value is None for limit in limits):  # without end
        limits = []
    events = sorted(events, key=cmp_to_key(_order))
    return _Timeline(tuple(_without_pairs(events)), tuple(limits), is_clear=True)


def _by_version(one: _Event, other: _Event) -> int:
    a, b = one[1], other[1]
    if a is None or b is None:
        return (b is None) - (a is None)
    return (b < a) - (a < b)


def _order(one: _Event, other: _Event) -> int:
    # What is introduced and is last affected in one version, has the hole in that.
    return _by_version(one, other) or (other[0] == "introduced") - (one[0] == "introduced")


def _without_pairs(events: Iterable[_Event]) -> Iterator[_Event]:
    """The events, in order, but those that mend and introduce a hole in one and the same version.

    What is mended there has it still if it had it before, and else never.
    """
    for _, group in groupby(events, key=cmp_to_key(_by_version)):
        left = [*group]
        kinds = [kind for kind, _ in left]
        for _ in range(min(kinds.count("introduced"), kinds.count("fixed"))):
            for kind in ("introduced", "fixed"):
                at = next(at for at, event in enumerate(left) if event[0] == kind)
                del left[at]
        yield from left


def _within(timeline: Range, of: str, text: str) -> bool | None:
    """Whether a version lies within a range; ``None`` if that cannot be told."""
    installed, line = version(of, text), _timeline(timeline, of)
    if not line.is_clear:
        return None
    if installed.value is None:
        # What is so from the beginning, without an end, is so for all.
        return True if [*line.events] == [("introduced", None)] and not line.limits else None
    if line.limits and not any(installed.at(limit) < limit for limit in line.limits):
        return False
    inside = False
    for kind, boundary in line.events:
        if boundary is None:
            inside = True
            continue
        here = installed.at(boundary)
        if kind == "introduced" and not here < boundary:
            inside = True
        elif (kind == "fixed" and not here < boundary) or (
            kind == "last_affected" and boundary < here
        ):
            inside = False
    return inside

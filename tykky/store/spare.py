"""Generations that nothing needs any more: which, why, and deleting them.

A generation may be gone back to, be loaded by a session, or be mounted by one of another place. So
it goes when it has not been current for a while, and none needs it that stays. A retired version
goes as a whole, in the same way. What goes is known before anything is deleted.
"""

from __future__ import annotations

import contextlib
import os
import time
from calendar import timegm
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, TykkyError
from tykky.files import size_of
from tykky.host import TIME
from tykky.store import place as places
from tykky.store import roots, running, state, trash
from tykky.store.place import Place

if TYPE_CHECKING:
    from tykky.store import Entry, Store


@dataclass(frozen=True)
class Keep:
    """What stays: what is younger than so many seconds, and so many generations before each."""

    seconds: float
    generations: int = 0


@dataclass(frozen=True)
class Spare:
    """Generations of a place that may go, and why; of a retired version, all of it (``entry``).

    ``bytes`` is what that frees, after those that come before it; ``needs`` what has to stay for as
    long as it is there.
    """

    title: str
    prefix: Path
    number: int
    bytes: int
    why: str
    needs: tuple[str, ...] = ()
    entry: Entry | None = None

    @property
    def path(self) -> str:
        """How others that need it call it, as a whole or a generation of it."""
        return os.path.realpath(f"{self.prefix}#{self.number}" if self.number else self.prefix)

    def is_needed(self, needs: Collection[str]) -> bool:
        """Whether it is among what others need."""
        wanted = needs if self.number else [need.rpartition("#")[0] for need in needs]
        return self.path in wanted


@dataclass(frozen=True)
class Plan:
    """What may go, in the order in which it goes; what is old and stays, and why.

    ``begun`` are places in which a killed change has left something.
    """

    spare: tuple[Spare, ...]
    kept: tuple[tuple[str, str], ...]
    begun: tuple[tuple[str, Path], ...]


def plan(store: Store, keep: Keep, warn: Callable[[str], None]) -> Plan:
    """Look through all places. What cannot be read, or is of a newer Tykky, is warned about."""
    entries = {Path(entry.prefix): entry for entry in store.entries()}
    for problem in store.unreadable:
        warn(f"{problem}; it is left out")
    every = [place.prefix for place in places.below(store.places)]
    # Where a build was killed, there may be no current generation, and no entry.
    titles = {p: f"{p.parent.name}/{p.name}" for p in every if not Place(p).current}
    titles |= {path: entry.module for path, entry in entries.items()}
    sure = {p for p in titles if (_is_sound if p in entries else _is_new)(Place(p))}
    retired = {p: e for p, e in entries.items() if p in sure and _age(e) >= keep.seconds}
    # Those of other roots may need something.
    far = {Path(entry.prefix): entry for _, entry in roots.elsewhere(store)}
    unsure = _unsure({**entries, **far})
    old, whole, kept = _candidates(titles, entries, sure - unsure, {*retired} - unsure, keep)
    needs = _needs({*titles, *every, *far})
    wish = {prefix: {*numbers} for prefix, numbers in old.items()}
    old, whole = _unneeded(old, needs, whole)
    by = {need: path for (path, _), wanted in needs.items() for need in wanted}
    for prefix, numbers in wish.items():
        for number in sorted(numbers - old.get(prefix, set())):
            needing = by.get(os.path.realpath(f"{prefix}#{number}"), prefix)
            known = titles.get(needing) or f"{needing.parent.name}/{needing.name}"
            kept.append((f"{titles[prefix]}#{number}", f"{known} needs it"))
    found: list[Spare] = []
    begun: list[tuple[str, Path]] = []
    for prefix, module in titles.items():
        here = Place(prefix)
        if here.is_closed:
            continue
        try:
            here.check_formats()
            is_gone = not (here.current or here.numbers or here.is_lost)
            is_begun = is_gone or (not here.current and trash.is_begun(store, prefix))
            if prefix not in sure and not is_begun:
                what = f"'current' in {here.hidden} leads to none of its generations"
                what = "its current generation is damaged or unreadable" if here.current else what
                mends = "'tykky doctor --store --fix' mends that"
                if here.records() and prefix in entries:
                    mends = f"'tykky rollback {module}' mends that"
                if here.current:
                    mends = f"'tykky verify {module}' says what mends that"
                warn(f"{module} is left as it is: {what}; {mends}")
                continue
            begun.append((module, prefix))
            if prefix in whole:
                why = f"retired {trash.days(_age(retired[prefix]))} ago"
                wanted = [need for number in here.numbers for need in needs[prefix, number]]
                found.append(Spare(module, prefix, 0, 0, why, tuple(wanted), retired[prefix]))
                continue
            # A rollback may have made one of them current in the meantime.
            since = state.superseded(here) if old.get(prefix) else {}
            for number in sorted(old.get(prefix, set()) & {*since}):
                why = f"not current for {trash.days(time.time() - since[number])}"
                wanted = needs[prefix, number]
                found.append(Spare(f"{module}#{number}", prefix, number, 0, why, tuple(wanted)))
        except (TykkyError, OSError) as error:
            warn(f"{module} is left as it is: {error}")
    return Plan(tuple(_sized(_in_order(found))), tuple(kept), tuple(begun))


def ordered(first: Mapping[str, Collection[str]]) -> list[str]:
    """The keys, each after what is to come ``first``; as they are if that goes in a circle."""
    with contextlib.suppress(CycleError):
        return [key for key in TopologicalSorter(first).static_order() if key in first]
    return [*first]


def _in_order(found: Sequence[Spare]) -> list[Spare]:
    """Each after those that need it: where that is stopped, nothing is left that lacks another."""
    if not any(each.needs for each in found):
        return [*found]
    by_path: dict[str, list[Spare]] = {}
    for each in found:
        by_path.setdefault(each.path, []).append(each)
    first: dict[str, list[str]] = {path: [] for path in by_path}
    for each in found:
        for need in each.needs:
            # A retired version goes as a whole.
            path = need if need in first else need.rpartition("#")[0]
            if path in first:
                first[path].append(each.path)
    return [each for path in ordered(first) for each in by_path[path]]


def _sized(found: Sequence[Spare]) -> Iterator[Spare]:
    """The same, with the bytes that each frees after those that come before it."""
    gone: dict[Path, list[int]] = {}
    before: dict[Path, int] = {}
    for each in found:
        if not each.number:
            yield replace(each, bytes=size_of(each.prefix))
            continue
        gone.setdefault(each.prefix, []).append(each.number)
        freed = places.freed_without(Place(each.prefix), gone[each.prefix])
        yield replace(each, bytes=freed - before.get(each.prefix, 0))
        before[each.prefix] = freed


def _candidates(
    titles: Mapping[Path, str],
    entries: Mapping[Path, Entry],
    sure: set[Path],
    retired: set[Path],
    keep: Keep,
) -> tuple[dict[Path, set[int]], set[Path], list[tuple[str, str]]]:
    """The old generations of places, and the retired places, but those that somebody keeps.

    And a line for each of these: what it is, and why it stays.
    """
    used, pinned = running.in_use(), running.pinned()
    old: dict[Path, set[int]] = {}
    whole: set[Path] = set()
    kept: list[tuple[str, str]] = []
    for prefix in titles:
        here = Place(prefix)
        if not os.access(here.hidden, os.W_OK):  # its owner's to clean
            continue
        try:
            numbers = _superseded(here, keep) if prefix in sure else set()
            going = {*here.numbers} if prefix in retired else numbers
            known = state.marks(here) if going else {}
            if going and prefix in entries and state.is_unknown(here):
                known = entries[prefix].marks
            stays = _needed_here(here, going, used, pinned)
        except (StoreError, OSError):  # which is said when it would be changed
            continue
        for number in going:
            if facts := known.get(state.HELD, known.get(f"{state.HELD}#{number}")):
                stays[number] = "it is held" + (f": {facts['why']}" if facts.get("why") else "")
        if prefix in retired and not stays:
            whole.add(prefix)
        old[prefix] = numbers.difference(stays)
        kept += [(f"{titles[prefix]}#{number}", why) for number, why in sorted(stays.items())]
    return old, whole, kept


def tidy(store: Store, plan: Plan, warn: Callable[[str], None]) -> None:
    """Remove what killed changes have left, and finish what they began to uninstall."""
    entries = {Path(entry.prefix): entry for entry in store.entries()}
    for module, prefix in plan.begun:
        here = Place(prefix)
        try:
            with _claimed(store, here, module, warn) as held:
                if held:
                    places.sweep(here)
                if held and not here.current and prefix in entries:
                    trash.put(store, entries[prefix])
        except (TykkyError, OSError) as error:
            warn(f"{module} is left as it is: {error}")


def remove(store: Store, spare: Spare, keep: Keep, warn: Callable[[str], None]) -> int | None:
    """Delete a generation that still may go; how many bytes that freed, or nothing if it may not.

    Raises ``TykkyError``, ``OSError``.
    """
    here = Place(spare.prefix)
    with _claimed(store, here, spare.title, warn) as held:
        marks = state.marks(here)
        is_held = state.HELD in marks or f"{state.HELD}#{spare.number}" in marks
        if not held or is_held or spare.number not in _superseded(here, keep):
            return None
        return places.remove_generation(here, spare.number)


@contextlib.contextmanager
def _claimed(store: Store, here: Place, what: str, warn: Callable[[str], None]) -> Iterator[bool]:
    """Hold the claim of a place, unless it is somebody else's, or just being changed."""
    if not os.access(here.hidden, os.W_OK):
        yield False
        return
    with store.claim(here.prefix, what, warn, wait=False) as held:
        yield held


def _unsure(entries: Mapping[Path, Entry]) -> set[Path]:
    """The places of which something is needed that is closed: what of them, nobody can tell."""
    closed = [entry for prefix, entry in entries.items() if Place(prefix).is_closed]
    needed = {os.path.realpath(n.rpartition("#")[0]) for entry in closed for n in entry.needs}
    return {prefix for prefix in entries if os.path.realpath(prefix) in needed}


def _needed_here(
    here: Place, going: Collection[int], used: dict[str, str], pinned: dict[str, str]
) -> dict[int, str]:
    """Those of these generations that a process of this node runs from, or has loaded."""
    known = (
        {record.generation: record.files_of_images for record in here.records()} if going else {}
    )
    # What one shares with another that stays, stays with that.
    shared = {file for number, files in known.items() if number not in going for file in files}
    place, found = os.path.realpath(here.prefix), {}
    for number in going:
        if program := running.runs_from(here.images, known.get(number, set()) - shared, used):
            found[number] = f"{program} runs from it"
        elif program := pinned.get(f"{place}={number}", ""):
            found[number] = f"{program} has it loaded"
    return found


def _is_sound(here: Place) -> bool:
    """Whether a place has a current generation that can be used."""
    with contextlib.suppress(StoreError):
        return here.current > 0 and not places.damaged(here.record())
    return False


def _is_new(here: Place) -> bool:
    """Whether a place never had a current generation: its first build was killed."""
    with contextlib.suppress(StoreError):
        known = len(here.numbers) < 2 and not state.events(here)
        return known and len(here.records()) == len(here.numbers)
    return False


def _age(entry: Entry) -> float:
    """For how many seconds a version has been retired; less than nothing if it is not."""
    with contextlib.suppress(KeyError, ValueError):
        when = entry.marks[state.RETIRED]["when"]
        return time.time() - timegm(time.strptime(when, TIME))
    return -1.0


def _superseded(here: Place, keep: Keep) -> set[int]:
    """The generations that have not been current for so long. Raises ``StoreError``."""
    since = state.superseded(here)
    last = sorted(since, key=lambda number: (since[number], number))[-keep.generations :]
    kept = last if keep.generations else []
    return {n for n, when in since.items() if time.time() - when >= keep.seconds and n not in kept}


def _needs(every: Collection[Path]) -> dict[tuple[Path, int], list[str]]:
    """What each generation of places needs; links to its folder may differ."""
    return {
        (here.prefix, number): [os.path.realpath(need) for need in here.needs(number)]
        for here in map(Place, every)
        for number in here.numbers
    }


def _unneeded(
    spare: dict[Path, set[int]],
    needs: Mapping[tuple[Path, int], Sequence[str]],
    retired: set[Path],
) -> tuple[dict[Path, set[int]], set[Path]]:
    """Those of the generations, and of the retired places, that no generation needs that stays.

    A chain of needs goes as a whole, if all of it may.
    """
    while True:
        needed = {
            need
            for (prefix, number), wanted in needs.items()
            if prefix not in retired and number not in spare.get(prefix, ())
            for need in wanted
        }
        if not needed:
            return spare, retired
        fewer = {
            prefix: {n for n in numbers if os.path.realpath(f"{prefix}#{n}") not in needed}
            for prefix, numbers in spare.items()
        }
        places_needed = {need.rpartition("#")[0] for need in needed}
        left = {prefix for prefix in retired if os.path.realpath(prefix) not in places_needed}
        if fewer == spare and left == retired:
            return spare, retired
        spare, retired = fewer, left

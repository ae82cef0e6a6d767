"""Generations that nothing needs any more, and what killed writers left: finding and deleting.

A generation may be gone back to, be loaded by a session, or be mounted by one of another place. So
it is deleted when it has not been current for a while, and no generation needs it that stays.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, TykkyError
from tykky.store import place as places
from tykky.store import running, state, trash
from tykky.store.place import Place

if TYPE_CHECKING:
    from tykky.store import Entry, Store


def remove(
    store: Store, seconds: float, warn: Callable[[str], None], *, dry_run: bool = False
) -> tuple[list[str], int]:
    """Delete what has not been current for that long; which generations, and how many bytes.

    Places that somebody else owns, or is changing, are left out; what cannot be read, or is of a
    newer Tykky, is warned about.
    """
    entries = {Path(entry.prefix): entry for entry in store.entries()}
    for problem in store.unreadable:
        warn(f"{problem}; it is left out")
    every = [place.prefix for place in places.below(store.places)]
    # Where a build was killed, there may be no current generation, and no entry.
    titles = {p: f"{p.parent.name}/{p.name}" for p in every if not Place(p).current}
    titles |= {path: entry.module for path, entry in entries.items()}
    sure = {path for path in titles if path not in entries or _is_sound(Place(path))}
    old = _spare(sure - _unsure(entries), {*titles, *every}, seconds)
    gone: list[str] = []
    freed, used = 0, running.in_use()
    for prefix, module in titles.items():
        here = Place(prefix)
        if here.is_closed:
            continue
        try:
            here.check_formats()
            begun = not here.current and (not here.numbers or trash.is_begun(store, prefix))
            if prefix not in sure and not begun:
                what = f"'current' in {here.hidden} leads to none of its generations"
                what = "its current generation is damaged or unreadable" if here.current else what
                warn(f"{module} is left as it is: {what}; 'tykky rollback {module}' mends that")
                continue
            with contextlib.ExitStack() as stack:
                if not dry_run:
                    claim = store.claim(prefix, module, warn, wait=False)
                    if not os.access(here.hidden, os.W_OK) or not stack.enter_context(claim):
                        continue
                    places.sweep(here)
                    if not here.current and prefix in entries:
                        trash.put(store, entries[prefix])  # an uninstall was killed
                        continue
                numbers = sorted(old[prefix] & _superseded(here, seconds))
                for number, program in _running(here, numbers, used).items():
                    warn(f"{module}#{number} is kept: {program} runs from it")
                    numbers.remove(number)
                if dry_run:
                    freed += places.freed_without(here, numbers)
                for number in numbers:
                    freed += 0 if dry_run else places.remove_generation(here, number)
                    gone.append(f"{module}#{number}")
        except (TykkyError, OSError) as error:
            warn(f"{module} is left as it is: {error}")
    return gone, freed


def _unsure(entries: Mapping[Path, Entry]) -> set[Path]:
    """The places of which something is needed that is closed: what of them, nobody can tell."""
    closed = [entry for prefix, entry in entries.items() if Place(prefix).is_closed]
    needed = {os.path.realpath(n.rpartition("#")[0]) for entry in closed for n in entry.needs}
    return {prefix for prefix in entries if os.path.realpath(prefix) in needed}


def _running(here: Place, numbers: Collection[int], used: dict[str, str]) -> dict[int, str]:
    """Those of these generations from whose own images a program runs, and which."""
    known = {record.generation: record.files_of_images for record in here.records()}
    shared = {file for number in known if number not in numbers for file in known[number]}
    own = {number: known.get(number, set()) - shared for number in numbers}
    found = {n: running.runs_from(here.images, files, used) for n, files in own.items()}
    return {number: program for number, program in found.items() if program}


def _is_sound(here: Place) -> bool:
    """Whether a place has a current generation that can be used."""
    with contextlib.suppress(StoreError):
        return here.current > 0 and not places.damaged(here.record())
    return False


def _superseded(here: Place, seconds: float) -> set[int]:
    """The generations that have not been current for that long. Raises ``StoreError``."""
    since = state.superseded(here)
    return {number for number, when in since.items() if time.time() - when >= seconds}


def _spare(
    prefixes: Iterable[Path], every: Collection[Path], seconds: float
) -> dict[Path, set[int]]:
    """The old generations of places that no generation needs which stays in ``every`` place."""
    spare: dict[Path, set[int]] = {prefix: set() for prefix in every}
    for prefix in prefixes:
        with contextlib.suppress(StoreError):  # which is said when it would be changed
            spare[prefix] = _superseded(Place(prefix), seconds)
    while True:
        needed = {
            os.path.realpath(need)  # PREFIX#NUMBER: links to its folder may differ
            for here in map(Place, every)
            for number in here.numbers
            if number not in spare[here.prefix]
            for need in here.needs(number)
        }
        fewer = {
            prefix: {n for n in numbers if os.path.realpath(f"{prefix}#{n}") not in needed}
            for prefix, numbers in spare.items()
        }
        if fewer == spare:
            return spare
        spare = fewer

"""Generations that nothing needs any more.

One stays while it is the current one of its place, has been that not long ago, or is needed by
a generation that stays.

Public name: ``remove``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError, TykkyError
from tykky.store import place, state, trash
from tykky.store.place import HIDDEN, Place

if TYPE_CHECKING:
    from tykky.store import Store


def remove(
    store: Store, seconds: float, warn: Callable[[str], None], *, dry_run: bool
) -> tuple[list[str], int]:
    """Delete the generations that have not been current for so many seconds.

    What killed writers left in places goes as well. Gives their titles, and how many bytes that
    frees; a place that somebody changes, or that belongs to somebody else, is left.
    """
    gone: list[str] = []
    freed = 0
    places = _places(store, warn)
    spare = _spare(places, store, seconds)
    entries = {Path(entry.prefix): entry for entry in store.entries()}
    for prefix, module in places.items():
        here = Place(prefix)
        try:
            here.check_formats()
            with contextlib.ExitStack() as stack:
                if not dry_run:
                    claim = store.claim(prefix, module, warn, wait=False)
                    if not os.access(here.hidden, os.W_OK) or not stack.enter_context(claim):
                        continue
                    place.sweep(here)
                    if not here.current and prefix in entries:
                        trash.put(store, entries[prefix])  # an uninstall was killed
                        continue
                numbers = sorted(spare[prefix] & _superseded(here, seconds))
                freed += place.freed_without(here, numbers)
                gone += [f"{module}#{number}" for number in numbers]
                for number in numbers if not dry_run else ():
                    place.remove_generation(here, number)
        except (TykkyError, OSError) as error:
            warn(f"{module} is left as it is: {error}")
    return gone, freed


def _places(store: Store, warn: Callable[[str], None]) -> dict[Path, str]:
    """The places that are installed, and those where a killed build has left something."""
    found = {Path(entry.prefix): entry.module for entry in store.entries()}
    for problem in store.unreadable:
        warn(f"{problem}; it is left out")
    for prefix in _every(store):
        if prefix not in found and not Place(prefix).current:
            found[prefix] = f"{prefix.parent.name}/{prefix.name}"
    return found


def _every(store: Store) -> set[Path]:
    return {hidden.parent for hidden in store.places.glob(f"*/*/{HIDDEN}")}


def _superseded(here: Place, seconds: float) -> set[int]:
    """The generations that have not been current for that long. Raises ``StoreError``."""
    since = state.superseded(here)
    return {number for number, when in since.items() if time.time() - when >= seconds}


def _spare(places: dict[Path, str], store: Store, seconds: float) -> dict[Path, set[int]]:
    """Of each place, the old generations that no generation needs which stays."""
    every = {*places, *_every(store)}
    spare: dict[Path, set[int]] = {prefix: set() for prefix in every}
    for prefix in places:
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

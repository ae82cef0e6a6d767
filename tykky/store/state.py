"""What was done with a place: ``state.json``, an event for each change, the oldest first.

It explains, and keeps numbers from being given twice; which generation counts is what ``current``
says.
"""

from __future__ import annotations

import contextlib
import json
import time
from calendar import timegm
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tykky.files import Permissions, read_json, write_file
from tykky.host import TIME, host_name, now, user_name
from tykky.runtime.base import CURRENT
from tykky.store.record import NewerFormat

if TYPE_CHECKING:
    from tykky.store.place import Place

FORMAT = 1
NAME = "state.json"


@dataclass(frozen=True)
class Event:
    """A change: ``verb`` made ``generation`` the current one, in place of ``before`` (0: none)."""

    verb: str
    generation: int
    before: int
    when: str  # ISO 8601, UTC
    user: str
    host: str
    why: str = ""


def events(place: Place) -> list[Event]:
    """All that is known; nothing, if the file is not there or damaged. Raises ``NewerFormat``."""
    return _read(place) or []


def is_damaged(place: Place) -> bool:
    """Whether there is a file that cannot be read. Raises ``NewerFormat``."""
    return _read(place) is None


def _read(place: Place) -> list[Event] | None:
    path = place.hidden / NAME
    try:
        data = read_json(path)
        if data["format"] > FORMAT:
            raise NewerFormat(path, data["format"])
        found = [Event(**event) for event in data["events"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        return None
    texts = ("verb", "when", "user", "host", "why")
    good = all(
        type(event.generation) is type(event.before) is int
        and all(isinstance(getattr(event, name), str) for name in texts)
        for event in found
    )
    return found if good else None


def add(place: Place, verb: str, before: int, permissions: Permissions, why: str = "") -> None:
    """Note that the current generation has become that. Hold the claim. Raises ``TykkyError``."""
    known, file = _read(place), place.hidden / NAME
    if known is None:  # kept for whoever knows what to do with it
        known = []
        file.rename(file.with_name(f"{NAME}.damaged"))
    if known and known[-1].generation == place.current:
        return
    if known and before == place.current:
        before = known[-1].generation  # whoever switched was killed before it was noted
    event = Event(verb, place.current, before, now(), user_name(), host_name(), why)
    data = {"format": FORMAT, "events": [asdict(each) for each in (*known, event)]}
    write_file(file, json.dumps(data, indent=1).encode() + b"\n", permissions)


def superseded(place: Place) -> dict[int, float]:
    """The generations that are not current, and since when, in seconds of the epoch.

    One of which nothing is known counts from the last time that there was a change, of which the
    link itself tells. Raises ``NewerFormat``.
    """
    history = events(place)
    found: dict[int, float] = {}
    current = place.current
    for number in place.numbers:
        if number == current:
            continue
        known = place.hidden / CURRENT if current else place.generation(number)
        found[number] = known.lstat().st_mtime
        when = [event.when for event in history if event.before == number]
        with contextlib.suppress(ValueError, IndexError):
            found[number] = float(timegm(time.strptime(when[-1], TIME)))
    return found

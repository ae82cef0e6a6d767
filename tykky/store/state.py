"""What was done with a place: ``state.json``, an event for each change, the oldest first.

It explains, keeps numbers from being given twice, and has the notes by which changes are found
(see :mod:`tykky.store.written`) and the *marks*: what somebody has decided about the version.
Which generation counts is what ``current`` says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tykky.errors import StoreError, explained
from tykky.files import Permissions, read_json, read_small, write_file
from tykky.host import TIME, host_name, now, user_name
from tykky.runtime.base import CURRENT
from tykky.store import record as records
from tykky.store import written
from tykky.store.record import NewerFormat

if TYPE_CHECKING:
    from pathlib import Path

    from tykky.store.place import Place

#: The format with marks, which an earlier Tykky would lose; without any, it writes the first.
FORMAT = 2
NAME = "state.json"
#: What somebody may say of a version; one generation is ``held#6``.
DEFAULT, HIDDEN, DEPRECATED, HELD = "default", "hidden", "deprecated", "held"
#: A version that nobody loads any more; it goes once nobody can have it loaded.
RETIRED = "retired"

#: What was decided, by its name: who, when and why, and what else belongs to it.
Marks = Mapping[str, Mapping[str, str]]


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


@dataclass(frozen=True)
class _Known:
    events: tuple[Event, ...] = ()
    #: Of what the generations share, and of their records, by the path in the place.
    notes: Mapping[str, str] = field(default_factory=dict)
    marks: Marks = field(default_factory=dict)
    #: Whether it is as Tykky has written it, as far as that is known.
    untouched: bool = True


def event(verb: str, generation: int, before: int, why: str = "") -> Event:
    """A change that is made now, by whoever runs this."""
    return Event(verb, generation, before, now(), user_name(), host_name(), why)


def events(place: Place) -> list[Event]:
    """All that is known; nothing, if the file is not there or damaged. Raises ``NewerFormat``."""
    known = _read(place)
    return [*known.events] if known else []


def notes(place: Place) -> Mapping[str, str]:
    """The notes of what the generations share, and of their records. Raises ``NewerFormat``."""
    known = _read(place)
    return known.notes if known else {}


def marks(place: Place) -> Marks:
    """What somebody has decided about the version. Raises ``NewerFormat``."""
    known = _read(place)
    return known.marks if known else {}


def is_damaged(place: Place) -> bool:
    """Whether there is a file that cannot be read. Raises ``NewerFormat``."""
    return _read(place) is None


def is_unknown(place: Place) -> bool:
    """Whether what was decided is lost: there is no file, or none that can be read."""
    return is_damaged(place) or not (place.hidden / NAME).exists()


def is_untouched(place: Place) -> bool:
    """Whether a file that can be read is what Tykky has written. Raises ``NewerFormat``."""
    known = _read(place)
    return known is None or known.untouched


def _read(place: Place) -> _Known | None:
    path = place.hidden / NAME
    try:
        data = read_json(path)
        if data["format"] > FORMAT:
            raise NewerFormat(path, data["format"])
        found = tuple(Event(**event) for event in data["events"])
        notes = data.get("notes", {})
        marks = data.get("marks", {})
        good = all(written.is_note(noted) for noted in notes.values())
        good = good and records.is_a("Mapping[str, Mapping[str, str]]", marks)
        untouched = data.get("digest", _digest(data)) == _digest(data)
    except FileNotFoundError:
        return _Known()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    texts = ("verb", "when", "user", "host", "why")
    good = good and all(
        type(event.generation) is type(event.before) is int
        and all(isinstance(getattr(event, name), str) for name in texts)
        for event in found
    )
    return _Known(found, notes, marks, untouched) if good else None


def _digest(data: Mapping[str, Any]) -> str:
    """The digest of all but itself: it tells that somebody has changed the file."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def add(
    place: Place,
    verb: str,
    before: int,
    permissions: Permissions,
    why: str = "",
    notes: Mapping[str, str] | None = None,
) -> Event | None:
    """Note that the current generation has become that. Hold the claim. Raises ``TykkyError``.

    ``notes`` are of what has just been made of it, wherever that is. Gives the event, if there is
    one that was not known.
    """
    known = _opened(place, permissions)
    history, new = known.events, None
    if not history or history[-1].generation != place.current:
        if history and before == place.current:
            before = history[-1].generation  # whoever switched was killed before it was noted
        new = event(verb, place.current, before, why)
        history = (*history, new)
    with explained(f"note what was done with {place.prefix}"):
        noted = {**_kept(known.notes, _shared(place), place), **(notes or {})}
    made = _Known(history, noted, known.marks)
    if made != known:
        _write(place, made, permissions)
    return new


def mark(
    place: Place,
    name: str,
    facts: Mapping[str, str] | None,
    verb: str,
    permissions: Permissions,
    why: str = "",
) -> Event | None:
    """Decide something about a version, with ``facts``, or take it back without. Hold the claim.

    Gives the event; nothing if all was so before. Raises ``TykkyError``.
    """
    known = _opened(place, permissions)
    new = event(verb, place.current, place.current, why)
    old = {key: value for key, value in known.marks.get(name, {}).items() if key not in _WHEN}
    if facts is None and name not in known.marks:
        return None
    if facts is not None and name in known.marks and old == {**facts, "why": why}:
        return None
    marks = {key: value for key, value in known.marks.items() if key != name}
    if facts is not None:
        by = {"user": new.user, "host": new.host, "when": new.when}
        marks[name] = {**facts, "why": why, **by}
    # Before its first generation is there, there is no change to tell of.
    events = (*known.events, new) if place.current else known.events
    _write(place, _Known(events, known.notes, marks), permissions)
    return new


def recall(place: Place, marks: Marks, permissions: Permissions) -> None:
    """Take marks from elsewhere, if the file that has them is lost or damaged. Hold the claim."""
    if marks and is_unknown(place):
        known = _opened(place, permissions)
        _write(place, _Known(known.events, known.notes, marks), permissions)


def renote(place: Place, path: Path, permissions: Permissions) -> None:
    """Note a file anew that was made again. Hold the claim. Raises ``TykkyError``."""
    known = _opened(place, permissions)
    with explained(f"note what was done with {place.prefix}"):
        again = {str(path.relative_to(place.prefix)): written.note(path)}
    _write(place, replace(known, notes={**known.notes, **again}), permissions)


#: What of a mark tells of its making, and not of what was decided.
_WHEN = ("user", "host", "when")


def _opened(place: Place, permissions: Permissions) -> _Known:
    """What is known, to be written anew; what is damaged is kept for whoever can read it."""
    known, file = _read(place), place.hidden / NAME
    if known is None or not known.untouched:
        aside = file.with_name(f"{NAME}.damaged")
        with explained(f"keep {file}"):
            if known is None:
                file.rename(aside)
            else:
                write_file(aside, read_small(file), permissions)
    return known or _Known(untouched=False)


def _write(place: Place, known: _Known, permissions: Permissions) -> None:
    data: dict[str, Any] = {"format": FORMAT if known.marks else 1}
    data |= {"events": [asdict(each) for each in known.events], "notes": known.notes}
    if known.marks:
        data["marks"] = known.marks
    data["digest"] = _digest(data)
    write_file(place.hidden / NAME, json.dumps(data, indent=1).encode() + b"\n", permissions)


def _shared(place: Place) -> dict[str, str]:
    """The notes of what generations share, and of the current one's record. Raises ``OSError``."""
    folder = place.generation()
    paths = [place.prefix / "bin", place.hidden, place.images, folder.parent, folder]
    with contextlib.suppress(StoreError):
        paths += [place.images / name for name in place.record().files_of_images]
    paths += [path for path in (place.launcher, folder / records.NAME) if path.is_file()]
    return {
        str(path.relative_to(place.prefix)): written.note(
            path, contents=path.parent != place.images
        )
        for path in paths
        if path.exists()
    }


def _kept(old: Mapping[str, str], new: Mapping[str, str], place: Place) -> dict[str, str]:
    """The notes of what is still there: the first of each, unless other contents were put there.

    What is written once has only one.
    """
    kept = {name: noted for name, noted in old.items() if (place.prefix / name).exists()}
    launcher = str(place.launcher.relative_to(place.prefix))
    if written.what(new.get(launcher, "")) != written.what(kept.get(launcher, "")):
        kept.pop(launcher, None)
    return {**new, **kept}


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

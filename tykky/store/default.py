"""Which install of a name is meant when nobody says a version."""

from __future__ import annotations

from collections.abc import Sequence

from tykky.store import state
from tykky.store.record import Entry


def default_of(entries: Sequence[Entry]) -> Entry:
    """The default among installs of one name, sorted as the store lists them; at least one.

    What somebody has made the default is it, the last one if there are several, unless it has been
    hidden or retired since. Else it is the first version of the recipe that is there, as the recipe
    was when the latest of them was installed. A retired one counts if there is no other, then a
    hidden, then a deprecated one; one with choices if there is none without. What the recipe no
    longer has comes last: the newest, no pre-release or branch if there is another.
    """
    from tykky.recipe.choices import is_released

    there = {entry.version for entry in entries}

    def newness(entry: Entry) -> tuple[str, int]:
        # Of two in one second, the recipe that knows more of what is there is the later one.
        return entry.installed, len(there.intersection(entry.versions))

    order = max(entries, key=newness).versions
    chosen = max(entry.marks.get(state.DEFAULT, {}).get("when", "") for entry in entries)

    def rank(numbered: tuple[int, Entry]) -> tuple[bool, int, bool, int, bool, int]:
        number, entry = numbered
        known = entry.version in order
        place = order.index(entry.version) if known else len(order)
        unreleased = not known and not is_released(entry.version)
        by_hand = bool(chosen) and entry.marks.get(state.DEFAULT, {}).get("when") == chosen
        marks = (state.RETIRED in entry.marks, state.HIDDEN in entry.marks, is_deprecated(entry))
        left = next((3 - at for at, is_so in enumerate(marks) if is_so), 0)
        by_hand = by_hand and left < 2
        return not by_hand, left, bool(entry.suffix), place, unreleased, -number

    return min(enumerate(entries), key=rank)[1]


def is_deprecated(entry: Entry) -> bool:
    """Whether the recipe or somebody says that a version is to be left."""
    return entry.deprecated or state.DEPRECATED in entry.marks


def states_of(entry: Entry, *, default: bool = False) -> list[str]:
    """The words for what is decided about a version, as people are shown them."""
    words = ["default"] if default and state.HIDDEN not in entry.marks else []
    if hidden := entry.marks.get(state.HIDDEN):
        words.append(hidden.get("as", "hidden"))
    if is_deprecated(entry):
        until = entry.marks.get(state.DEPRECATED, {}).get("until", "")
        words.append(f"deprecated until {until}" if until else "deprecated")
    if state.RETIRED in entry.marks:
        words = ["retired"]
    held = sorted(name for name in entry.marks if name.startswith(state.HELD))
    return words + [name.replace("#", " #") for name in held]

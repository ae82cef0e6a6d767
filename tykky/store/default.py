"""Which install of a name is meant when nobody says a version."""

from __future__ import annotations

from collections.abc import Sequence

from tykky.store.record import Entry


def default_of(entries: Sequence[Entry]) -> Entry:
    """The default among installs of one name, sorted as the store lists them; at least one.

    It is the first version of the recipe that is there, as the recipe was when the latest of them
    was installed. A deprecated one counts if there is no other, one with choices if there is none
    without. What the recipe no longer has comes last: the newest, no pre-release or branch if
    there is another.
    """
    from tykky.recipe.choices import is_released

    there = {entry.version for entry in entries}

    def newness(entry: Entry) -> tuple[str, int]:
        # Of two in one second, the recipe that knows more of what is there is the later one.
        return entry.installed, len(there.intersection(entry.versions))

    order = max(entries, key=newness).versions

    def rank(numbered: tuple[int, Entry]) -> tuple[bool, bool, int, bool, int]:
        number, entry = numbered
        known = entry.version in order
        place = order.index(entry.version) if known else len(order)
        unreleased = not known and not is_released(entry.version)
        return entry.deprecated, bool(entry.suffix), place, unreleased, -number

    return min(enumerate(entries), key=rank)[1]

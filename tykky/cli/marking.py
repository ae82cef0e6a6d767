"""What the verbs share by which something is decided about a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, named, option, place_of
from tykky.errors import Exit, StoreError, TykkyError
from tykky.store import Entry
from tykky.store.default import default_of, states_of
from tykky.store.state import DEPRECATED, HELD, HIDDEN, RETIRED

#: Why it is done, for the history.
REASON = option("--reason", default="", metavar="TEXT", help="why, for the history and for users")


def plain(text: str, what: str) -> str:
    """A text that people will see on one line. Raises ``TykkyError``."""
    if not text.isprintable():
        raise TykkyError(f"{what} has {text!a}", remedy="write plain text", code=Exit.USAGE)
    return text


def used(call: Call, words: str, instead_of: Iterable[str]) -> str:
    """The module that is to be used instead, as users load it. Raises ``TykkyError``."""
    try:
        entry = call.having(words).store.one(words)
    except TykkyError as error:
        console.warn(f"{error.cause}; users are told of it as you write it")
        return plain(words, "--use")
    if entry.module in instead_of:
        cause = f"{entry.module} cannot be used instead of itself"
        raise StoreError(cause, remedy="name another with --use", code=Exit.CONFLICT)
    if left := [each for each in states_of(entry) if each.startswith((RETIRED, DEPRECATED))]:
        console.warn(f"{entry.module}, which users are told to use, is {left[0]}")
    return entry.module


def each(call: Call, name: str, facts: Mapping[str, str] | None, verb: str) -> Result:
    """Mark all installs that are named, after a look that all are there."""
    verb = verb if facts is not None else f"{verb} --undo"
    found = []
    for words in named(call.args.install):
        entry = call.store.one(words.partition("#")[0])
        number = call.store.generation(words).generation if "#" in words else 0
        found.append((entry, f"#{number}" if number else ""))
    if facts and facts.get("use"):
        use = used(call, facts["use"], [entry.module for entry, _ in found])
        facts = {**facts, "use": use}
    # The event is of the current generation, whichever is held.
    marked = ((entry, name + which, f"{verb} {which}".strip()) for entry, which in found)
    return Result([change(call, entry, mark, facts, words) for entry, mark, words in marked])


def change(
    call: Call,
    entry: Entry,
    name: str,
    facts: Mapping[str, str] | None,
    verb: str,
    *,
    why: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Mark one install, or take a mark back without ``facts``, and say what it is now.

    ``why`` is what the command line says, unless it is given.
    """
    why = plain(call.args.reason, "--reason") if why is None else why
    place = place_of(entry)
    if not name.startswith(HELD) and not call.store.record(entry).has_module:
        cause = f"{entry.prefix} was made by a classic command, and has no module"
        raise StoreError(cause, remedy="'tykky hold' is for such installs, too", code=Exit.CONFLICT)
    call.store.check_outside(place.prefix)
    call.store.prepare()
    with call.changing(place, entry.module):
        changed = call.publisher.mark(entry, name, facts, verb, why)
    group = call.store.entries(entry.name)
    now = next((e for e in group if e.prefix == entry.prefix), entry)
    default = default_of(group)
    words = (
        ", ".join(states_of(now, default=default.prefix == now.prefix)) or "shown like any other"
    )
    if not quiet:
        console.note(f"{entry.module} is {words}" + ("" if changed else ": as it was"))
        if {HIDDEN, RETIRED} & {*default.marks}:
            console.note(f"{entry.name} has no default: all of it is hidden or retired")
        elif not verb.startswith("hold") and default.prefix != entry.prefix:
            console.note(f"the default of {entry.name} is {default.module}")
    return {"module": entry.module, "changed": changed, "marks": dict(now.marks)}

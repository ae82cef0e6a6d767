"""Make one image of the layers that updates of a stack have left.

An update of a large stack squashes only what has changed, as a layer on what was there. This makes
a new generation with the same contents in one image; 'tykky gc' deletes the layers, once nothing
needs them. It is also what to do for a machine whose kernel cannot lay images over each other.
"""

from __future__ import annotations

from typing import Any

from tykky import console
from tykky.build.compacting import compact
from tykky.cli.common import Call, Result, flag, named, place_of, specs
from tykky.errors import Exit, StoreError
from tykky.store import Entry, state
from tykky.store.place import damaged

EXAMPLES = """\
  tykky squash python-data
  tykky squash --all
"""

ARGUMENTS = (
    specs("only these", "*"),
    flag("--all", help="all installs of the root that have layers"),
)


def run(call: Call) -> Result:
    """Squash one after the other; each is whole before the next begins."""
    words = named(call.args.spec)
    if bool(words) == call.args.all:
        cause, remedy = "nothing says what to squash", "name it, or give --all (and not both)"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    entries = call.store.open_entries() if call.args.all else [call.store.one(w) for w in words]
    return Result([_squash(entry, call) for entry in entries])


def _squash(entry: Entry, call: Call) -> dict[str, Any]:
    place = place_of(entry)
    call.store.check_outside(place.prefix)
    with call.changing(place, entry.module):
        record = place.record()
        if path := damaged(record):
            remedy = f"build it again: 'tykky install --force {record.spec}'"
            cause = f"{path} is damaged or missing"
            raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
        before, count, history = record.bytes, len(record.images), state.events(place)
        if count > 1:
            call.store.check_entry(record)
            record = compact(place, record, call.config, call.store)
        if count > 1 or (history and history[-1].generation != place.current):
            # The second after one that could not write all that tells of the generation.
            call.publisher.switch(record, "squash")
    if count > 1:
        was = f"it was {count}, {console.size(before)}"
        console.note(f"{record.title} is one image of {console.size(record.bytes)}; {was}")
    elif not call.args.all:
        console.note(f"{record.title} has no layers")
    return {"title": record.title, "did": "squashed" if count > 1 else "nothing"}

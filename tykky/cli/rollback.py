"""Go back to an earlier generation of a stack, or on to a later one.

Nothing is built: the place's 'current' is switched by one rename, and the module made again. What
runs, and what a session has loaded, stays what it was.
"""

from __future__ import annotations

from dataclasses import asdict

from tykky import console
from tykky.cli.common import Call, Result, option, place_of, positional
from tykky.errors import Exit, StoreError
from tykky.store import Place, Record, state
from tykky.store.place import damaged, missing

EXAMPLES = """\
  tykky rollback python-data                what was current before
  tykky rollback python-data/26.11 --to 6   a certain generation; 'tykky history' lists them
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION], or a path"),
    option("--to", type=int, metavar="N", help="the generation; default: the last one"),
    option("--reason", default="", metavar="TEXT", help="why, for the history"),
)


def run(call: Call) -> Result:
    """Switch, and say from what to what."""
    entry = call.store.one(call.args.install)
    place = place_of(entry)
    call.store.check_outside(place.prefix)
    with call.changing(place, entry.module):
        before = place.current
        record = _target(place, call.args.to, entry.module)
        call.publisher.check(record)
        call.publisher.switch(record, "rollback", call.args.reason)

    def show() -> None:
        if before == record.generation and call.args.to is None:
            console.note(f"{record.title} was made the current generation by a command that was")
            console.note("stopped before it was done; that is finished now. To go back from there,")
            console.note(f"run it again: tykky rollback {entry.module}")
        elif before == record.generation:
            console.note(f"{record.title} is the current generation already")
        else:
            was = f"it was #{before}" if before else "it had none that counts"
            console.note(f"{entry.module} is #{record.generation} again; {was}")
            console.note("who has it loaded keeps what it was, until it is loaded again")

    return Result({"before": before, **asdict(record)}, show)


def _target(place: Place, wanted: int | None, module: str) -> Record:
    """The generation to go to. Raises ``StoreError``."""
    numbers, current = place.numbers, place.current
    if not numbers:
        return place.record()  # which says what is the matter
    said = wanted is not None
    history = state.events(place)
    if not said and history and history[-1].generation != current:
        # Who changed it was killed in between: go on to where that went, or mend what is lost.
        wanted = current or history[-1].generation
    elif not said:
        last = [event.before for event in history if event.generation == current]
        older = [number for number in numbers if number < current]
        wanted = next((n for n in reversed(older + last) if n in numbers and n != current), 0)
    if wanted is None or wanted not in numbers:
        known = ", ".join(f"#{number}" for number in numbers)
        lacks = f"no generation #{wanted}" if said else f"none before #{current}"
        remedy = f"it has {known}; 'tykky history {module}' tells about them"
        raise StoreError(f"{module} has {lacks}", remedy=remedy, code=Exit.NOT_FOUND)
    record = place.record(wanted)
    remedy = "choose another generation, or install it again"
    if original := place.original(wanted):
        cause = f"{record.title} is a copy of what was made at {original}, and works only there"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    if lost := missing(record):
        cause = f"{record.title} needs {lost}, which is not there any more"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    if path := damaged(record):
        cause = f"{record.title} cannot be used: {path} is damaged or missing"
        raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
    return record

"""Tell what was done with a stack: its generations, who made each, when, and what changed.

Without a stack, the journal of the root: every change of any, also of what is gone since.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tykky import console
from tykky import lock as locks
from tykky.cli.common import Call, Result, option, place_of, positional
from tykky.contents import of_install, own
from tykky.errors import Exit, StoreError, explained
from tykky.store import Place, journal, state

EXAMPLES = """\
  tykky history python-data            its generations, the newest last
  tykky history python-data --json     with every event, for programs
  tykky history --last 100             what was done in this root, the newest last
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION], or a path", "?"),
    option("--last", type=int, default=30, metavar="N", help="so many of the journal (30); 0: all"),
)


def run(call: Call) -> Result:
    """A line for each generation that is there, or of the journal."""
    return _stack(call) if call.args.install else _journal(call)


def _journal(call: Call) -> Result:
    with explained(f"read {journal.path_of(call.store)}"):
        found = journal.events(call.store, max(0, call.args.last))

    def show() -> None:
        rows = [
            (
                e["when"].replace("T", " ").rstrip("Z"),
                e["user"],
                e["verb"],
                f"{e['module']}#{e['generation']}" if e["generation"] else e["module"],
                f"was #{e['before']}" if e["before"] not in (0, e["generation"]) else "",
                e["why"],
            )
            for e in found
        ]
        console.table(rows, ("WHEN (UTC)", "BY", "DONE", "WHAT", "BEFORE", "WHY"))
        if not rows:
            console.note(f"nothing was noted in {call.store.root} yet")

    return Result(found, show)


def _stack(call: Call) -> Result:
    entry = call.having(call.args.install).store.one(call.args.install)
    place = place_of(entry)
    place.check_open()
    events = state.events(place)
    answers = [_generation(place, number, events) for number in place.numbers]
    for before, after in pairwise(answers):
        after["changes"] = _changes(place, before["generation"], after["generation"])

    def show() -> None:
        console.say(f"{entry.module}  {place.prefix}")
        rows = [
            (
                "=>" if answer["current"] else "",
                f"#{answer['generation']}",
                answer["installed"].replace("T", " ").rstrip("Z"),
                answer["user"],
                answer["verbs"],
                console.size(answer["bytes"]),
                answer["problem"] or answer["changes"],
            )
            for answer in answers
        ]
        console.table(rows, ("", "GEN", "MADE (UTC)", "BY", "DONE", "SIZE", "CHANGES"))

    told = [vars(event) for event in events]
    return Result({"module": entry.module, "generations": answers, "events": told}, show)


def _generation(place: Place, number: int, events: list[state.Event]) -> dict[str, Any]:
    done = [e.verb + (f" ({e.why})" if e.why else "") for e in events if e.generation == number]
    record, problem = None, ""
    try:
        place.check_format(number)
        record = place.record(number)
    except StoreError as error:
        problem = error.cause
    return {
        "generation": number,
        "current": number == place.current,
        "changes": "",
        "verbs": ", ".join(done),
        "installed": record.installed if record else "",
        "user": record.by.get("user", "") if record else "",
        "bytes": record.bytes if record else 0,
        "build": record.build if record else "",
        "images": [image["file"] for image in record.images] if record else [],
        "problem": problem,
    }


def _changes(place: Place, old: int, new: int) -> str:
    """What is different in the packages of two generations, in a few words."""
    try:
        first, second = (own(of_install(place.generation(n))) for n in (old, new))
        lines = [line.strip() for line in locks.difference(first, second).lines()]
        same = place.record(old).images == place.record(new).images
    except StoreError as error:
        return error.cause if error.code == Exit.DAMAGED else ""
    if not lines:
        return "the same contents" if same else ""
    return ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")

"""Mending a store: what 'tykky doctor --store' proposes, and does with --fix."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from tykky import console
from tykky.build.restoring import is_lost, restore
from tykky.cli.common import Call, Result, place_of
from tykky.cli.verify import look_at, show
from tykky.errors import Exit, TykkyError, told
from tykky.runtime.base import CONF_NAME
from tykky.store import Place, place, state
from tykky.store.check import reindex
from tykky.store.place import below
from tykky.store.record import NAME


def mend(call: Call, *, fix: bool) -> Result:
    """Look through the store; with ``fix`` mend it, and look again."""
    answers, count = look_at(call, ())
    lost = [here for here in below(call.store.places) if is_lost(here)]
    done = _mend(call, answers, lost) if fix and (lost or _wrong(answers)) else []
    if done:
        answers, count = look_at(call, ())
    wrong = _wrong(answers)
    if fix:
        wrong += [_gone(here) for here in lost if is_lost(here)]

    def tell() -> None:
        for line in done:
            console.say(line)
        show(wrong, count)
        if wrong and not fix:
            remedies = [f["remedy"] for answer in wrong for f in answer["faults"] if f["remedy"]]
            console.say("what would be done, in this order:")
            again = [f"write {here.prefix} again from its image" for here in lost]
            for line in dict.fromkeys(["'tykky reindex'", *again, *sorted(remedies)]):
                console.say(f"  {line}")
            console.note("'tykky doctor --store --fix' does what needs no building")

    value = {"done": done, "left": wrong}
    return Result(value, tell, Exit.DAMAGED if wrong else Exit.OK)


def _wrong(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [answer for answer in answers if answer["faults"]]


def _mend(call: Call, answers: list[dict[str, Any]], lost: list[Place]) -> list[str]:
    """Do what needs no building, each by itself; a sentence for each that was done."""
    done: list[str] = []
    call.store.prepare()

    def attempt(what: str, work: Any) -> None:
        try:
            done.extend(work() or [what])
        except (TykkyError, OSError) as error:
            console.warn(f"{what}: {told(error, 'do that').cause}")

    left, before = lost, len(lost) + 1
    while left and len(left) < before:  # one may need another that was lost as well
        for here in left:
            line = f"wrote {here.prefix} again from its image"
            attempt(line, lambda here=here: _again(call, here))
        left, before = [here for here in left if is_lost(here)], len(left)
    if left:
        return done  # what cannot be made again is not to be forgotten as well
    attempt("made the database again", lambda: [*reindex(call.store)] or ["the database is whole"])
    attempt("", lambda: [*call.publisher.withdraw_orphans()] or ["no module is without install"])
    faults = [fault for answer in answers for fault in answer["faults"]]
    for path, mode in {Path(f["file"]): _mode(f) for f in faults}.items():
        if mode and path.lstat().st_uid == os.geteuid():
            attempt(f"chmod {mode:o} {path}", lambda path=path, mode=mode: path.chmod(mode))
    bad = {answer["prefix"] for answer in _wrong(answers)}
    for entry in call.store.entries():
        if entry.prefix in bad:
            attempt(f"refreshed {entry.module}", lambda entry=entry: _refreshed(call, entry))
    return done


def _gone(here: Place) -> dict[str, Any]:
    """What is said of a place that cannot be made again from its images."""
    wrong = "has lost what is beside its images, and none of these can be used"
    name = f"{here.prefix.parent.name}@{here.prefix.name}"
    fault = {"file": str(here.prefix), "wrong": wrong, "remedy": f"'tykky install --force {name}'"}
    module = f"{here.prefix.parent.name}/{here.prefix.name}"
    return {"module": module, "prefix": str(here.prefix), "faults": [fault]}


def _mode(fault: dict[str, Any]) -> int:
    """The mode that a file is to have, if that is what is wrong with it; or 0."""
    words = shlex.split(fault["remedy"].strip("'")) if fault["remedy"].startswith("'chmod ") else []
    plain = len(words) == 3 and words[1].isdecimal() and words[2] == fault["file"]
    return int(words[1], 8) if plain else 0


def _again(call: Call, here: Place) -> None:
    """Make the generation again of which files were lost."""
    call.store.check_outside(here.prefix)
    with call.changing(here, str(here.prefix)):
        record = restore(here, call.config, call.store)
        call.publisher.switch(record, "restore")
        event = state.event("restore", here.current, here.current, "files of it were lost")
        call.publisher.tell(record.module, event)
        for number in here.numbers:  # of which nothing is left that anything could be made of
            if not any((here.generation(number) / name).exists() for name in (NAME, CONF_NAME)):
                place.set_aside(here, number)
        place.sweep(here)


def _refreshed(call: Call, entry: Any) -> None:
    """Make again what users see of an install."""
    here = place_of(entry)
    with call.changing(here, entry.module):
        call.publisher.switch(here.record(), "refresh")

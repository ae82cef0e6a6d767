"""Keeping the generation that an extension is on, where 'tykky gc' would not know that it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tykky import console
from tykky.cli import marking
from tykky.cli.common import Call
from tykky.config import Config
from tykky.errors import TykkyError
from tykky.store import Entry, Place, state


def hold(entry: Entry, call: Call, before: Sequence[str] = ()) -> None:
    """Hold what an extension needs now, and nothing for it any more that it needed ``before``.

    In its own root it is needed for all to see. Where one may hold nothing, that is said.
    """
    for need in entry.needs:
        if not _change(entry, need, call, on_top=True):
            prefix, _, number = need.rpartition("#")
            console.note(
                f"#{number} of {prefix} is kept there by somebody who cannot know of "
                f"{entry.module}: when it is gone, 'tykky update {entry.module}' goes on from the "
                "one that is there then"
            )
    release(entry, [need for need in before if need not in entry.needs], call)


def release(entry: Entry, needs: Sequence[str], call: Call) -> None:
    """Do not hold for an extension any more what it needed."""
    for need in needs:
        _change(entry, need, call, on_top=False)


def _change(entry: Entry, need: str, call: Call, *, on_top: bool) -> bool:
    """Hold a generation of another root for an extension, or not any more; whether that is so."""
    name, _, number = need.rpartition("#")
    prefix = Path(name)
    if call.store.places in prefix.parents:
        return True
    here, mark = Place(prefix), f"{state.HELD}#{number}"
    if not os.access(here.hidden, os.W_OK):
        return False
    try:
        facts = state.marks(here).get(mark)
        if facts is not None and "for" not in facts:
            return True  # somebody holds it for a reason of their own
        known = [each for each in (facts or {}).get("for", "").split(":") if each]
        wanted = [each for each in known if each != entry.prefix]
        wanted += [entry.prefix] if on_top else []
        if wanted != known:
            config = Config.load({**call.args.flags, "root": str(prefix.parents[2])})
            there, verb = Call(call.args, config), f"hold #{number}"
            marking.change(
                there,
                there.store.one(name),
                mark,
                {"for": ":".join(wanted)} if wanted else None,
                verb if wanted else f"{verb} --undo",
                why=f"{', '.join(wanted)} on top of it" if wanted else f"{entry.prefix} is not",
                quiet=True,
            )
            what = "is held for" if on_top else "is not held any more for"
            console.note(f"#{number} of {prefix} {what} {entry.module}")
    except TykkyError as error:
        console.warn(f"#{number} of {prefix} could not be held for it: {error.cause}")
    return True

"""Make a version the default of its name: what 'module load NAME' and 'tykky NAME' mean.

It wins over the one that the recipe says until it is taken back.
"""

from __future__ import annotations

from tykky import console
from tykky.cli.common import Call, Result, flag, positional
from tykky.cli.marking import REASON, change
from tykky.errors import Exit, StoreError
from tykky.store import state

EXAMPLES = """\
  tykky default python-data/26.11
  tykky default --undo python-data         as the recipe says
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION]"),
    flag("--undo", help="let the recipe say again which is the default"),
    REASON,
)


def run(call: Call) -> Result:
    """Mark one version, and no other of its name."""
    args, store = call.args, call.store
    if args.undo:
        name = (store.meant(args.install) or [store.one(args.install)])[0].name
        marked = [e for e in store.entries(name) if state.DEFAULT in e.marks]
        if not marked:
            console.note(f"no version of {name} was made the default by hand")
            return Result([])
        return Result([change(call, e, state.DEFAULT, None, "default --undo") for e in marked])
    entry = store.one(args.install)
    for mark, verb in ((state.HIDDEN, "hide"), (state.RETIRED, "retire")):
        if mark in entry.marks:
            cause = f"{entry.module} is {mark}, and cannot be the default"
            remedy = f"take that back first: tykky {verb} --undo {entry.module}"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    done = change(call, entry, state.DEFAULT, {}, "default")
    for other in store.entries(entry.name):  # the latest counts, if this is stopped in between
        if other.prefix != entry.prefix and state.DEFAULT in other.marks:
            change(call, other, state.DEFAULT, None, "default --undo", quiet=True)
    return Result(done)

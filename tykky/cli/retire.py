"""Take versions out of use, and leave a module that says so and names another.

Who loads one from now on is told why it cannot be. Jobs that have loaded it go on: it is kept until
'tykky gc' removes what was retired more than a week ago, and --undo brings it back till then.
"""

from __future__ import annotations

from tykky import console
from tykky.cli.common import Call, Result, flag, named, option, positional
from tykky.cli.marking import REASON, change, used
from tykky.errors import Exit, StoreError
from tykky.publish.modulefile import gone
from tykky.store import Entry, retired, state

EXAMPLES = """\
  tykky retire python-data/24.05 --use python-data/26.11 --reason "it has a hole in it"
  tykky retire --undo python-data/24.05
"""

ARGUMENTS = (
    positional("INSTALL", "NAME/VERSION", "+"),
    option("--use", default="", metavar="OTHER", help="what to use instead"),
    flag("--undo", help="it is to be used again"),
    REASON,
)


def run(call: Call) -> Result:
    """Retire each, or bring it back; none is unless all may be."""
    args, store = call.args, call.store
    chosen: list[Entry | retired.Retired] = []
    for words in named(args.install):
        name = words.partition("/")[0]
        buried = [each for each in retired.of(store, name) if each.module == words]
        is_there = not buried or any(e.module == words for e in store.entries(name))
        entry = store.one(words) if is_there else None
        if entry is not None and entry.module != words:
            cause, remedy = f"'{words}' is not the full name", f"say all of it: {entry.module}"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
        if args.undo and entry is not None and state.RETIRED not in entry.marks:
            # One that was stopped may have left something to be done.
            done = change(call, entry, state.RETIRED, None, "retire --undo", quiet=True)
            if not done["changed"]:
                raise StoreError(f"{words} is not retired", remedy="'tykky find' tells what is")
        chosen.append(entry or buried[0])
    use = {"use": used(call, args.use, [each.module for each in chosen])} if args.use else {}
    answers = []
    for each in chosen:
        if isinstance(each, retired.Retired):
            answers.append(_buried(call, each))
        elif args.undo:
            answers.append(change(call, each, state.RETIRED, None, "retire --undo"))
        elif not (use or args.reason) and (old := each.marks.get(state.RETIRED)):
            # What was said then stays, and what was stopped then is finished.
            facts, why = {"use": old["use"]} if "use" in old else {}, old.get("why", "")
            answers.append(change(call, each, state.RETIRED, facts, "retire", why=why, quiet=True))
            console.note(gone(each.module, old))
        else:
            answers.append(change(call, each, state.RETIRED, use, "retire"))
    return Result(answers)


def _buried(call: Call, found: retired.Retired) -> dict[str, object]:
    """What was retired, and removed since."""
    if call.args.undo:
        cause = f"{found.module} was retired, and is removed since"
        remedy = f"make it again: tykky install {found.module}"
        raise StoreError(cause, remedy=remedy)
    call.publisher.modules.bury(found.module.partition("/")[0])
    console.note(gone(found.module, found.facts))
    return {"module": found.module, "changed": False, "marks": {state.RETIRED: dict(found.facts)}}

"""Remove versions for good, and leave a module that says so and names the replacement.

Programs that run go on; what is removed stays in the trash until 'tykky gc' deletes it, and until
then --undo brings it back. The module is in no list, and who loads it is told why it cannot.
"""

from __future__ import annotations

from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, flag, named, option, positional
from tykky.cli.marking import REASON, plain, used
from tykky.cli.uninstall import check
from tykky.errors import StoreError
from tykky.host import host_name, now, user_name
from tykky.publish.modulefile import gone
from tykky.store import Entry, retired, trash

EXAMPLES = """\
  tykky retire python-data/24.05 --use python-data/26.11 --reason "it has a hole in it"
  tykky retire --undo python-data/24.05
"""

ARGUMENTS = (
    positional("INSTALL", "NAME/VERSION", "+"),
    option("--use", default="", metavar="OTHER", help="what to use instead"),
    flag("--undo", help="bring it back, if it is still in the trash"),
    REASON,
)


def run(call: Call) -> Result:
    """Retire each; none is unless all may be."""
    args, store = call.args, call.store
    store.prepare()
    if args.undo:
        return Result([_back(call, words) for words in args.install])
    chosen: list[Entry] = []
    for words in named(args.install):
        if again := next((r for r in retired.of(store) if r.module == words), None):
            call.publisher.modules.bury(words.partition("/")[0])  # if that was stopped
            console.note(gone(again.module, again.facts))
            continue
        entry = store.one(words)
        if entry.module != words:
            remedy = f"say all of it: tykky retire {entry.module}"
            raise StoreError(f"'{words}' could mean another version next time", remedy=remedy)
        chosen.append(entry)
    going = {entry.prefix for entry in chosen}
    for entry in chosen:
        check(entry, call.publisher, going)
    facts = {"use": used(call, args.use) if args.use else "", "why": plain(args.reason, "--reason")}
    facts |= {"user": user_name(), "host": host_name(), "when": now()}
    for entry in chosen:
        with store.claim(Path(entry.prefix), entry.module, console.note):
            check(entry, call.publisher, going)
            retired.put(store, entry, facts)
            call.publisher.withdraw(entry, "retire", args.reason)
            trash.put(store, entry)
            call.publisher.modules.bury(entry.name)
        console.note(gone(entry.module, facts))
    return Result([{"module": entry.module, **facts} for entry in chosen])


def _back(call: Call, words: str) -> dict[str, object]:
    store = call.store
    found = next((each for each in retired.of(store) if each.module == words), None)
    if found is None:
        raise StoreError(f"'{words}' was not retired", remedy="'tykky info NAME' says what was")
    name = words.partition("/")[0]
    retired.take_back(store, found.module)
    call.publisher.modules.unbury(name, found.module, found.prefix)
    console.note(f"{words} is not retired any more; 'tykky install' makes it again")
    return {"module": words}

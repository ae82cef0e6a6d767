"""Remove stacks: first the module, then the install.

Programs that run from an install go on undisturbed: it is kept in the store's trash until
'tykky gc' deletes it for good. Till then, --undo brings it back as it was, without building.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, flag, named, place_of, positional
from tykky.cli.holding import hold, release
from tykky.errors import Exit, StoreError
from tykky.publish import Publisher
from tykky.store import Entry, Store, place, spare, state, trash

EXAMPLES = """\
  tykky uninstall fireworks                 the only install of that name
  tykky uninstall python-data/26.05         by module name, with all its generations
  tykky uninstall python-data/26.11#6       one generation that is not the current one
  tykky uninstall --undo python-data/26.05  bring it back, as long as it is in the trash
  tykky gc --days 0                         free the space at once
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path", "+"),
    flag("--undo", help="bring it back from the trash"),
)


def run(call: Call) -> Result:
    """Remove each install, or bring it back; none is unless all may be."""
    store, publisher = call.store, call.publisher
    store.prepare()
    names = named(call.args.install)
    if call.args.undo:
        if single := next((name for name in names if "#" in name), ""):
            cause = f"{single} is one generation, and these are deleted at once"
            raise StoreError(cause, remedy="'tykky install' makes a new one")
        thrown = {os.path.realpath(e.prefix): e for e in (_in_trash(store, name) for name in names)}
        needs = {
            p: [os.path.realpath(n.rpartition("#")[0]) for n in e.needs] for p, e in thrown.items()
        }
        return Result([_back(thrown[prefix], call) for prefix in spare.ordered(needs)])
    call.warn_of_unmounted()
    chosen = {entry.prefix: entry for entry in _installed(store, names)}
    some = [_generation(name, call) for name in names if "#" in name]
    going = {*chosen, *(f"{entry.module}#{number}" for entry, number in some)}
    needing = {prefix: check(entry, publisher, going) for prefix, entry in chosen.items()}
    for entry, number in some:
        _check_generation(entry, number, call, going)
    answers = [_remove_generation(name, call) for name in names if "#" in name]
    # Who is killed in between leaves none without what it needs.
    for entry in map(chosen.__getitem__, spare.ordered(needing)):
        prefix = Path(entry.prefix)
        with store.claim(prefix, entry.module, console.note):
            check(entry, publisher, going)  # somebody may have begun to need it since
            publisher.withdraw(entry)
            trash.put(store, entry)
        words = entry.module if store.places in prefix.parents else prefix
        undo = f"until 'tykky gc' deletes it, 'tykky uninstall --undo {words}' undoes that"
        console.note(f"uninstalled {entry.module}; {undo}")
        if entry.kind == "extension":
            release(entry, entry.needs, call)
            console.note(f"the recipe that 'tykky extend' made of {entry.name} stays")
        if store.places not in prefix.parents and prefix.is_dir() and any(prefix.iterdir()):
            console.note(f"what else is in {prefix} is left as it is")
        answers.append({"module": entry.module, "prefix": entry.prefix})
    return Result(answers)


def _installed(store: Store, names: Sequence[str]) -> Iterator[Entry]:
    """The installs that are meant as a whole. Raises ``StoreError``.

    Beside others, one that is in the trash already counts as done: somebody was killed meanwhile.
    """
    whole = [name for name in names if "#" not in name]
    there = [name for name in whole if store.meant(name)]
    thrown = trash.Thrown(store) if there and len(there) < len(whole) else None
    for name in whole:
        if thrown and name not in there and (done := thrown.meant(name)):
            console.note(f"{done[0].module} is uninstalled already")
        else:
            yield store.one(name)


def _in_trash(store: Store, name: str) -> Entry:
    """What is to be brought back. Raises ``StoreError``."""
    begun = [e for e in store.meant(name) if trash.is_begun(store, Path(e.prefix))]
    found = {e.prefix: e for e in (*trash.Thrown(store).meant(name), *begun)}
    free = [e for e in found.values() if e in begun or not place_of(e).current]
    if len(free) == 1:
        return free[0]
    if len(free) > 1:
        cause = f"'{name}' could be any of {len(free)} that were uninstalled"
        remedy = "say which: " + ", ".join(entry.module for entry in free)
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    if found:
        module = next(iter(found.values())).module
        remedy = f"'tykky history {module}' tells what was done with it"
        raise StoreError(f"{module} is installed", remedy=remedy, code=Exit.CONFLICT)
    cause = f"'{name}' is not in the trash of {store.root}"
    remedy = "'tykky install' makes it again; 'tykky gc' deletes what was uninstalled"
    raise StoreError(cause, remedy=remedy)


def _back(entry: Entry, call: Call) -> dict[str, object]:
    """Bring one back, and show it as it was."""
    store, prefix = call.store, Path(entry.prefix)
    store.check_outside(prefix)
    with call.changing(place_of(entry), entry.module):
        if place_of(entry).current and not trash.is_begun(store, prefix):
            cause = f"{entry.module} was installed again meanwhile"
            remedy = "keep that, or uninstall it"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
        record = trash.check_back(store, entry)
        call.publisher.check(record)
        trash.take_back(store, record)
        call.publisher.switch(record, "uninstall --undo")
        event = state.event("uninstall --undo", record.generation, 0)
        call.publisher.tell(record.module, event)
        trash.finish(store, prefix)
    if record.kind == "extension":
        hold(record, call)
    console.note(f"{record.title} is back")
    return {"module": record.module, "prefix": record.prefix, "generation": record.generation}


def check(entry: Entry, publisher: Publisher, going: Collection[str]) -> list[str]:
    """Raise ``StoreError`` if an install cannot go, or others that do not go need it.

    Gives the prefixes of those that need it and go as well.
    """
    trash.check_removable(publisher.store, Path(entry.prefix))
    publisher.check_removable(entry)
    check_not_held(entry)
    dependents = publisher.store.dependents(entry)
    if needing := [t for t, prefix in dependents.items() if not {t, prefix} & {*going}]:
        cause = f"{entry.module} is needed by {', '.join(needing)}"
        remedy = "uninstall those first, or name them in the same command"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    return [*dependents.values()]


def check_not_held(entry: Entry, number: int = 0) -> None:
    """Raise ``StoreError`` if somebody holds an install, or this generation of it."""
    held = [name for name in entry.marks if name.partition("#")[0] == state.HELD]
    if number:
        held = [name for name in held if name in (state.HELD, f"{state.HELD}#{number}")]
    for name in held:
        what = f"{entry.module}{name.removeprefix(state.HELD)}"
        why = f": {entry.marks[name]['why']}" if entry.marks[name].get("why") else ""
        remedy = f"let it go first: tykky hold --undo '{what}'"
        raise StoreError(f"{what} is held{why}", remedy=remedy, code=Exit.CONFLICT)


def _remove_generation(name: str, call: Call) -> dict[str, object]:
    entry, number = _generation(name, call)
    here, title = place_of(entry), f"{entry.module}#{number}"
    with call.changing(here, entry.module):
        _check_generation(entry, number, call)
        freed = place.remove_generation(here, number)
        call.publisher.tell(entry.module, state.event("uninstall", 0, number))
    console.note(f"removed {title}, {console.size(freed)}")
    return {"module": entry.module, "prefix": entry.prefix, "generation": number}


def _check_generation(entry: Entry, number: int, call: Call, going: Collection[str] = ()) -> None:
    """Raise ``StoreError`` if a generation is in use, held, or needed by one that is not going."""
    title = f"{entry.module}#{number}"
    check_not_held(entry, number)
    if needing := {*call.store.dependents(entry, number)}.difference(going):
        cause = f"{title} is needed by {', '.join(sorted(needing))}"
        raise StoreError(cause, remedy="uninstall those first", code=Exit.CONFLICT)
    if number == place_of(entry).current:
        whole = f"tykky uninstall {entry.module}"
        remedy = f"go back first: 'tykky rollback', or remove all of it: '{whole}'"
        raise StoreError(f"{title} is in use", remedy=remedy, code=Exit.CONFLICT)


def _generation(name: str, call: Call) -> tuple[Entry, int]:
    """The install and the number of a generation, which may be damaged. Raises ``StoreError``."""
    entry = call.store.one(name.partition("#")[0])
    number = name.partition("#")[2]
    if not (number.isdecimal() and int(number) in place_of(entry).numbers):
        return entry, call.store.generation(name).generation  # which says that there is none
    return entry, int(number)

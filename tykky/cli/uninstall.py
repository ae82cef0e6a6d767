"""Remove stacks: first the module, then the install.

Programs that run from an install go on undisturbed: it is kept in the store's trash until
'tykky gc' deletes it for good.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, named, place_of, positional
from tykky.errors import Exit, StoreError
from tykky.publish import Publisher
from tykky.store import Entry, place, state, trash

EXAMPLES = """\
  tykky uninstall fireworks                 the only install of that name
  tykky uninstall python-data/26.05         by module name, with all its generations
  tykky uninstall python-data/26.11#6       one generation that is not the current one
  tykky gc --days 0                         free the space at once
"""

ARGUMENTS = (positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path", "+"),)


def run(call: Call) -> Result:
    """Remove each install; none is removed unless all may be."""
    store, publisher = call.store, call.publisher
    store.prepare()
    names = named(call.args.install)
    chosen = {entry.prefix: entry for entry in map(store.one, (n for n in names if "#" not in n))}
    some = [_generation(name, call) for name in names if "#" in name]
    going = {*chosen, *(f"{entry.module}#{number}" for entry, number in some)}
    for entry in chosen.values():
        _check(entry, publisher, going)
    answers = [_remove_generation(name, call) for name in names if "#" in name]
    for entry in chosen.values():
        prefix = Path(entry.prefix)
        with store.claim(prefix, entry.module, console.note):
            _check(entry, publisher, going)  # somebody may have begun to need it since
            publisher.withdraw(entry)
            trash.put(store, entry)
        console.note(f"uninstalled {entry.module}")
        if store.places not in prefix.parents and prefix.is_dir() and any(prefix.iterdir()):
            console.note(f"what else is in {prefix} is left as it is")
        answers.append({"module": entry.module, "prefix": entry.prefix})
    return Result(answers)


def _check(entry: Entry, publisher: Publisher, going: Collection[str]) -> None:
    """Raise ``StoreError`` if an install cannot go, or others that do not go need it."""
    trash.check_removable(publisher.store, Path(entry.prefix))
    publisher.check_removable(entry)
    check_not_held(entry)
    dependents = publisher.store.dependents(entry)
    if needing := [t for t, prefix in dependents.items() if not {t, prefix} & {*going}]:
        cause = f"{entry.module} is needed by {', '.join(needing)}"
        remedy = "uninstall those first, or name them in the same command"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)


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
        check_not_held(entry, number)
        if needing := call.store.dependents(entry, number):
            cause = f"{title} is needed by {', '.join(needing)}"
            raise StoreError(cause, remedy="uninstall those first", code=Exit.CONFLICT)
        if number == here.current:
            whole = f"tykky uninstall {entry.module}"
            remedy = f"go back first: 'tykky rollback', or remove all of it: '{whole}'"
            raise StoreError(f"{title} is in use", remedy=remedy, code=Exit.CONFLICT)
        freed = place.remove_generation(here, number)
    console.note(f"removed {title}, {console.size(freed)}")
    return {"module": entry.module, "prefix": entry.prefix, "generation": number}


def _generation(name: str, call: Call) -> tuple[Entry, int]:
    """The install and the number of a generation, which may be damaged. Raises ``StoreError``."""
    entry = call.store.one(name.partition("#")[0])
    number = name.partition("#")[2]
    if not (number.isdecimal() and int(number) in place_of(entry).numbers):
        return entry, call.store.generation(name).generation  # which says that there is none
    return entry, int(number)

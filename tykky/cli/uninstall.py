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
from tykky.store import Entry, place, trash

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
    going = {*chosen, *(store.generation(name).title for name in names if "#" in name)}
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
    trash.check_removable(publisher.store, Path(entry.prefix))
    publisher.check_removable(entry)
    dependents = publisher.store.dependents(entry)
    if needing := [t for t, prefix in dependents.items() if not {t, prefix} & {*going}]:
        cause = f"{entry.module} is needed by {', '.join(needing)}"
        remedy = "uninstall those first, or name them in the same command"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)


def _remove_generation(name: str, call: Call) -> dict[str, object]:
    record = call.store.generation(name)
    here = place_of(record)
    with call.changing(here, record.module):
        if needing := call.store.dependents(record, record.generation):
            cause = f"{record.title} is needed by {', '.join(needing)}"
            raise StoreError(cause, remedy="uninstall those first", code=Exit.CONFLICT)
        if record.generation == here.current:
            whole = f"tykky uninstall {record.module}"
            remedy = f"go back first: 'tykky rollback', or remove all of it: '{whole}'"
            raise StoreError(f"{record.title} is in use", remedy=remedy, code=Exit.CONFLICT)
        freed = place.remove_generation(here, record.generation)
    console.note(f"removed {record.title}, {console.size(freed)}")
    return {"module": record.module, "prefix": record.prefix, "generation": record.generation}

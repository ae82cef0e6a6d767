"""A new generation with the contents of the present one, entered in another way."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console
from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.build.keeping import keep_bill
from tykky.contents import FILE, of_install, own
from tykky.contents import render as rendered
from tykky.errors import explained
from tykky.files import copy_tree, count, discard, text_at, write_file
from tykky.host import host_name, now, user_name
from tykky.inventory import completing, cyclonedx
from tykky.inventory import files as listed
from tykky.runtime.base import CONF_NAME, LaunchPlan, render
from tykky.store import Place, Record, Store, place, signatures
from tykky.store.place import Draft
from tykky.store.written import note, what

if TYPE_CHECKING:
    from tykky.config import Config


def is_entered_as(
    here: Place, record: Record, config: Config, runtime: str | None, isolation: str | None
) -> bool:
    """Whether a generation is entered as it would be by the configuration now."""
    plan, _ = _entered(record, record.generation, config, runtime, isolation)
    path = here.generation(record.generation) / CONF_NAME
    return not path.is_symlink() and text_at(path) == render(plan)


def is_known(here: Place, record: Record) -> bool:
    """Whether all that can be known of the packages and files of a generation is noted.

    What somebody has changed or removed since is not made good here: that is damage.
    """
    folder = here.generation(record.generation)
    made = {cyclonedx.FILE, listed.FILE} <= record.notes.keys()
    return _is_spoilt(folder, record) or (made and not completing.lacks(folder))


def _is_spoilt(folder: Path, record: Record) -> bool:
    """Whether the packages that were noted are not those that are there."""
    if FILE not in record.notes:
        return False
    try:
        return what(note(folder / FILE)) != what(record.notes[FILE])
    except OSError:
        return True


def renew(
    here: Place,
    record: Record,
    config: Config,
    store: Store,
    runtime: str | None,
    isolation: str | None,
) -> Record:
    """Commit a generation that is entered as it would be now, and knows its packages.

    Hold the claim of the place.

    Raises ``TykkyError``.
    """
    draft = place.begin(here, store.permissions)
    try:
        with explained(f"refresh {record.module}"):
            old = here.generation(record.generation)
            copy_tree(old, draft.path)
            store.permissions.apply_again(draft.path)
            plan, entering = _entered(record, draft.number, config, runtime, isolation)
            lay_launch(plan, draft.path, store.permissions)
            anew = [CONF_NAME, "host", "root"]
            if not (spoilt := _is_spoilt(old, record)) and completing.lacks(old):
                found = completing.completed(here, record, config)
                write_file(draft.path / FILE, rendered(found).encode(), store.permissions)
                packages = tuple((package.name, package.version) for package in own(found))
                record = replace(record, packages=packages)
                anew.append(FILE)
            if not spoilt and listed.FILE not in record.notes:
                paths = listed.render(listed.of_images(record))
                write_file(draft.path / listed.FILE, paths, store.permissions)
            new = replace(
                record,
                generation=draft.number,
                installed=now(),
                by={**record.by, "user": user_name(), "host": host_name()},
                launch=asdict(entering),
                # What is taken over is what it was, or damaged as before.
                notes={
                    name: noted
                    for name, noted in record.notes.items()
                    if Path(name).parts[0] not in anew
                },
            )
            if not spoilt:
                new = _with_bill(new, draft, store)
            return place.commit(draft, new, store.permissions, signatures.signer(config))
    finally:
        if draft.path.exists():
            discard(draft.path)


def _with_bill(record: Record, draft: Draft, store: Store) -> Record:
    """The record of a draft that has got a bill of materials of its own."""
    packages = of_install(draft.path)
    if problem := keep_bill(record, packages, draft.path, store.permissions):
        console.warn(problem)
        return record
    notes = {name: noted for name, noted in record.notes.items() if name != cyclonedx.FILE}
    return replace(record, notes=notes, files=count(draft.path) + 1 + len(record.images))


def _entered(
    record: Record, number: int, config: Config, runtime: str | None, isolation: str | None
) -> tuple[LaunchPlan, Entering]:
    old = Entering.read(record.launch)
    runtime, isolation = runtime or old.runtime, isolation or old.isolation
    new = replace(old, runtime=runtime, isolation=isolation)
    prefix, commands = Path(record.prefix), record.commands
    return launch_plan(new, record.module, prefix, number, record.images, commands, config), new

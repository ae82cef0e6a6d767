"""A new generation with the contents of the present one, entered in another way."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.errors import explained
from tykky.files import copy_tree, discard, text_at
from tykky.host import host_name, now, user_name
from tykky.runtime.base import CONF_NAME, LaunchPlan, render
from tykky.store import Place, Record, Store, place, signatures

if TYPE_CHECKING:
    from tykky.config import Config


def is_entered_as(
    here: Place, record: Record, config: Config, runtime: str | None, isolation: str | None
) -> bool:
    """Whether a generation is entered as it would be by the configuration now."""
    plan, _ = _entered(record, record.generation, config, runtime, isolation)
    path = here.generation(record.generation) / CONF_NAME
    return not path.is_symlink() and text_at(path) == render(plan)


def renew(
    here: Place,
    record: Record,
    config: Config,
    store: Store,
    runtime: str | None,
    isolation: str | None,
) -> Record:
    """Commit a generation that is entered as it would be now. Hold the claim of the place.

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
                    if Path(name).parts[0] not in (CONF_NAME, "host", "root")
                },
            )
            return place.commit(draft, new, store.permissions, signatures.signer(config))
    finally:
        if draft.path.exists():
            discard(draft.path)


def _entered(
    record: Record, number: int, config: Config, runtime: str | None, isolation: str | None
) -> tuple[LaunchPlan, Entering]:
    old = Entering.read(record.launch)
    runtime, isolation = runtime or old.runtime, isolation or old.isolation
    new = replace(old, runtime=runtime, isolation=isolation)
    prefix, commands = Path(record.prefix), record.commands
    return launch_plan(new, record.module, prefix, number, record.images, commands, config), new

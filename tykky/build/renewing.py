"""A new generation with the contents of the present one, entered in another way.

Public names: ``is_entered_as``, ``renew``.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.errors import from_os_error
from tykky.files import discard
from tykky.host import host_name, user_name
from tykky.runtime.base import CONF_NAME, LaunchPlan, render
from tykky.store import Place, Record, Store, place

if TYPE_CHECKING:
    from tykky.config import Config


def is_entered_as(
    here: Place, record: Record, config: Config, runtime: str | None, isolation: str | None
) -> bool:
    """Whether a generation is entered as it would be by the configuration now."""
    plan = _plan(record, _entering(record, runtime, isolation), record.generation, config)
    try:
        text = (here.generation(record.generation) / CONF_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return text == render(plan)


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
    entering = _entering(record, runtime, isolation)
    draft = place.begin(here, store.permissions)
    try:
        shutil.copytree(
            here.generation(record.generation), draft.path, dirs_exist_ok=True, symlinks=True
        )
        lay_launch(_plan(record, entering, draft.number, config), draft.path, store.permissions)
        new = replace(
            record,
            generation=draft.number,
            installed=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            by={**record.by, "user": user_name(), "host": host_name()},
            launch=asdict(entering),
        )
        place.commit(draft, new, store.permissions)
    except OSError as error:
        raise from_os_error(error, f"refresh {record.module}") from error
    finally:
        if draft.path.exists():
            discard(draft.path)
    return new


def _entering(record: Record, runtime: str | None, isolation: str | None) -> Entering:
    entering = Entering.read(record.launch)
    return replace(
        entering, runtime=runtime or entering.runtime, isolation=isolation or entering.isolation
    )


def _plan(record: Record, entering: Entering, number: int, config: Config) -> LaunchPlan:
    return launch_plan(
        entering, record.module, Path(record.prefix), number, record.images, record.commands, config
    )

"""What a generation keeps of how it was made: its record, and its inputs.

Public names: ``record_of``, ``keep_inputs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tykky
from tykky import contents
from tykky import lock as locks
from tykky.build.plan import shown
from tykky.files import Permissions, make_folder, write_file
from tykky.host import host_name, now, user_name
from tykky.recipe import source_digest
from tykky.recipe.source import recipe_source
from tykky.store import Record

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.contents import Installed
    from tykky.store.record import Step


def record_of(plan: Plan, steps: Sequence[Step], read: Mapping[str, str]) -> Record:
    """What a plan alone says of its generation, as a record."""
    recipe = plan.recipe
    return Record(
        name=recipe.name,
        version=str(recipe.version),
        suffix=recipe.suffix,
        module=plan.module,
        prefix=str(plan.prefix),
        kind=recipe.kind,
        description=recipe.description,
        installed=now(),
        build=plan.build,
        publish=plan.publish,
        choices=dict(recipe.choices),
        needs=tuple(f"{needed.prefix}#{needed.generation}" for needed in plan.needs),
        needed={f"{needed.prefix}#{needed.generation}": needed.build for needed in plan.needs},
        spec=str(recipe.spec),
        arch=plan.arch,
        homepage=recipe.homepage,
        license=recipe.license,
        maintainers=tuple(recipe.maintainers),
        packages=tuple((p.name, p.version) for p in sorted(plan.lock.packages)),
        lock=plan.lock.digest,
        loads=tuple(recipe.loads),
        shown=shown(recipe),
        read=dict(read),
        base={"name": plan.base.name, "id": plan.base.id, "digest": plan.base.digest},
        recipe={"file": str(recipe.file), "digest": source_digest(type(recipe))},
        by={"user": user_name(), "host": host_name(), "tykky": tykky.__version__},
        steps=tuple(steps),
    )


def keep_inputs(
    plan: Plan, found: Sequence[Installed], folder: Path, permissions: Permissions
) -> None:
    """What a generation was made from stays with it, whatever becomes of the repository.

    So do the packages that were ``found`` in it.
    """
    if found:
        write_file(folder / contents.FILE, contents.render(found).encode(), permissions)
    write_file(folder / "lock.json", locks.render(plan.lock).encode(), permissions)
    make_folder(folder / "recipe", permissions)
    # First the recipe itself, then those that it extends.
    sources = map(recipe_source, type(plan.recipe).__mro__)
    for number, text in enumerate(text for text in sources if text is not None):
        name = f"recipe-{number}.py" if number else "recipe.py"
        write_file(folder / "recipe" / name, text, permissions)

"""What an install says of itself: its record, and what it keeps of its making.

Public names: ``record_of``, ``keep_inputs``, ``keep_log``.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import contents
from tykky import lock as locks
from tykky.errors import masked
from tykky.files import Permissions, write_file
from tykky.host import host_name, user_name
from tykky.recipe.source import recipe_source
from tykky.store import HIDDEN, Record

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.contents import Installed
    from tykky.store.record import Step
    from tykky.tools.squash import Image


def record_of(plan: Plan, image: Image, commands: tuple[str, ...], steps: Sequence[Step]) -> Record:
    """The record of an install whose prefix is complete but for record and log."""
    import tykky
    from tykky.recipe import source_digest

    recipe = plan.recipe
    return Record(
        name=recipe.name,
        version=str(recipe.version),
        suffix=recipe.suffix,
        module=plan.module,
        hash=plan.hash,
        prefix=str(plan.prefix),
        kind=recipe.kind,
        description=recipe.description,
        installed=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        choices=dict(recipe.choices),
        needs=tuple(entry.hash for entry in plan.needs),
        spec=str(recipe.spec),
        arch=plan.arch,
        homepage=recipe.homepage,
        license=recipe.license,
        maintainers=tuple(recipe.maintainers),
        module_file=str(plan.module_file),
        commands=commands,
        packages=tuple((p.name, p.version) for p in sorted(plan.lock.packages)),
        lock=plan.lock.digest,
        loads=tuple(recipe.loads),
        base={"name": plan.base.name, "id": plan.base.id, "digest": plan.base.digest},
        recipe={"file": str(recipe.file), "digest": source_digest(type(recipe))},
        image={
            "file": image.file,
            "sha256": image.sha256,
            "bytes": image.bytes,
        },
        by={
            "user": user_name(),
            "host": host_name(),
            "tykky": tykky.__version__,
        },
        steps=tuple(steps),
    )


def keep_inputs(plan: Plan, found: Sequence[Installed], permissions: Permissions) -> None:
    """What an install was made from stays with it, whatever becomes of the repository.

    So do the packages that were ``found`` in it.
    """
    hidden = plan.prefix / HIDDEN
    if found:
        write_file(hidden / contents.FILE, contents.render(found).encode(), permissions)
    write_file(hidden / "lock.json", locks.render(plan.lock).encode(), permissions)
    sources = [recipe_source(base) for base in type(plan.recipe).__mro__]
    # First the recipe itself, then those that it extends.
    for number, text in enumerate(text for text in sources if text is not None):
        name = f"recipe-{number}.py" if number else "recipe.py"
        write_file(hidden / name, text, permissions)


def keep_log(log: Path, prefix: Path, permissions: Permissions) -> None:
    """The build log stays with the install, compressed, without passwords and tokens."""
    text = log.read_bytes().decode(errors="surrogateescape")
    # No time stamp in the archive: the log's own lines have the times.
    data = gzip.compress(masked(text).encode(errors="surrogateescape"), mtime=0)
    write_file(prefix / HIDDEN / "build.log.gz", data, permissions)

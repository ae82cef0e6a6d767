"""Handing one call of a classic command to the pipeline.

Public names: ``check``, ``make``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import bases
from tykky.build import pipeline
from tykky.build.plan import Plan
from tykky.build.work import Desk
from tykky.compat import old, wrapping
from tykky.compat.layout import ClassicLayout
from tykky.errors import Exit, StoreError, TykkyError
from tykky.host import user_name
from tykky.publish import Publisher
from tykky.store import Place, Record, Store
from tykky.store.place import remove_generation
from tykky.tools.scratch import sweep

if TYPE_CHECKING:
    from tykky.compat.classic import Classic
    from tykky.compat.job import Job
    from tykky.config import Config


def check(job: Job, recipe: Classic) -> None:
    """Raise ``TykkyError`` if nothing can be installed, before anything is done."""
    recipe.examine()
    if job.is_bound and wrapping.environ_text(job):
        raise TykkyError(
            "commands that lie at their own path in the image cannot run something before they do",
            remedy="leave 'installation_path: prefix' out; or give variables with fixed values: "
            "'extra_envs: [{type: set, name: NAME, value: VALUE}]'",
            code=Exit.CONFIG,
        )
    prefix = there = job.prefix
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise TykkyError(
            f"you may not install in {prefix}: {there} is not writable",
            remedy="give another directory: --prefix DIR",
            code=Exit.NOT_WRITABLE,
        )
    if ":" in str(prefix) or "\n" in str(prefix):
        raise TykkyError(
            f"the prefix has a colon or a line break in it, which PATH cannot hold: {prefix}",
            remedy="give another directory: --prefix DIR",
            code=Exit.PATH_TOO_LONG,
        )
    is_install = (prefix / "common.sh").is_file()
    for name in ("bin", "share", "lib"):
        if not is_install and job.old is None and (prefix / name).exists():
            raise StoreError(
                f"{prefix} has a '{name}' of something else in it",
                remedy="give a directory of its own: --prefix DIR",
                code=Exit.CONFLICT,
            )
    if Place(prefix).current and not is_install:
        raise StoreError(
            f"{prefix} is an install of a recipe",
            remedy="give another directory: --prefix DIR",
            code=Exit.CONFLICT,
        )


def make(recipe: Classic, store: Store, *, held: bool) -> Record:
    """Make what a call asks for. Hold the claim of the prefix.

    Raises ``TykkyError``; then everything is as it was.
    """
    job = recipe.job
    config = _config(job)
    sweep(config.build_dir)
    desk = Desk.of(config, store, quiet=job.level < 2)
    with desk.step("resolve") as line:
        for name, path in job.inputs.items():
            line.update(name)
            path.open("rb").close()  # who may not read it, should know now
        lock = recipe.settle(line.update)
        line.update(f"{recipe.title} for {job.prefix}")
    with desk.step("base") as line:
        base = recipe.provide(line.update)
        line.update(f"{base.name} ({base.id})")
    plan = Plan(
        recipe=recipe,
        arch=bases.arch(),
        base=base,
        lock=lock,
        lock_is_new=False,
        needs=(),
        place=Place(job.prefix),
        module=f"{recipe.name}/1",
        layout=ClassicLayout(job, recipe),
    )
    before = plan.place.current
    record = pipeline.build(desk, plan, Publisher(config, store), held=held, verb=job.verb)
    # Who updates a prefix of their own need not know that there is a clean-up.
    for number in plan.place.numbers if held else ():
        if number not in (before, record.generation):
            remove_generation(plan.place, number)
    old.retire(job)
    return record


def _config(job: Job) -> Config:
    """The configuration, with what the classic one says of building."""
    parent = Path(job.values["build_tmpdir_base"]) / f"tykky-classic-{user_name()}"
    config, values = job.config, job.values
    wanted = min(int(values.get("num_cpus", 0)), int(values.get("max_num_cpus", 1 << 16)))
    return replace(
        config,
        build_dir=parent if parent.is_absolute() else job.workdir / parent,
        jobs=min(wanted or config.jobs, len(os.sched_getaffinity(0))),
    )

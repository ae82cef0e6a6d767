"""What an install would be, before anything is done: the steps *resolve* and *base*."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import tykky
from tykky import bases, contents
from tykky import lock as locks
from tykky.bases import Base
from tykky.bases.stacks import find_stack
from tykky.build import keeping, locking
from tykky.build.box import PlanBox
from tykky.build.commands import are_plain
from tykky.build.entering import triples
from tykky.build.layout import Layout
from tykky.build.upon import Upon
from tykky.console import plural
from tykky.errors import (
    Exit,
    StoreError,
    TykkyError,
    explained,
)
from tykky.files import Permissions, digest_file, write_file
from tykky.host import host_name, now, user_name
from tykky.lock import Lock
from tykky.recipe import guarded, read_all, recipe_code, source_digest
from tykky.repos.loading import check_trusted
from tykky.store import Place, Record, Store, roots
from tykky.store.place import damaged, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tykky.build.locking import Settled
    from tykky.config import Config
    from tykky.contents import Installed
    from tykky.kinds.stack import Stack
    from tykky.repos import Repos
    from tykky.spec import Spec
    from tykky.store.record import Step

#: Raised whenever the same inputs would give another image than before.
FORMAT = 2
#: What lies beside a recipe and is no input of a build.
_NO_INPUT = ("locks", "__pycache__", "recipe.py")
#: The steps of what installing may do, by what ``foresee`` says.
_REHEARSED = {
    "nothing": "resolve",
    "switch": "resolve publish",
    "publish": "resolve test commit publish",
    "build": "resolve base build finish squash test commit publish",
}


@dataclass(frozen=True)
class Plan:
    """A selected recipe with everything that decides what its install will be.

    ``build`` is the digest of what decides the contents, ``publish`` that of what only users see;
    ``beside`` has those of the files that lie beside the recipe.
    """

    recipe: Stack
    arch: str
    base: Base
    lock: Lock
    place: Place
    module: str
    lock_is_new: bool = False
    instead: str = ""
    needs: tuple[Record, ...] = ()
    build: str = ""
    publish: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)

    @property
    def prefix(self) -> Path:
        """The path of the place."""
        return self.place.prefix


def make(
    spec: Spec,
    config: Config,
    repos: Repos,
    store: Store,
    say: Callable[[str], None],
    *,
    look_only: bool = False,
    settled: Settled | None = None,
) -> Plan:
    """The plan for a spec, with its lock if one is ``settled``. Nothing is written.

    Raises ``TykkyError``.

    With ``look_only``, nothing is run either: a recipe without a lock whose packages could only be
    resolved by running code of theirs is refused.
    """
    recipe, arch = cast("Stack", repos.select(spec)), bases.arch()
    version = f"{recipe.version}{recipe.suffix}"
    place = store.place(recipe.name, version)
    check_selection(recipe, place)
    settled = settled or locking.settled_lock(recipe, config, arch, place, say, look_only=look_only)
    lock = settled.lock
    base = recipe.find_base(config, arch, lock)
    records = [_needed(recipe, needed, store) for needed in guarded(recipe, "needs")]
    if isinstance(base, bases.Pending) and base.reference.scheme == "stack":
        records.insert(0, find_stack(base.reference.target, config))
    for record in records:
        if record.arch not in ("", arch):
            raise mixed(record, arch)
    needs = tuple({record.prefix: record for record in records}.values())  # each once
    beside = _beside(recipe)
    build = build_digest(recipe, arch, base, lock, needs, beside)
    names = ("env", "isolation", "runtime", "binds", "gpu", "commands")
    entered = {name: guarded(recipe, name) for name in names}
    entered["shields"] = [list(change) for change in triples(recipe.shields(config))]
    publish = locks.digest_of({"shown": shown(recipe), "entered": entered})
    module = f"{recipe.name}/{version}"
    layout = Upon() if recipe.on_base else Layout()
    how = (settled.is_new, settled.instead, needs, build, publish, beside, layout)
    return Plan(recipe, arch, base, lock, place, module, *how)


def build_digest(
    recipe: Stack,
    arch: str,
    base: Base,
    lock: Lock,
    needs: Sequence[Record],
    beside: Mapping[str, str],
) -> str:
    """The digest of what decides the contents; ``beside`` has those of files beside the recipe."""
    return locks.digest_of(
        {
            "format": FORMAT,
            "recipe": source_digest(type(recipe)),
            "files": dict(beside),
            "version": [str(recipe.version), recipe.version.data],
            "choices": dict(recipe.choices),
            "commands": None if are_plain(recipe) else guarded(recipe, "commands"),
            "lock": lock.digest,
            "base": base.digest,
            "needs": [record.build for record in needs],
            "arch": arch,
        }
    )


def check_selection(recipe: Stack, place: Place) -> None:
    """Raise ``StoreError`` if another version, with choices, has the same place.

    A version ``1.0-extra`` has the name of the version ``1.0`` with ``+extra``.
    """
    if not place.current:
        return
    try:
        there = place.record()
    except StoreError:
        return  # damaged, or of a newer Tykky: that is said by what needs to know more
    if there.arch not in ("", bases.arch()):
        raise mixed(there, bases.arch())
    if (there.version, there.suffix) != (str(recipe.version), recipe.suffix):
        raise StoreError(
            f"the module {there.module} belongs to another selection already: {there.spec}",
            remedy=f"uninstall that first ('tykky uninstall {place.prefix}'), or rename a version",
            code=Exit.CONFLICT,
        )


def mixed(there: Record, arch: str) -> StoreError:
    """The error where a place, or what a stack needs, is for another architecture."""
    return StoreError(
        f"{there.module} in {there.prefix} is for {there.arch}, and this would be for {arch}",
        remedy="give each architecture a root of its own: --root DIR",
        code=Exit.CONFLICT,
    )


def shown(recipe: Stack) -> dict[str, Any]:
    """What users are told of a recipe, and what its module sets."""
    return {
        "description": recipe.description,
        "about": recipe.long_description,
        "homepage": recipe.homepage,
        "license": recipe.license,
        "maintainers": list(recipe.maintainers),
        "keywords": list(recipe.keywords),
        "family": guarded(recipe, "family"),
        "loads": list(guarded(recipe, "loads")),
        "setenv": dict(guarded(recipe, "setenv")),
        "deprecation": recipe.deprecation,
    }


def asked_for(plan: Plan) -> Iterator[str]:
    """What a build may do that others may not, because the recipe says that it has to."""
    if plan.recipe.network:
        yield "its build and its test may use the network: the recipe says 'network = True'"
    if reads := guarded(plan.recipe, "reads"):
        yield f"its build and its test may read {', '.join(reads)}: the recipe says 'reads'"


def record_of(plan: Plan, steps: Sequence[Step], read: Mapping[str, str]) -> Record:
    """What a plan alone says of its generation, as a record."""
    recipe, homes = plan.recipe, {*keeping.folders_of(plan.recipe)}
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
        versions=tuple(map(str, recipe.versions)),
        deprecated=bool(recipe.deprecation),
        spec=str(recipe.spec),
        arch=plan.arch,
        homepage=recipe.homepage,
        license=recipe.license,
        maintainers=tuple(recipe.maintainers),
        packages=tuple((p.name, p.version) for p in sorted(plan.lock.packages)),
        asked=locks.asked_names(plan.lock),
        lock=plan.lock.digest,
        instead=plan.instead,
        loads=tuple(recipe.loads),
        shown=shown(recipe),
        # What lies beside a recipe is known by what is in it, and may lie anywhere.
        read={path: d for path, d in read.items() if not homes & {*Path(path).parents}},
        base={"name": plan.base.name, "id": plan.base.id, "digest": plan.base.digest},
        recipe={"file": str(recipe.file), "digest": source_digest(type(recipe))},
        by={
            "user": user_name(),
            "host": host_name(),
            "tykky": tykky.__version__,
            "kernel": os.uname().release,
        },
        steps=tuple(steps),
    )


def keep_inputs(
    plan: Plan, found: Sequence[Installed], folder: Path, permissions: Permissions
) -> list[str]:
    """What a generation was made from stays with it, whatever becomes of the repository.

    So do the packages that were ``found`` in it. Gives a sentence for each file that is not kept.
    """
    write_file(folder / contents.FILE, contents.render(found).encode(), permissions)
    write_file(folder / "lock.json", locks.render(plan.lock).encode(), permissions)
    return keeping.keep(plan.recipe, plan.beside, folder, permissions)


def _beside(recipe: Stack) -> dict[str, str]:
    """The digests of all files that lie beside a recipe, and beside those that it extends."""
    found = {}
    with explained("read what lies beside the recipe", "repos"):
        for number, folder in enumerate(keeping.folders_of(recipe)):
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder)
                if name.parts[0] not in _NO_INPUT and path.is_file() and name.name[0] != ".":
                    check_trusted(path, "the recipe")
                    found[f"{number}/{name}"] = digest_file(path)
    return found


def _needed(recipe: Stack, needed: Spec, store: Store) -> Record:
    try:
        store = roots.having(store, str(needed))
        return store.record(store.one(str(needed)))
    except StoreError as error:
        raise TykkyError(
            f"{recipe.spec} needs '{needed}': {error.cause}",
            remedy=roots.where_from(store, str(needed)),
            code=Exit.NOT_FOUND,
        ) from None


def foresee(plan: Plan) -> str:
    """What installing would do: ``nothing``, ``switch``, ``publish`` or ``build``."""
    found = present(plan)
    if found is not None:
        return "nothing" if found.generation == plan.place.current else "switch"
    return "build" if reusable(plan) is None else "publish"


def present(plan: Plan) -> Record | None:
    """The generation that is what the plan would give: the current one, or the newest."""
    newest = [number for number in plan.place.numbers if number >= plan.place.current]
    numbers = dict.fromkeys((plan.place.current, *reversed(newest)))
    found = (_readable(plan, number) for number in numbers)
    return next((record for record in found if record and record.publish == plan.publish), None)


def reusable(plan: Plan) -> Record | None:
    """The newest generation with the contents that the plan would build."""
    found = (_readable(plan, number) for number in reversed(plan.place.numbers))
    return next((record for record in found if record and _goes_on(plan, record)), None)


def _goes_on(plan: Plan, record: Record) -> bool:
    """Whether contents go on top of what the plan needs, if they are a layer on just one image."""
    parent = record.images[0].get("parent") if record.images else None
    tops = [image["sha256"] for needed in plan.needs[:1] for image in needed.images[-1:]]
    return not parent or tops == [parent]


def _readable(plan: Plan, number: int) -> Record | None:
    """A generation with the plan's contents, if it is whole."""
    here = plan.place
    with contextlib.suppress(StoreError, OSError):
        if (
            number
            and plan.build
            and (record := here.record(number)).build == plan.build
            and locking.has_same_inputs(record)
            and not missing(record)
            and not here.original(number)
            and not damaged(record)
        ):
            return record
    return None


def check_path(prefix: Path, remedy: str) -> None:
    """Refuse a path that programs or PATH cannot hold."""
    text = str(prefix)
    if re.search("[\ud800-\udfff]", text):
        what = f"is not text that every program can read: {text!a}"
        remedy = f"{remedy} (or is LC_ALL=C set? unset it)"
    elif ":" in text or "\n" in text:
        what = f"has a colon or a line break in it, which PATH cannot hold: {text}"
    else:
        return
    raise TykkyError(f"the path of the install {what}", remedy=remedy, code=Exit.PATH_TOO_LONG)


def check(plan: Plan) -> None:
    """Find out early what would make the install fail late. Raises ``TykkyError``."""
    from tykky.runtime import native
    from tykky.tools.squash import program

    check_path(plan.prefix, "choose another root: --root DIR, or 'tykky config set root DIR'")
    read_all(plan.recipe)
    with recipe_code(plan.recipe, "check"):
        plan.recipe.check(plan.prefix, plan.base)
    program()
    native.program("launch")  # may have to be compiled, and a compiler be missing


def rehearse(plan: Plan, config: Config, does: str = "build") -> list[tuple[str, list[str]]]:
    """What each step would do, as lines of text, by running the steps in a ``PlanBox``.

    ``does`` is what installing would do; see ``foresee``.
    """
    wanted, recipe = config.squash, plan.recipe
    number = max([0, *plan.place.numbers]) + 1
    packages = plural(len(plan.lock.packages), "package")
    told = {
        "resolve": f"{packages}, lock {plan.lock.digest[:8]}",
        "base": f"{plan.base.name} ({plan.base.id})",
        "squash": f"mksquashfs {wanted.compression} level {wanted.level}",
        "commit": f"write  {plan.place.generation(number)}",
        "publish": f"write  {config.module_path}/{plan.module}.lua",
    }
    run = {"build": ["assemble"], "finish": ["equip", "finish", "seal"], "test": ["prove", "test"]}

    def lines(step: str) -> list[str]:
        if step in told:
            return [told[step]]
        box = PlanBox(plan.prefix, recipe.directory, plan.base, plan.lock, config)
        for method in run[step]:
            with recipe_code(recipe, method):
                getattr(recipe, method)(box)
        return box.lines

    return [(step, lines(step)) for step in _REHEARSED[does].split()]

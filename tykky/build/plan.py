"""What an install would be, before anything is done: the steps *resolve* and *base*.

Public names: ``Plan``, ``make``, ``fitting_lock``, ``fresh_lock``, ``check_name``, ``check``,
``rehearse``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tykky import bases
from tykky import lock as locks
from tykky.bases import Base
from tykky.build.box import PlanBox
from tykky.console import plural
from tykky.errors import Exit, LockError, StoreError, TykkyError
from tykky.lock import Lock
from tykky.publish import modules
from tykky.recipe import guarded, read_all, recipe_code, source_digest
from tykky.store import HIDDEN, Entry, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.repos import Repos
    from tykky.spec import Spec

#: Raised whenever the same inputs would give another image than before.
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """A selected recipe with everything that decides what its install will be."""

    recipe: Stack
    arch: str
    base: Base
    lock: Lock
    lock_is_new: bool
    needs: tuple[Entry, ...]
    hash: str
    prefix: Path
    module: str
    module_file: Path

    @property
    def title(self) -> str:
        """How messages name it: ``python-data/26.11 (1a2b3c4d)``."""
        return f"{self.module} ({self.hash[:8]})"


def fitting_lock(recipe: Stack, config: Config, arch: str) -> Lock | None:
    """The lock beside a selected recipe, or beside one that it extends; ``None`` without one.

    Raises ``LockError`` if the recipe's own lock was made for other requirements.
    """
    with recipe_code(recipe, "packages"):
        asked = recipe.asked(config, arch)
    own = locks.path_of(recipe, arch)
    path = recipe.beside(str(own.relative_to(recipe.directory)))
    if path.exists():
        lock = locks.read(path)
        if lock.asked_digest == locks.digest_of(asked):
            return lock
    # The lock of a recipe that this one extends need not fit; its own must.
    if own.exists():
        raise LockError(
            f"the lock of {recipe.spec} no longer fits its recipe ({own})",
            remedy=f"make it anew with 'tykky lock {recipe.spec}'",
        )
    return None


def _installed_lock(recipe: Stack, config: Config, arch: str, store: Store) -> Lock | None:
    """The lock that an install of the same selection kept, if it still fits.

    So a recipe without a lock beside it gives the same install again, not a newer one.
    """
    with recipe_code(recipe, "packages"):
        asked = locks.digest_of(recipe.asked(config, arch))
    for entry in store.entries(recipe.name):
        path = Path(entry.prefix) / HIDDEN / "lock.json"
        if (entry.version, entry.suffix) == (recipe.version, recipe.suffix) and path.exists():
            # Another install's file: if it is damaged, that is not for this one to say.
            with contextlib.suppress(LockError):
                lock = locks.read(path)
                if lock.asked_digest == asked:
                    return lock
    return None


def fresh_lock(recipe: Stack, config: Config, arch: str) -> Lock:
    """Resolve a selected recipe now. Raises ``TykkyError`` if that cannot be done."""
    with recipe_code(recipe, "packages"):
        asked = recipe.asked(config, arch)
    with recipe_code(recipe, "resolve"):
        packages = recipe.resolve(config, arch)
    return Lock(recipe.name, str(recipe.version), recipe.suffix, arch, asked, tuple(packages))


def make(
    spec: Spec, config: Config, repos: Repos, store: Store, say: Callable[[str], None]
) -> Plan:
    """The plan for a spec. Nothing is written. Raises ``TykkyError``."""
    recipe = cast("Stack", repos.select(spec))
    arch = bases.arch()
    lock = fitting_lock(recipe, config, arch) or _installed_lock(recipe, config, arch, store)
    is_new = lock is None
    if lock is None:
        say("resolving, since there is no lock")
        lock = fresh_lock(recipe, config, arch)
    base = recipe.find_base(config, arch, lock)
    needs = tuple(_needed(recipe, needed, store) for needed in guarded(recipe, "needs"))
    if isinstance(base, bases.Pending) and base.reference.scheme == "stack":
        needs = (store.one(base.reference.target), *needs)
    digest = locks.digest_of(
        {
            "format": FORMAT,
            "recipe": source_digest(type(recipe)),
            "version": [str(recipe.version), recipe.version.data],
            "choices": dict(recipe.choices),
            "lock": lock.digest,
            "base": base.digest,
            "needs": [entry.hash for entry in needs],
            "arch": arch,
        }
    )
    module = f"{recipe.name}/{recipe.version}{recipe.suffix}"
    return Plan(
        recipe=recipe,
        arch=arch,
        base=base,
        lock=lock,
        lock_is_new=is_new,
        needs=needs,
        hash=digest,
        prefix=store.prefix(recipe.name, f"{recipe.version}{recipe.suffix}", digest),
        module=module,
        module_file=modules.path_of(config, module),
    )


def _needed(recipe: Stack, needed: Spec, store: Store) -> Entry:
    try:
        return store.one(str(needed))
    except StoreError as error:
        raise TykkyError(
            f"{recipe.spec} needs '{needed}': {error.cause}",
            remedy=f"install it first: tykky install {needed}",
            code=Exit.NOT_FOUND,
        ) from None


def check(plan: Plan, config: Config, store: Store) -> None:
    """Find out early what would make the install fail late. Raises ``TykkyError``."""
    from tykky.runtime.native import launcher_program
    from tykky.tools.squash import program

    try:
        str(plan.prefix).encode()
    except UnicodeEncodeError:
        raise TykkyError(
            "the path of the install is not text that every program can read: "
            + ascii(str(plan.prefix)),
            remedy="choose another root: --root DIR (or is LC_ALL=C set? unset it)",
            code=Exit.PATH_TOO_LONG,
        ) from None
    if ":" in str(plan.prefix):
        raise TykkyError(
            f"the path of the install has a colon in it, which PATH cannot hold: {plan.prefix}",
            remedy="choose another root: --root DIR, or 'tykky config set root DIR'",
            code=Exit.PATH_TOO_LONG,
        )
    read_all(plan.recipe)
    with recipe_code(plan.recipe, "check"):
        plan.recipe.check(plan.prefix, plan.base)
    program()
    launcher_program()  # may have to be compiled, and a compiler be missing
    modules.check_loads(plan.recipe)


def check_name(plan: Plan, config: Config, store: Store) -> None:
    """Raise ``StoreError`` if another install, or somebody else, has the module's name."""
    for entry in store.entries(plan.recipe.name):
        if entry.module == plan.module and entry.hash != plan.hash:
            raise StoreError(
                f"the module {plan.module} already belongs to another install, {entry.prefix}",
                remedy=f"give the recipe a new version, or first 'tykky uninstall {entry.module}'",
                code=Exit.CONFLICT,
            )
    owner = modules.owner_of(plan.module_file)
    if owner is not None and owner != str(plan.prefix):
        what = f"the install {owner}" if owner else "something that is not Tykky's"
        raise StoreError(
            f"the modulefile {plan.module_file} is there already and belongs to {what}",
            remedy="move it away, or set another 'module_path'",
            code=Exit.CONFLICT,
        )


def rehearse(plan: Plan, config: Config) -> list[tuple[str, list[str]]]:
    """What each step would do, as lines of text, by running the steps in a ``PlanBox``."""
    recipe = plan.recipe
    lines: list[tuple[str, list[str]]] = [
        ("resolve", [f"{plural(len(plan.lock.packages), 'package')}, lock {plan.lock.digest[:8]}"]),
        ("base", [f"{plan.base.name} ({plan.base.id})"]),
    ]
    for step, methods in (
        ("build", ("assemble",)),
        ("finish", ("equip", "finish", "seal")),
        ("squash", ()),
        ("test", ("prove", "test")),
    ):
        box = PlanBox(plan.prefix, recipe.directory, plan.base, plan.lock, config)
        for method in methods:
            with recipe_code(recipe, method):
                getattr(recipe, method)(box)
        lines.append((step, box.lines))
    wanted = config.squash
    lines[4] = ("squash", [f"mksquashfs {wanted.compression} level {wanted.level}"])
    lines.append(("commit", [f"write  {plan.prefix}/.tykky/record.json"]))
    lines.append(("module", [f"write  {plan.module_file}"]))
    return lines

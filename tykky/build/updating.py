"""What updating an install would change, and in what an install is behind its recipe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tykky import bases, console
from tykky import lock as locks
from tykky.bases.stacks import find_stack
from tykky.build import locking
from tykky.build import plan as plans
from tykky.errors import Exit, LockError, SpecError, StoreError, TykkyError, did_you_mean
from tykky.host import real
from tykky.recipe import Version, source_digest
from tykky.resources import resource
from tykky.spec import parse_one
from tykky.store import Place

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.lock import Difference, Lock
    from tykky.repos import Repos
    from tykky.store import Entry, Record, Store


@dataclass(frozen=True)
class Update:
    """A plan with a lock that was resolved anew, and how it differs from the install ``old``.

    ``download`` are bytes, of the files whose sizes are known; ``licenses`` those that appear or
    change, by package; ``reasons`` what else is different; ``lock`` is where the new lock is to be
    written, if it is.
    """

    plan: Plan
    old: Record
    difference: Difference
    reasons: tuple[str, ...]
    download: int
    licenses: dict[str, str]
    lock: Path | None

    @property
    def does(self) -> str:
        """What would be done, as ``foresee`` says it."""
        return plans.foresee(self.plan)

    def lines(self) -> Iterator[str]:
        """What people read of it: one line a package, then what else there is to know."""
        yield from self.difference.lines()
        yield from self.reasons
        if self.download:
            yield f"to download: {console.size(self.download)}"
        for name, words in sorted(self.licenses.items()):
            yield f"licence of {name}: {words}"

    def answer(self) -> dict[str, Any]:
        """What programs read of it."""
        difference = self.difference
        return {
            "module": self.old.module,
            "before": self.old.generation,
            "added": dict(difference.added),
            "removed": dict(difference.removed),
            "changed": dict(difference.changed),
            "reasons": list(self.reasons),
            "download": self.download,
            "licenses": self.licenses,
        }

    def keep_lock(self) -> bool:
        """Write the new lock beside the recipe, if it may be; whether it was. Raises ``LockError``.

        It is the time for that when the generation is committed.
        """
        if self.lock is None:
            return False
        locks.write(self.plan.lock, self.lock)
        return True


def prepare(
    entry: Entry,
    only: Sequence[str],
    config: Config,
    repos: Repos,
    store: Store,
    say: Callable[[str], None],
) -> Update:
    """Resolve an install anew, ``only`` some packages of it or all; nothing is written.

    Raises ``TykkyError``.
    """
    place = Place(Path(entry.prefix))
    record = place.record()
    if not record.has_module:
        cause = f"{entry.prefix} was made by a classic command, and has no recipe"
        remedy = "change it with the 'update' of that command; its '-h' tells how"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    recipe, arch = _recipe_of(record, repos), bases.arch()
    old = lock_of(record)
    names = _checked(only, old, record)
    say(f"resolving {entry.module} anew")
    try:
        lock = locking.fresh_lock(recipe, config, arch, old, names)
    except TykkyError as error:
        if names and error.code == Exit.RESOLVE:
            error.remedy = (
                f"{error.remedy}; --only holds all others at what is installed: name more"
            )
        raise
    path = _path_for(recipe, arch)
    instead = "" if path else locking.beside(recipe, arch)
    settled = locking.Settled(lock, instead="" if instead == lock.digest else instead)
    plan = plans.make(recipe.spec, config, repos, store, say, settled=settled)
    before = {package.name: package.license for package in old.packages}
    known = {package.sha256 for package in old.packages}
    new = [package for package in lock.packages if package.sha256 not in known]
    return Update(
        plan,
        record,
        locks.compare(old, lock),
        tuple(_reasons(plan, record)),
        sum(package.size for package in new if not recipe.wraps_base),
        {p.name: p.license for p in new if p.license and p.license != before.get(p.name)},
        path,
    )


def _recipe_of(record: Record, repos: Repos) -> Stack:
    """The recipe of an install, as it was selected. Raises ``SpecError`` if it is gone."""
    try:
        return cast("Stack", repos.select(parse_one([record.spec])))
    except SpecError as error:
        kept = Place(Path(record.prefix)).generation(record.generation) / "recipe"
        gone = record.name not in repos.names()
        cause = f"the recipe of {record.module} is gone" if gone else error.cause
        remedy = f"what it was made from is in {kept}: put that into a repository of recipes"
        raise SpecError(cause, remedy=remedy, code=Exit.NOT_FOUND) from None


def lock_of(record: Record) -> Lock:
    """The lock that a generation keeps. Raises ``StoreError`` if it is damaged, or gone by now."""
    folder = Place(Path(record.prefix)).generation(record.generation)
    try:
        return locks.read(folder / "lock.json")
    except LockError as error:
        if not folder.exists():
            cause = f"{record.title} was removed while it was looked at"
            remedy = "'tykky find' shows what there is now"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT) from None
        remedy = f"install it again: 'tykky install --force {record.spec}'"
        cause = f"what {record.title} was made from is damaged: {error.cause}"
        raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED) from None


def _checked(only: Sequence[str], old: Lock, record: Record) -> list[str]:
    """The packages of an install that are named, as its lock has them. Raises ``StoreError``."""
    there = {locks.canonical(package.name): package.name for package in old.packages}
    for name in only:
        if locks.canonical(name) not in there:
            cause = f"{record.title} has no package '{name}'"
            remedy = did_you_mean(name, list(there)) or "its 'list-packages' lists them"
            raise StoreError(cause, remedy=remedy)
    return [there[locks.canonical(name)] for name in only]


def _path_for(recipe: Stack, arch: str) -> Path | None:
    """Where the lock of an update is to be written: over the one there is, if that may be."""
    path = locks.path_of(recipe, arch)
    shipped = real(resource("repo")) in real(path).parents
    writable = path.is_file() and os.access(path.parent, os.W_OK | os.X_OK)
    return path if writable and not shipped else None


def _reasons(plan: Plan, record: Record) -> Iterator[str]:
    """What differs besides packages."""
    if record.recipe.get("digest") != source_digest(type(plan.recipe)):
        yield "the recipe has changed"
    elif plan.build == record.build and plan.publish != record.publish:
        yield "what users see of it has changed"
    if not plan.recipe.wraps_base and record.base.get("digest") != plan.base.digest:
        yield f"the base {plan.base.name} has another digest"
    if [needed.build for needed in plan.needs] != list(record.needed.values()):
        yield "what it needs was installed anew"


def behind(
    entry: Entry, config: Config, repos: Repos, store: Store, *, upstream: bool
) -> list[str]:
    """In what an install is behind, a few words each; nothing is built.

    Only with ``upstream`` is anything asked of the network. Raises ``TykkyError`` if the answer
    cannot be had.
    """
    record = Place(Path(entry.prefix)).record()
    try:
        recipe = _recipe_of(record, repos)
    except SpecError as error:
        return [error.cause]
    found = [*_newer(recipe, store), *_differences(recipe, record, config, repos, store)]
    if upstream:
        update = prepare(entry, (), config, repos, store, lambda _: None)
        if count := update.difference.count:
            found.append(f"upstream: {console.plural(count, 'package')} would change")
    return found


def _newer(recipe: Stack, store: Store) -> Iterator[str]:
    """A version that the recipe has, and nobody has installed."""
    newest = max(recipe.versions)
    if newest > recipe.version:
        there = [Version(entry.version) for entry in store.entries(recipe.name)]
        if newest > max([recipe.version, *there]):
            yield f"the recipe has a newer version, {newest}"


def _differences(
    recipe: Stack, record: Record, config: Config, repos: Repos, store: Store
) -> Iterator[str]:
    arch, place = bases.arch(), Place(Path(record.prefix))
    try:
        settled = locking.known_lock(recipe, config, arch, place)
    except LockError as error:
        yield error.cause
        return
    if settled is None:
        lock_of(record)  # if it is damaged, that is why
        scheme, _, spec = record.base.get("name", "").partition(":")
        if scheme == "stack" and (on := find_stack(spec, config)).build != record.base["digest"]:
            yield f"it is on {record.base['id'].partition(' on ')[0]}, and {on.title} is there now"
            return
        same = locking.has_same_inputs(record)
        files = "the files that it was built from have changed"
        yield "the recipe asks for other packages, and has no lock" if same else files
        return
    different = settled.lock.digest != record.lock
    if different:
        count = locks.compare(lock_of(record), settled.lock).count
        yield f"the lock differs: {console.plural(count, 'package')}"
    if not recipe.knows_base(config, arch):
        return  # only a registry can tell
    try:
        plan = plans.make(recipe.spec, config, repos, store, lambda _: None, settled=settled)
    except TykkyError as error:
        yield error.cause
        return
    reasons = [*_reasons(plan, record)]
    yield from reasons
    does = plans.foresee(plan)
    if does == "switch" and not different and not reasons:
        yield "it was rolled back"
    elif does != "nothing" and not different and not reasons:
        yield "what it is built from has changed"

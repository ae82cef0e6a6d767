"""Building again what is installed, from the inputs that it has kept, to compare the digests.

The box, the steps and the prefix that is seen within are those of any build; but images go into
scratch, and nothing of the place is written.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import bases, console
from tykky import lock as locks
from tykky.bases.stacks import stack_base
from tykky.build import keeping, restoring, steps
from tykky.build import plan as plans
from tykky.build.comparing import Difference, compare
from tykky.build.layered import ground
from tykky.build.layout import Layout
from tykky.build.locking import Settled
from tykky.build.plan import Plan
from tykky.build.upon import Upon
from tykky.build.work import Desk, Work
from tykky.errors import Exit, LockError, StoreError, TykkyError
from tykky.kinds import tree
from tykky.repos import Repos
from tykky.spec import parse_one
from tykky.store import Place, Record, Store
from tykky.store.written import wrong_image
from tykky.tools import squash
from tykky.tools.scratch import Scratch, sweep

if TYPE_CHECKING:
    from tykky.config import Config


@dataclass(frozen=True)
class Proof:
    """The digest of what was built again, and what of it differs from what is installed.

    ``other`` are inputs that are not what they were, in words.
    """

    record: Record
    sha256: str
    differences: tuple[Difference, ...] = ()
    other: tuple[str, ...] = ()

    @property
    def installed(self) -> str:
        """The digest of what is installed."""
        return str(self.record.originals[-1]["sha256"])

    @property
    def is_same(self) -> bool:
        """Whether the image is the same, byte for byte."""
        layered = len(self.record.originals) > 1
        return not self.differences if layered else self.sha256 == self.installed


@dataclass(frozen=True)
class _Aside(Place):
    """A place of which the images that are made go elsewhere."""

    folder: Path

    @property
    def images(self) -> Path:
        """Where images are put."""
        return self.folder


@dataclass(frozen=True)
class _Same(Layout):
    """The layout of recipes, squashed as an image is, whatever is configured now."""

    options: tuple[str, ...]
    verb = "rebuild"

    def squash_options(self, work: Work) -> Sequence[str]:
        """What that image was made with."""
        return self.options


class _SameUpon(_Same, Upon):
    """The same of what is a layer on its base."""


def rebuild(record: Record, config: Config, store: Store) -> Proof:
    """Build a generation again in scratch, and compare. Raises ``TykkyError``.

    What has layers is compared file by file.
    """
    images = _images_of(record)
    lock, desk = _lock_of(record), Desk.of(config, store, parse_one(record.spec), quiet=False)
    sweep(config.build_dir)
    path = config.build_dir / locks.digest_of(["rebuild", record.prefix])[:16]
    scratch = Scratch(path)
    with scratch.held():
        log = config.build_dir / "logs" / f"{record.module}-{path.name[:8]}.log"
        desk.log.open(log)
        desk.known.scratch = scratch
        try:
            (path / "images").mkdir()
            plan = _plan(record, lock, desk, path)
            work = Work(desk, plan, scratch)
            layout = _SameUpon if plan.layout.upon else _Same
            plan = replace(plan, layout=layout(options_of(images[0], work.run)))
            work = replace(work, plan=plan)
            made = steps.assemble(work, ground(plan, config, whole=True)).images[0]
            found = Proof(record, made["sha256"], other=tuple(_other(record, plan)))
            if found.sha256 != found.installed:
                with console.step("compare", "the files of both images"):
                    there = plan.place.images / made["file"]
                    different = compare(images, there, path)
                    # The copy of a record says what it lies on.
                    layered = len(images) > 1
                    counts = [d for d in different if not (layered and d.path == restoring.NAME)]
                    found = replace(found, differences=tuple(counts))
        except BaseException as error:
            desk.log.note(f"{type(error).__name__}: {error}")
            desk.log.settle()
            if isinstance(error, TykkyError):
                changed = [f"not what it was: {name}" for name in _changed(record)]
                error.details = (*error.details, *changed, f"the whole log: {log}")
            raise
        desk.log.remove()
    with contextlib.suppress(OSError):
        config.build_dir.rmdir()
    return found


def _images_of(record: Record) -> list[Path]:
    """The images of a generation, which are whole. Raises ``StoreError``."""
    if not record.has_module:
        cause = f"{record.prefix} was made by a classic command, which keeps no recipe"
        raise StoreError(cause, remedy="make it again by the same command", code=Exit.USAGE)
    if {*record.made_with} - {record.prefix}:
        cause = f"{record.title} was relocated together with what it needs"
        remedy = "what it was made with lies elsewhere by now: 'tykky install --force' builds anew"
        raise StoreError(cause, remedy=remedy)
    if not record.images:
        raise StoreError(f"{record.title} has no image", remedy="there is nothing to be compared")
    images = Place(Path(record.prefix)).images
    if wrong := wrong_image(images, record.originals):
        remedy = f"'tykky verify {record.title}' says what brings it back"
        raise StoreError(wrong, remedy=remedy, code=Exit.DAMAGED)
    return [images / each["file"] for each in record.originals]


def _lock_of(record: Record) -> locks.Lock:
    path = Place(Path(record.prefix)).generation(record.generation) / "lock.json"
    try:
        if (lock := locks.read(path)).digest == record.lock:
            return lock
        cause = f"{path} is not the lock that {record.title} was built from"
    except LockError as error:
        cause = f"{path} cannot be used: {error.cause}"
    raise StoreError(cause, remedy=f"'tykky verify {record.title}' tells more", code=Exit.DAMAGED)


def options_of(image: Path, run: Callable[[list[str]], str]) -> tuple[str, ...]:
    """The options of mksquashfs that an image was made with, as it says itself."""
    said = run([squash.program("unsquashfs"), "-stat", str(image)])
    compression = re.search(r"^Compression (\w+)", said, re.M)
    level = re.search(r"^\s+compression-level (\d+)", said, re.M)
    block = re.search(r"^Block size (\d+)", said, re.M)
    options = ["-comp", compression[1]] if compression else []
    options += ["-Xcompression-level", level[1]] if level else []
    return (*options, *(["-b", block[1]] if block else []))


def _plan(record: Record, lock: locks.Lock, desk: Desk, path: Path) -> Plan:
    """The plan by which a generation was built, as far as there still is what it names."""
    with desk.step("resolve") as line:
        repos = Repos([keeping.lay_out(record, path / "recipes")])
        needs = tuple(map(_needed, [record] * len(record.needs), record.needs))
        settled = Settled(lock, instead=record.instead)
        plan = plans.make(
            parse_one(record.spec), desk.config, repos, desk.store, line.update, settled=settled
        )
        made_at = Path(record.made_with.get(record.prefix, record.prefix))
        place = _Aside(made_at, path / "images")
        plan = replace(plan, place=place, module=record.module, needs=needs)
        line.update(f"{record.title}, {console.plural(len(lock.packages), 'package')}")
        line.tell(plan=plan)
    with desk.step("base") as line:
        base = _base(record, plan, desk)
        inputs = (plan.recipe, plan.arch, base, lock, needs, plan.beside)
        plan = replace(plan, base=base, build=plans.build_digest(*inputs))
        plans.check(plan)
        line.update(f"{plan.base.name} ({plan.base.id})")
    return plan


def _needed(record: Record, need: str) -> Record:
    prefix, _, number = need.rpartition("#")
    try:
        found = Place(Path(prefix)).record(int(number))
        if found.build == record.needed.get(need, found.build):
            return found
        cause = f"{need}, which {record.title} was built with, is not what it was"
    except StoreError as error:
        cause = f"{need}, which {record.title} was built with, is gone: {error.cause}"
    raise StoreError(cause, remedy="install that again as it was", code=Exit.NOT_FOUND)


def _base(record: Record, plan: Plan, desk: Desk) -> bases.Base:
    """The base that a generation was built in, whatever its name means now."""
    found, digest = plan.base, record.base.get("digest", "")
    if isinstance(found, bases.Pending):
        if found.reference.scheme == "stack":
            return stack_base(found.name, found.reference.target, desk.config, plan.needs[0])
        found = bases.provide(replace(found, digest=digest, locked=True), desk.config, console.note)
    if found.digest != digest:
        was = f"{record.base.get('name')} ({record.base.get('id')}, {digest[:16]})"
        cause = f"{record.title} was built in {was}, and {found.name} is {found.id} here"
        raise StoreError(cause, remedy="build it where that is", code=Exit.BASE)
    return found


def _other(record: Record, plan: Plan) -> list[str]:
    """What of the inputs is not what it was, in words."""
    found = [f"{name} is not what it was" for name in _changed(record)]
    if plan.build != record.build:
        made = f"{record.by.get('tykky')}, which has made {record.title}"
        found.append(f"this Tykky, or its configuration, asks for something else than {made}")
    return found


def _changed(record: Record) -> list[str]:
    """What a build has read outside of the recipe, and is not as it was."""
    return [name for name, was in record.read.items() if tree.manifest(Path(name)) != was]

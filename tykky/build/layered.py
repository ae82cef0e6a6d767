"""Building on the images of the current generation, so that only what changes is made.

The steps are the same, with the contents of that generation where they begin with nothing
otherwise; what they change is found by the kernel's overlay, and becomes a layer.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tykky
from tykky.build import plan as plans
from tykky.build.commands import are_plain
from tykky.build.updating import lock_of
from tykky.errors import StoreError, explained
from tykky.files import digest_file
from tykky.inventory import files as listed
from tykky.recipe import guarded
from tykky.recipe.source import PUBLISHED, assigned, is_recipe, recipe_source
from tykky.runtime.base import image_path
from tykky.store import Place, Record
from tykky.store.place import damaged, missing
from tykky.tools import layers, overlay
from tykky.tools.apart import apart
from tykky.tools.overlay import NoLayers
from tykky.tools.squash import settle

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.build.work import Work
    from tykky.config import Config

__all__ = ["NoLayers", "changed", "ground", "paths"]

_T = TypeVar("_T")
#: What of a recipe says only which packages there are, or changes nothing of what is built.
_OF_THE_LOCK = PUBLISHED | {"packages", "requirements", "pip", "environment", "test", "source"}
_OF_THE_LOCK |= {"snapshot", "bioconductor", "repositories"}
#: Which part of the images below may be new, in layers or to come, before all is built whole.
_SHARE = 0.25


def ground(plan: Plan, config: Config, *, whole: bool) -> Record | None:
    """The generation that a layer can and should be made on; ``None``: build ``whole``.

    It must be whole, of the same base and made by the same code, so that nothing but its packages
    can differ; and what changes must be little of it.
    """
    if plan.layout.upon:
        return plan.needs[0]
    if whole or not (config.layers.most and plan.layout.has_image and plan.place.current):
        return None
    # Its users may be where only Apptainer can mount, and that lays nothing over an image.
    if "apptainer" in (config.runtime, guarded(plan.recipe, "runtime")):
        return None
    with contextlib.suppress(StoreError, OSError):
        record = plan.place.record()
        images = record.images
        size = sum(image["bytes"] for image in images)
        if (
            # What lets images work elsewhere lies on top of all others.
            images == record.originals
            and size >= config.layers.above << 20
            and len(images) <= config.layers.most
            and size - images[0]["bytes"] <= _SHARE * size
            and not (missing(record) or damaged(record))
            and (plan.layout.changes or _differs_by_packages(plan, record))
        ):
            return record
    return None


def _differs_by_packages(plan: Plan, record: Record) -> bool:
    """Whether the contents of a generation of a recipe differ from a plan's by packages only.

    Raises ``TykkyError`` or ``OSError`` if that cannot be told.
    """
    recipe, cls = plan.recipe, type(plan.recipe)
    before = lock_of(record)
    there = {(package.name, package.sha256) for package in before.packages}
    new = [p.size for p in plan.lock.packages if (p.name, p.sha256) not in there]
    known = sum(package.size for package in before.packages)
    if (
        not recipe.layers
        or not are_plain(recipe)  # its links may lead to what goes
        or is_recipe(_owner(cls, "assemble"))
        or (_has_steps(cls) if recipe.whole is None else recipe.whole)
        or record.by.get("tykky") != tykky.__version__
        or record.kind != recipe.kind
        or record.arch != plan.arch
        or record.base.get("digest") != plan.base.digest
        or [*record.needed.values()] != [needed.build for needed in plan.needs]
        or before.asked.get("python") != plan.lock.asked.get("python")
        or sum(new) > _SHARE * known
    ):
        return False
    inputs = (recipe, plan.arch, plan.base, before, plan.needs, plan.beside)
    return plans.build_digest(*inputs) == record.build or _has_same_code(plan, record)


def _has_steps(cls: type) -> bool:
    """Whether a recipe does something to the contents, which it need not be able to do twice."""
    return any(is_recipe(_owner(cls, name)) for name in ("equip", "finish", "seal"))


def _owner(cls: type, name: str) -> type:
    return next(each for each in cls.__mro__ if name in vars(each))


def _has_same_code(plan: Plan, record: Record) -> bool:
    """Whether a recipe does what it did, but for the packages that it asks for."""
    classes = [each for each in type(plan.recipe).__mro__ if is_recipe(each)]
    kept = Place(Path(record.prefix)).generation(record.generation) / "recipe"
    if len(classes) != 1 or dict(record.choices) != dict(plan.recipe.choices):
        return False
    old = (kept / "recipe.py").read_bytes()
    beside = {path.name for path in (kept / "beside/0").glob("*")}
    named = [getattr(plan.recipe, key, "") for key in ("requirements", "environment")]
    parts = (each.values() if isinstance(each, Mapping) else [each] for each in named)
    read = {str(name) for names in parts for name in names}
    for name, digest in plan.beside.items():
        file = name.removeprefix("0/")
        if file not in read and digest_file(kept / "beside" / name) != digest:
            return False
    # What was linked under another name is not a package's, and would stay.
    same = has_plain_commands(old)
    same = same and beside - read == {name.removeprefix("0/") for name in plan.beside} - read
    return same and _code(old) == _code(recipe_source(classes[0]) or b"")


def has_plain_commands(text: bytes) -> bool:
    """Whether a recipe says itself that its commands are names in ``bin``."""
    classes = (each for each in ast.parse(text).body if isinstance(each, ast.ClassDef))
    for part in (part for each in classes for part in each.body):
        if "commands" in assigned(part):
            given = (ast.Yield, ast.YieldFrom, ast.Return)  # of a property
            values = [each.value for each in ast.walk(part) if isinstance(each, given)]
            try:
                names = [ast.literal_eval(each) for each in values or [part.value]]  # type: ignore[attr-defined, arg-type]
            except (ValueError, AttributeError):
                return False
            if any(isinstance(each, dict) or "/" in "".join(each) for each in names):
                return False
    return True


def _code(text: bytes) -> str:
    """A recipe without what its lock says as well, to be compared."""
    body = ast.parse(text).body
    for each in body:
        if isinstance(each, ast.ClassDef):
            each.body = [part for part in each.body if not _is_told(part)]
    return ast.dump(ast.Module(body, []))


def _is_told(part: ast.stmt) -> bool:
    if isinstance(part, ast.Assign):
        return all(isinstance(t, ast.Name) and t.id in _OF_THE_LOCK for t in part.targets)
    if isinstance(part, ast.AnnAssign):
        return isinstance(part.target, ast.Name) and part.target.id in _OF_THE_LOCK
    if isinstance(part, ast.FunctionDef):
        return part.name in _OF_THE_LOCK
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


def changed(work: Work, record: Record, make: Callable[[Work], _T]) -> _T:
    """What ``make`` gives, with the contents of a generation there to be changed.

    What it has changed is then in ``upper`` of the scratch directory's ``layer``, as a layer.
    Raises ``TykkyError``; ``NoLayers`` if it cannot be done here, or not so.
    """
    plan, desk, scratch = work.plan, work.desk, work.scratch
    images = [image_path(Path(record.prefix), image["file"]) for image in record.images]
    before = lock_of(record) if record.has_module else None

    def mount() -> overlay.Tree:
        return overlay.join(images, scratch.layer, scratch.top, work.config.server)

    def change(tree: overlay.Tree) -> tuple[_T, Mapping[str, Any]]:
        own = replace(work, scratch=replace(scratch, upper=tree.upper), before=before)
        made = make(own)
        with explained("see what has changed", "build_dir"):
            if plan.layout.settles:
                settle(tree.upper)
            layers.reduce(tree.upper, tree.below)
        found = {"steps": desk.clock.steps, "read": work.read, "fetched": work.fetched}
        return made, {**found, "layout": plan.layout.state()}

    scratch.layer.mkdir()
    desk.log.note(f"on top of {record.title}")
    try:
        made, found = apart(mount, change)
    except OSError as error:
        raise NoLayers(
            f"nothing can be mounted here ({error.filename}: {error.strerror})"
        ) from None
    desk.clock.steps[:] = found["steps"]
    work.read.update(found["read"])
    work.fetched.update(found["fetched"])
    vars(plan.layout).update(found["layout"])
    return made


def paths(plan: Plan, layer: Path) -> Iterator[str]:
    """The paths of the files of the current generation with a layer on top of it.

    Only those of the layer, if that lies on another stack.
    """
    if plan.layout.upon:
        return layers.paths_with(layer, ())
    record = plan.place.record()
    return layers.paths_with(layer, listed.own(plan.place.generation(record.generation), record))

"""One call of a classic command: from what it asks for to the pipeline."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import bases, console
from tykky.build import pipeline
from tykky.build.plan import Plan, check_path
from tykky.build.work import Desk
from tykky.compat import old, settings, wrapping
from tykky.compat.classic import Classic, read, warn
from tykky.compat.layout import ClassicLayout
from tykky.compat.settings import Values
from tykky.config import Config
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.host import expanded, real
from tykky.publish import LINKS, Publisher
from tykky.store import HIDDEN, Place, Record, Store
from tykky.text import drained
from tykky.tools.scratch import classic_folder

_ELSEWHERE = "give another directory: --prefix DIR"
#: What each program makes; only that is imported.
_KINDS = {
    "conda-containerize": "tykky.compat.conda:Conda",
    "pip-containerize": "tykky.compat.pip:Pip",
    "wrap-container": "tykky.compat.wrapped:Container",
    "wrap-install": "tykky.compat.wrapped:Disk",
}

if TYPE_CHECKING:
    from tykky.compat.programs import Asked


def run(program: str, asked: Asked) -> int:
    """Do what is asked of a program. Raises ``TykkyError``; then everything is as it was."""
    if os.environ.get("USE_COLOR", "yes") != "yes":
        os.environ["NO_COLOR"] = "1"
    if not asked.verb:
        cause = f"{program} is told neither to make a new installation nor to update one"
        remedy = f"'{program} new --help' and '{program} update --help' tell more"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    with contextlib.ExitStack() as stack:
        recipe, record = _change(program, asked, stack)
    old.retire(recipe)
    if recipe.level >= 2:
        console.note(_ready(recipe.prefix, record.commands))
    return Exit.OK


def _change(program: str, asked: Asked, stack: contextlib.ExitStack) -> tuple[Classic, Record]:
    """Have the pipeline make what is asked for; what the stack has is kept until it is made."""
    module, name = _KINDS[program].split(":")
    kind: type[Classic] = getattr(import_module(module), name)
    _set_pwd()
    config = Config.load({})
    for warning in config.warnings:
        console.warn(warning)
    user = _without_pipes(_wanted(kind, asked), stack)
    site, store = settings.read_site(), Store.of(config)
    verb = "update" if asked.verb == "update" else "new"
    if verb == "update":
        prefix = real(expanded(asked.prefix))
        old.find(prefix, kind)
    else:
        values = {**settings.merge(site, user), "update_installation": False}
        if not values.get("mask_wrap_install"):
            settings.settle_path(values)
        prefix = _prefix(values)
        recipe = kind(program, values, prefix, config)
        _check(recipe)

    def planned() -> tuple[Desk, Plan]:
        nonlocal recipe
        if verb == "update":
            before = old.find(prefix, kind)  # only now nobody else changes it
            values = settings.merge(site, old.inherit(prefix, before, user))
            values |= {**old.kept(prefix, before), "update_installation": True}
            recipe = kind(program, values, prefix, config, before)
            _check(recipe)
        return _plan(recipe, store)

    record = pipeline.change(prefix, store, Publisher(config, store), planned, verb)
    return recipe, record


def _wanted(kind: type[Classic], asked: Asked) -> Values:
    """The values of the options, and those of the user's own file."""
    user = kind.meant(asked.values, asked.verb)
    if not asked.file:
        return user
    more = settings.read_user(Path(asked.file))
    for key in settings.NO_EFFECT.keys() & more.keys():
        warn(f"'{key}' has no effect: {settings.NO_EFFECT[key]}")
    return {**user, **more} if asked.verb == "advanced" else {**more, **user}


def _set_pwd() -> None:
    """Let ``$PWD`` of configurations be this directory, whoever has started this and how."""
    here = Path.cwd()
    said = Path(os.environ.get("PWD", "/nonexistent"))
    if not said.is_dir() or not said.samefile(here):
        os.environ["PWD"] = str(here)


def _without_pipes(values: Values, stack: contextlib.ExitStack) -> Values:
    """Files in the place of what can be read only once, as ``<(...)`` of a shell."""

    def whole(name: str, key: str) -> str:
        path = expanded(name)
        if not path.is_fifo():
            return name
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tykky-"))
        target = Path(folder, key.replace("_", "-"))
        with explained(f"read {name}"):
            target.write_bytes(drained(path))
        return str(target)

    def each(key: str, value: Any) -> Any:
        if key in ("env_file", "requirements_file"):
            return whole(value, key)
        if isinstance(value, list):
            return [each(key, item) for item in value]
        is_file = isinstance(value, dict) and "file" in value
        return {"file": whole(value["file"], key)} if is_file else value

    return {key: each(key, value) for key, value in values.items()}


def _prefix(values: Values) -> Path:
    """Where it is installed, without links on the way."""
    return real(expanded(values["installation_prefix"]))


def _check(recipe: Classic) -> None:
    """Raise ``TykkyError`` if nothing can be installed, before anything is done."""
    recipe.examine()
    if recipe.is_bound and wrapping.environ_text(recipe):
        raise TykkyError(
            "commands that lie at their own path in the image cannot run something before they do",
            remedy="leave 'installation_path: prefix' out; or give variables with fixed values: "
            "'extra_envs: [{type: set, name: NAME, value: VALUE}]'",
            code=Exit.CONFIG,
        )
    prefix = there = recipe.prefix
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        cause = f"you may not install in {prefix}: {there} is not writable"
        raise TykkyError(cause, remedy=_ELSEWHERE, code=Exit.NOT_WRITABLE)
    check_path(prefix, _ELSEWHERE)
    if real(Place(prefix).hidden) == real(recipe.config.root):
        cause = f"{prefix} cannot be an installation: Tykky keeps all others in '{HIDDEN}' in it"
        raise StoreError(cause, remedy=_ELSEWHERE, code=Exit.CONFLICT)
    if (prefix / "common.sh").is_file() or recipe.old is not None:
        return
    if why_not := _obstacle(prefix, real(recipe.config.root)):
        cause, remedy = why_not
        raise StoreError(f"{prefix} {cause}", remedy=remedy, code=Exit.CONFLICT)


def _obstacle(prefix: Path, root: Path) -> tuple[str, str] | None:
    """What something else has to do with a directory, and the remedy; ``None`` if nothing."""
    own = [root / name for name in ("store", "db", "modules", "trash")]
    own += [
        above / name for above in prefix.parents for name in (HIDDEN, "bin") if Place(above).current
    ]
    if prefix == root or any(prefix.is_relative_to(folder) for folder in own):
        return "is within other installs", _ELSEWHERE
    place = Place(prefix)
    if place.current and not (place.generation() / LINKS).is_dir():
        return "is an install of a recipe", _ELSEWHERE
    # What somebody who was killed has left of ours is no obstacle.
    for name in () if place.hidden.is_dir() else ("bin", "share", "lib"):
        there = prefix / name
        shown = os.access(there, os.R_OK)
        inside = sorted(path.name for path in there.iterdir()) if there.is_dir() and shown else []
        if inside or there.is_file() or (there.exists() and not shown):
            what = f": {', '.join(inside[:3])}{' ...' if inside[3:] else ''}" if inside else ""
            # Programs of the installation would see their own in its place.
            remedy = f"move that away, 'mv {shlex.quote(str(there))} ELSEWHERE', or {_ELSEWHERE}"
            return f"has a '{name}' of something else in it{what}", remedy
    return None


def _plan(recipe: Classic, store: Store) -> tuple[Desk, Plan]:
    """What the pipeline is to make of a recipe. The claim of its prefix is held."""
    desk = Desk.of(_config(recipe), store, quiet=recipe.level < 2)
    with desk.step("resolve") as line:
        for name, path in recipe.inputs.items():
            line.update(name)
            read(path)  # who may not, should know now
        lock = recipe.settle(line.update)
        base = recipe.find_base(desk.config, bases.arch(), lock)
        line.update(f"{recipe.title} for {recipe.prefix}")
    place, module, layout = Place(recipe.prefix), f"{recipe.name}/1", ClassicLayout(recipe)
    plan = Plan(recipe, bases.arch(), base, lock, place, module, layout=layout)
    return desk, plan


def _config(recipe: Classic) -> Config:
    """The configuration, with what the classic one says of building."""
    config, values = recipe.config, recipe.values
    parent = classic_folder(values["build_tmpdir_base"])
    wanted = min(int(values.get("num_cpus", 0)), int(values.get("max_num_cpus", 1 << 16)))
    return replace(
        config,
        build_dir=recipe.workdir / parent,
        jobs=min(wanted or config.jobs, len(os.sched_getaffinity(0))),
    )


def _ready(prefix: Path, commands: Sequence[str]) -> str:
    """What to do with what is ready, by name if activation finds that."""
    folders = (os.environ.get("TYKKY_PATH") or "").split(":")
    name = prefix.name if str(prefix.parent) in folders else str(prefix)
    return (
        f"installed in {prefix}: {console.plural(len(commands), 'command')}\n"
        f"use it: tykky activate {shlex.quote(name)}\n"
        f'or:     export PATH="{prefix}/bin:$PATH"'
    )

"""Put Python packages of your own on top of a stack, as a stack of your own.

Only what the stack lacks is resolved and installed; nothing of it is copied, changed or replaced.
The result has its own module and all commands. It goes into the first configured root that you may
write to, and its recipe, of a few lines, into your recipe repository. Called again, it adds to the
packages; without any, it puts them on the stack as that is now.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tykky import console
from tykky import lock as locks
from tykky.bases.stacks import stack_base
from tykky.build import extending, pipeline
from tykky.build import plan as plans
from tykky.build.extending import Sheet
from tykky.build.work import Desk
from tykky.cli.common import Call, Result, flag, option, positional
from tykky.cli.holding import hold
from tykky.config import Config
from tykky.config.edit import put_first
from tykky.errors import Exit, LockError, SpecError, StoreError, TykkyError
from tykky.kinds.extension import shadowed
from tykky.repos import Repos
from tykky.spec import Spec, is_path, parse_one
from tykky.store import Record, Store, roots

if TYPE_CHECKING:
    from tykky.kinds.stack import Stack

EXAMPLES = """\
  tykky extend python-data whatshap                makes the module my-python-data
  tykky extend python-data 'pysam>=0.22'           adds to it
  tykky extend bio-tools --conda samtools          conda packages, on top of a conda stack
  tykky extend python-data/26.05 -r requirements.txt --name thesis
  tykky --root /projappl/abc/tykky extend python-data whatshap --name abc-python
  tykky update my-python-data                      the newest packages, on the stack as it is now
"""


class _Packages(argparse.Action):
    """One word or more, wherever they stand, or none: with '*', none may follow an option."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "nargs": "+", "required": False, "default": []})

    def __call__(self, parser: object, namespace: object, values: Any, option: object = "") -> None:
        setattr(namespace, self.dest, values)


ARGUMENTS = (
    positional("STACK", "what to extend: NAME[/VERSION], or a path"),
    (
        ("package",),
        {
            "help": "what to add, as pip writes it: whatshap, 'pysam>=0.22'",
            "metavar": "PACKAGE",
            "action": _Packages,
        },
    ),
    option(
        "-r",
        "--requirements",
        action="append",
        default=[],
        metavar="FILE",
        help="add what a file of requirements names; repeatable",
    ),
    option(
        "--conda",
        action="extend",
        nargs="+",
        default=[],
        metavar="PACKAGE",
        help="add conda packages, if the stack is one of conda",
    ),
    option("--name", metavar="NAME", help="what the result is called (default: my-STACK)"),
    flag("--allow-shadow", help="let packages hide those of the stack, where they have to"),
)


def run(call: Call) -> Result:
    """Write the recipe and install it, or leave everything as it was."""
    args = call.args
    wanted = extending.asked(args.package, [Path(file) for file in args.requirements])
    conda = extending.asked_of_conda(args.conda)
    stores = roots.searched(call.store)[0]
    record = extending.find(args.stack, stores)
    own = record.kind == extending.KIND and args.name in (None, record.name)
    name = args.name or (record.name if own else f"my-{record.name}")
    here = _where(call)
    extending.check_free(name, here.store)
    folder = extending.folder_for(name, here.config, call.repos.paths)
    with extending.written(folder, console.note) as (old, write):
        old = old or extending.kept(name, here.store)
        base = _base(args.stack, record, old, stores, own=own)
        sheet = extending.sheet_of(base, here.store, old, wanted, conda, shadows=args.allow_shadow)
        extending.check(base, name, conda=bool(sheet.conda))
        packages = stack_base(sheet.base, sheet.stack, here.config).packages
        there = [text for text in wanted if extending.is_there(text, packages)]
        for text in there:
            console.note(f"{base.title} has {text} already")
        if len(there) == len(sheet.packages) and not sheet.conda:
            raise SpecError(
                f"there is nothing to put on top of {base.title}",
                remedy="name packages that it lacks; its 'list-packages' lists what it has",
            )
        write(sheet.text(name))
        repos = Repos([*dict.fromkeys([folder.parent, *call.repos.paths])])
        names = [*map(extending.project, wanted), *map(extending.conda_name, conda)]
        was = extending.needs_of(name, sheet.versions, here.store)
        answer = _install(Spec(name, sheet.versions), names, packages, base, here, repos)
    file = folder / "recipe.py"
    hold(here.store.one(answer["prefix"]), here, was)
    console.note(f"its recipe is {file}")
    remember(call.config, here.config, folder.parent)
    module, where = answer["module"], shlex.quote(str(here.config.module_path))
    console.note(f"use it: tykky activate {module}, or module use {where}; module load {module}")
    return Result({**answer, "recipe": str(file)})


def _where(call: Call) -> Call:
    """This call on the root that the extension goes into."""
    root = extending.root_for(call.config)
    if root == call.config.root:
        return call
    own = str(root) if root else call.config.why("root")[0].raw  # as it is by default
    config = Config.load({**call.args.flags, "root": own})
    console.note(f"you may not install into {call.store.title}, so it goes into {config.root}")
    return Call(call.args, config)


def _base(
    words: str, record: Record, old: Sheet | None, stores: Sequence[Store], *, own: bool
) -> Record:
    """The stack that is extended: of what is there already, the one it is on if none is named."""
    if own and old is None:
        cause = f"the recipe of {record.module} is gone, or was changed by hand"
        remedy = "add the packages to it, and run 'tykky install'; or name the stack it is on"
        raise SpecError(cause, remedy=remedy)
    if old is None:
        return record
    if own:
        try:
            return extending.find(old.stack, stores)
        except StoreError as error:
            other = f"tykky extend {old.name}@VERSION --name {record.name}"
            error.remedy = f"put its packages on another version: {other}; 'tykky find' lists them"
            raise
    if old.name != record.name:
        cause = f"there is an extension of that name already, of {old.stack}"
        raise SpecError(cause, remedy="choose another name: --name NAME", code=Exit.CONFLICT)
    if not is_path(words) and parse_one(words).version is None:
        with contextlib.suppress(StoreError):  # what it is on may be gone
            record = extending.find(old.stack, stores)
    return record


def _install(
    spec: Spec,
    names: Sequence[str],
    packages: Mapping[str, str],
    base: Record,
    call: Call,
    repos: Repos,
) -> dict[str, Any]:
    """Resolve, build and publish it; ``packages`` are those of the stack below."""
    config, store = call.config, call.store
    desk = Desk.of(config, store, spec, quiet=False)
    with desk.step("resolve") as line:
        recipe = cast("Stack", repos.select(spec))
        place = store.place(recipe.name, f"{recipe.version}{recipe.suffix}")
        settled, old = extending.settled(recipe, config, place, names)
        if not settled.lock.packages:
            raise SpecError(
                f"there is nothing to put on top of {base.title}",
                remedy="name packages that it lacks; its 'list-packages' lists what it has",
            )
        plan = plans.make(spec, config, repos, store, line.update, settled=settled)
        count = console.plural(len(plan.lock.packages), "package")
        line.update(f"{plan.module}: {count} on top of {base.title}")
        line.tell(plan=plan)
    change = locks.compare(old or replace(plan.lock, packages=()), plan.lock)
    for text in change.lines():
        console.note(f"    {text}")
    hidden = shadowed(plan.lock.packages, packages)
    for name, before, after in hidden:
        console.warn(f"{name} {after} hides {name} {before} of {base.title}")
    outcome = pipeline.carry_out(desk, plan, call.publisher, verb="extend")
    if (path := locks.path_of(recipe, plan.arch)).is_file():  # it was for fewer packages
        try:
            locks.write(plan.lock, path)
        except LockError as error:
            console.warn(f"{error.cause}: 'tykky lock {spec}' makes it anew")
    made = outcome.record
    console.note(
        f"{made.title} is on top of {base.title}, {console.size(made.bytes)}: {made.prefix}"
    )
    return {
        "did": outcome.did,
        "module": made.module,
        "generation": made.generation,
        "prefix": made.prefix,
        "base": base.title,
        "added": dict(change.added),
        "removed": dict(change.removed),
        "changed": dict(change.changed),
        "shadowed": {name: [before, after] for name, before, after in hidden},
    }


def remember(before: Config, config: Config, repository: Path) -> None:
    """Let the user's configuration name what 'tykky update' and 'activate' are to find."""
    items = {"repos": str(repository)} if repository not in before.repos else {}
    is_known = config.root in (before.root, *dict(before.roots).values())
    if not is_known:  # nor was it named by --root
        items["roots"] = f"mine={config.root}"
    for key, item in items.items():
        try:
            path = put_first(key, item)
            console.note(f"added {item} to '{key}' in {path}")
        except TykkyError as error:
            console.warn(f"{error.cause}; {error.remedy}")
    origin = Config.load().origin("repos")
    if "repos" in items and origin.scope == "environment":
        console.warn(f"{origin.place} still wins: add {repository} there for 'tykky update'")

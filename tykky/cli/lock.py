"""Resolve a recipe's packages and write the lock beside it.

The lock names every package with version, file and digest. Installs take exactly what it
says, so that a stack can be built again years later, or on another machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tykky import bases, console
from tykky import lock as locks
from tykky.build import locking
from tykky.cli.common import (
    Call,
    Result,
    check_named,
    flag,
    listed,
    option,
    selected,
    specs,
    specs_of,
)
from tykky.config import Config
from tykky.errors import Exit, LockError, TykkyError

if TYPE_CHECKING:
    from tykky.kinds.stack import Stack

EXAMPLES = """\
  tykky lock python-data                   the default version and choices
  tykky lock --all python-data             every version and every combination of choices
  tykky lock --arch aarch64 python-data    for another architecture
  tykky lock --list builds/site.yaml       all that a list names, for each of its architectures
  tykky lock --check python-data           only say what would change
"""

ARGUMENTS = (
    specs("what to lock", "*"),
    option("--list", metavar="FILE", help="what a stack list names, for its architectures"),
    flag("--all", help="every version and choice of the recipes named"),
    option(
        "--arch",
        action="append",
        choices=("x86_64", "aarch64"),
        help="the architecture (default: this machine's; may be repeated)",
    ),
    flag("--check", help="write nothing; exit 27 if it differs"),
)


def run(call: Call) -> Result:
    """Write locks and say what changed in each."""
    args, repos = call.args, call.repos
    check_named(call)
    chosen: list[tuple[Stack, str, Config]] = []
    archs = args.arch or [bases.arch()]
    for wanted in listed(call):
        recipe = cast("Stack", repos.select(wanted.spec))
        config = Config.load({**args.flags, **wanted.settings})
        chosen += [(recipe, arch, config) for arch in args.arch or wanted.arch or archs]
    for spec in specs_of(args.spec) if args.spec else ():
        found = selected(repos, spec.name) if args.all else [cast("Stack", repos.select(spec))]
        chosen += [(recipe, arch, call.config) for recipe in found for arch in archs]
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    for each in chosen:
        try:
            answers.append(make(*each, write=not args.check))
        except TykkyError as error:
            if not args.list:
                raise
            console.error(error)  # of forty stacks, the others are to have their locks
            errors.append(error)
    differs = args.check and any(answer["changed"] for answer in answers)
    code = errors[0].code if errors else Exit.LOCK if differs else Exit.OK
    return Result(answers, code=code, errors=tuple(errors))


def make(recipe: Stack, arch: str, config: Config, *, write: bool) -> dict[str, Any]:
    """Resolve one recipe, say what is new in its lock, and write that if so asked."""
    path = locks.path_of(recipe, arch)
    old = None
    if path.exists():
        try:
            old = locks.read(path)
        except LockError as error:
            if not write:
                raise
            console.warn(f"{error.cause}; it is made anew")
    with console.step("lock", f"{recipe.spec} for {arch}") as line:
        new = locking.fresh_lock(recipe, config, arch)
        difference = locks.compare(old, new) if old else None
        changed = old is None or old.digest != new.digest
        if changed and write:
            locks.write(new, path)
        state = "new" if old is None else "changed" if changed else "unchanged"
        count = console.plural(len(new.packages), "package")
        line.update(f"{recipe.spec} for {arch}: {count}, {state}")
    for text in difference.lines() if difference else ():
        console.note(f"    {text}")
    about = {"spec": str(recipe.spec), "arch": arch, "file": path}
    return {**about, "packages": len(new.packages), "changed": changed}

"""Write a recipe: one to fill in, or one made of what you have.

What --from names is recognised by its name and content: files of requirements and locks, a
project, an environment, a container or its file, a directory, an install. Nothing of it is
run. The recipe goes into the first of your repositories, with the files it needs beside it; its
packages are locked and it is audited. What cannot be carried over is named, here and in the recipe.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tykky import bases, console
from tykky.bring import drafts, formats, imports, python, writing
from tykky.bring.found import Found, Left
from tykky.cli import audit, lock
from tykky.cli.common import Call, Result, flag, option, positional
from tykky.cli.extend import remember
from tykky.errors import Exit, TykkyError, has_secret
from tykky.lock import asked_names, path_of
from tykky.lock import read as read_lock
from tykky.repos import Repos
from tykky.repos.loading import RECIPE_FILE
from tykky.spec import Spec, parse_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tykky.kinds.stack import Stack

EXAMPLES = """\
  tykky create lab --from requirements.txt
  tykky create lab@26.11 --from ~/venvs/lab         the packages of an environment, as they are
  tykky create samtools --from docker://quay.io/biocontainers/samtools:1.21--h50ea8bc_0
  tykky create lab --from pyproject.toml --dry-run  only show the recipe
  tykky create lab --kind container                 a recipe to fill in
"""

ARGUMENTS = (
    positional("NAME", "what the stack is called: NAME[@VERSION]"),
    option(
        "--from",
        dest="source",
        metavar="X",
        help="what to make it of: a file, a directory, an environment, docker://...",
    ),
    option("--format", metavar="NAME", help="what that is, if it cannot be told by looking"),
    option("--kind", choices=writing.KINDS, help="of a recipe to fill in (default: pip)"),
    option("--repo", metavar="DIR", help="the repository (default: the first that is yours)"),
    flag("--no-lock", help="leave locking and the audit to later"),
    flag("--dry-run", help="show the recipe and write nothing"),
)


def run(call: Call) -> Result:
    """Write the recipe, lock and audit it, and tell what is not in it."""
    args = call.args
    spec = parse_one(args.name)
    if spec.choices:
        remedy = "write NAME or NAME@VERSION; variants are for the recipe to declare"
        raise TykkyError("a new recipe has no variants yet", remedy=remedy, code=Exit.USAGE)
    if args.source is None and args.format:
        remedy = "name what it is made of: --from X"
        raise TykkyError("--format is about what --from names", remedy=remedy, code=Exit.USAGE)
    if args.source is not None and args.kind:
        remedy = "the kind follows from what it is made of: leave --kind out"
        raise TykkyError("--kind is for a recipe to fill in", remedy=remedy, code=Exit.USAGE)
    repo = drafts.repository(call.config, args.repo or "")
    drafts.check_free(repo, spec.name)
    if args.source is None:
        text = writing.template(args.kind or "pip", spec.name, spec.version or "")
        return _put(call, spec, repo, text, None)
    given = args.format or ""
    format, found = formats.read(args.source, call.config, given, spec.name, console.note)
    console.note(f"{args.source} is {formats.told()[format]}")
    return _put(call, spec, repo, writing.recipe(spec.name, found, spec.version or ""), found)


def _put(call: Call, spec: Spec, repo: Path, text: str, found: Found | None) -> Result:
    """Write the recipe; answer with what there is then."""
    file = repo / spec.name / RECIPE_FILE
    files, left = (found.files, found.left) if found else ({}, ())
    contents = {k: each.decode(errors="replace") for k, each in files.items()}
    for name, content in {RECIPE_FILE: text, **contents}.items():
        if line := next(
            (n for n, t in enumerate(content.split("\n"), 1) if has_secret(t, name)), 0
        ):
            cause = f"the recipe {spec.name} would have a password, token or key in it"
            cause += f" ({name}, line {line})"
            remedy = "take it out of what the recipe is made of: a recipe is for everybody"
            raise TykkyError(cause, remedy=remedy, code=Exit.CONFLICT)
    value: dict[str, Any] = {
        "recipe": str(file),
        "kind": found.kind if found else "",
        "files": sorted(files),
    }
    value |= {"left": [vars(each) for each in left], "locked": False}
    if call.args.dry_run:
        _tell(left)
        return Result({**value, "text": text}, lambda: _show(text, file, files))
    problem: TykkyError | None = None
    with drafts.draft(repo, spec.name) as draft:
        draft.write(text, files)
        recipe = cast("Stack", Repos([draft.top]).select(spec))
        if found is not None and not call.args.no_lock:
            try:
                _lock(recipe, found, spec, draft, call)
            except TykkyError as error:
                problem = draft.moved(error)
        draft.publish()
    console.note(f"wrote {file}")
    _tell(left)
    _tell_of_repository(call, spec, repo)
    if problem is not None:
        problem.remedy += f"; the recipe is there: correct it, then 'tykky lock {spec.name}'"
        raise problem
    if found is not None and not call.args.no_lock:
        repos = Repos([*dict.fromkeys([repo, *call.config.repos])])
        audit.visit(cast("Stack", repos.select(spec)), call.config, console.warn)
        console.note(f"audited {spec.name}")
        value["locked"] = True
    filled = f"tykky edit {spec.name}, then tykky lock {spec.name}"
    console.note(f"next: {filled if found is None else f'tykky install {spec.name}'}")
    return Result(value)


def _lock(recipe: Stack, found: Found, spec: Spec, draft: drafts.Draft, call: Call) -> None:
    """Lock it; and let its test import what was asked for, now that it is known what that is."""
    lock.make(recipe, bases.arch(), call.config, write=True)
    if found.kind == "PipStack":
        made = read_lock(path_of(recipe, bases.arch()))
        if names := imports.modules(made, asked_names(made), call.config):
            found = replace(found, tests=python.tests((), names))
            draft.write(writing.recipe(spec.name, found, spec.version or ""), {})


def _tell_of_repository(call: Call, spec: Spec, repo: Path) -> None:
    """Let the configuration know the repository, and tell if others have the same name."""
    known = call.config.repos
    if repo not in known and call.args.repo:
        remedy = f"tykky repo add {shlex.quote(str(repo))}"
        console.warn(f"{repo} is no configured repository: {remedy}")
    elif repo not in known:
        remember(call.config, call.config, repo)
    others = [path for path in known if path != repo and (path / spec.name / RECIPE_FILE).exists()]
    if others and repo in known:
        first = known.index(repo) < known.index(others[0])
        does = "hides that of" if first else "is hidden by that of"
        console.warn(f"the recipe {spec.name} {does} the repository {others[0]}")


def _tell(left: Sequence[Left]) -> None:
    """Tell what is not in the recipe."""
    if left:
        count = console.plural(len(left), "thing")
        console.warn(f"{count} {writing.LEFT.lower()}, which the recipe says as well:")
        for each in left:
            what, why = writing.parts(each)
            console.note(f"  {what}\n    {why}")


def _show(text: str, file: Path, files: Mapping[str, bytes]) -> None:
    """Print what would be written."""
    console.say(f"# {file}")
    console.say(text.rstrip("\n"))
    for name, content in sorted(files.items()):
        console.say(f"\n# {file.parent / name}")
        console.say(content.decode(errors="replace").rstrip("\n"))

"""Build a stack, test it, and publish its module.

What is installed already as it would be now is left as it is. A change of the recipe, its lock,
its files or its base makes a new generation at the same place: what runs keeps the one it has. A
failure leaves everything as it was and keeps the build log.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from tykky import console
from tykky.build import pipeline, together
from tykky.build import plan as plans
from tykky.cli import building
from tykky.cli.common import Call, Result, check_named, flag, option, specs, specs_of
from tykky.doctor.places import others
from tykky.errors import Exit, TykkyError
from tykky.exchange.taking import Taker
from tykky.lists import difference
from tykky.spec import Spec
from tykky.store import state

EXAMPLES = """\
  tykky install fireworks                      the first version, all defaults
  tykky install python-data@26.11 ~jupyter     a version, without a variant
  tykky install python-data/26.11              the same version, as modules are named
  tykky install --plan python-data +jupyter    only say what would be done, step by step
  tykky install --force python-data            build it again, though nothing has changed
  tykky install --keep-going a b c             go on with the others if one fails
  tykky install --root /appl/stacks snakemake  into another root
  tykky install --list builds/site.yaml        what a list names and is not there
  tykky install --list builds/site.yaml --slurm --keep-going       in jobs, a stack each
"""

#: What was done, for people.
_DID = {
    "nothing": "{0} is installed already: {1}",
    "switched": "switched to {0}, which was there already: {1}",
    "published": "published {0}, with the contents it had: {1}",
    "taken": "installed {0} as it was built elsewhere: {1}",
}
#: What a plan says of what is there.
_STATE = {
    "first": "{0}",
    "nothing": "installed already, as {0}",
    "switch": "{0}; what is wanted was built already",
    "publish": "{0}; a new generation would have the same contents",
    "build": "{0}; it would be built anew",
}

ARGUMENTS = (
    specs("what to install", "*"),
    option("--list", metavar="FILE", help="install what a stack list names and is not there"),
    flag("--plan", help="show each step's commands, and do nothing"),
    flag("--force", help="build a new generation, though nothing has changed"),
    flag("--full", help="build all of it anew, and not as a layer on what there is"),
    flag("--testing", help="hide what is new until 'tykky hide --undo': it is to be tested"),
    flag("--keep-going", help="go on with the next spec if one fails"),
    *building.ENGINE,
)


def run(call: Call) -> Result:
    """Install, or plan, each spec in turn."""
    args = call.args
    check_named(call)
    if args.list:
        return _list(call)
    if args.slurm or args.jobs or args.dry_run:
        cause = "--slurm, --jobs and --dry-run are for lists"
        remedy = "name one with --list; '--plan' tells what installing a spec would do"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    wanted = specs_of(args.spec)
    if (verdict := others(call.config))[0] != "ok":
        console.warn(f"others may change what is installed: {'; '.join(verdict[1:])}")
    if len(wanted) > 1 and not args.keep_going:
        with console.step("check", console.plural(len(wanted), "spec")) as line:
            together.check(wanted, call.config, call.repos, call.store, line.update)
            line.update(console.plural(len(wanted), "spec"))
    for spec in wanted:
        try:
            answers.append(_plan(spec, call) if args.plan else _install(spec, call))
        except TykkyError as error:
            if not args.keep_going:
                raise
            console.error(error)
            errors.append(error)
            answers.append({"spec": str(spec), "did": "failed", "cause": error.cause})
    code = errors[0].code if errors else 0

    def show() -> None:
        for answer in answers:
            if answer["did"] == "planned":
                _show_plan(answer)
        if args.keep_going and not args.plan and len(answers) > 1:
            # One line for each, so that nobody searches for what failed.
            rows = [(a["did"], a.get("module", a["spec"]), a.get("cause", "")) for a in answers]
            console.table(rows, ("DID", "WHAT", "WHY"))

    return Result(answers, show, code, tuple(errors))


def _list(call: Call) -> Result:
    args = call.args
    if args.spec or args.plan:
        cause = "a list says itself what is installed, and --dry-run shows that"
        raise TykkyError(cause, remedy="give it without specs and --plan", code=Exit.USAGE)
    path, rows = building.looked(call, args.list, far=args.slurm)
    work = building.Work(path, rows, [], [], [])
    if args.dry_run:
        return building.looked_only(work, prune=False)
    if work.problems and not args.keep_going:
        raise work.problems[0]
    words = [name for name in ("--force", "--full", "--testing") if getattr(args, name[2:])]
    for row in rows if args.testing else ():
        if row.does == "nothing":
            _warn_of_shown(row.module, difference.marks_of(row))
    return building.answer(work, building.build(call, work, tuple(words)))


def _warn_of_shown(module: str, marks: Collection[str]) -> None:
    """Say that --testing hides only what is new."""
    if state.HIDDEN not in marks:
        console.warn(f"{module} is not hidden, as it was before: 'tykky hide --testing {module}'")


def _install(spec: Spec, call: Call) -> dict[str, Any]:
    config, repos, force = call.config, call.repos, call.args.force
    recipe = repos.select(spec)
    if recipe.deprecation:
        console.warn(f"{recipe.spec} is deprecated: {recipe.deprecation}")
    taker = Taker.of(config, call.store, call.publisher)
    how = {"force": force, "whole": call.args.full}
    outcome = pipeline.install(spec, config, repos, call.store, call.publisher, taker=taker, **how)
    record = outcome.record
    if outcome.did in _DID:
        console.note(_DID[outcome.did].format(record.title, record.prefix))
    else:
        taken = console.duration(sum(step.seconds for step in record.steps))
        console.note(
            f"installed {record.title} in {taken}: {record.files} files and folders and "
            f"{console.plural(len(record.commands), 'command')}, {console.size(record.bytes)}"
        )
    if state.RETIRED in record.marks:
        console.warn(f"it is retired, so nobody can load it: 'tykky retire --undo {record.module}'")
    elif call.args.testing and outcome.did == "nothing":
        _warn_of_shown(record.module, record.marks)
    folder = shlex.quote(str(config.module_path))
    console.note(f"use it: module use {folder}; module load {record.module}")
    return {"did": outcome.did, **asdict(record)}


def _plan(spec: Spec, call: Call) -> dict[str, Any]:
    plan = plans.make(spec, call.config, call.repos, call.store, console.note, look_only=True)
    does = plans.foresee(plan)
    if does == "build":
        plans.check(plan)
    steps = plans.rehearse(plan, call.config, does)
    current = f"#{plan.place.current}" if plan.place.current else "not installed"
    return {
        "spec": str(plan.recipe.spec),
        "did": "planned",
        "prefix": plan.prefix,
        "module": plan.module,
        "build": plan.build,
        "installed": plan.place.current > 0,
        "does": does,
        "state": _STATE[does if plan.place.current else "first"].format(current),
        "steps": [{"name": n, "does": lines} for n, lines in steps],
    }


def _show_plan(answer: dict[str, Any]) -> None:
    console.say(answer["spec"])
    place, module, state = answer["prefix"], answer["module"], answer["state"]
    console.table([("  place", place), ("  module", module), ("  state", state)])
    for step in answer["steps"]:
        console.say(step["name"])
        for line in step["does"] or ["nothing to do"]:
            console.say("    " + line.replace("\n", "\n    "))

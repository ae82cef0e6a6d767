"""Build a stack, test it, and publish its module.

What is installed already is left as it is. A failure leaves the store as it was and keeps
the build log.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import Any

from tykky import console
from tykky.build import plan as plans
from tykky.build.steps import Outcome, install
from tykky.cli import common
from tykky.config import Config
from tykky.errors import StoreError
from tykky.repos import Repos
from tykky.spec import Spec
from tykky.store import Store

EXAMPLES = """\
  tykky install fireworks                     the first version, all defaults
  tykky install python-data@26.11 ~jupyter    a version, without a variant
  tykky install python-data/26.11             the same version, as modules are named
  tykky install --plan python-data +jupyter   only say what would be done, step by step
  tykky install --root /appl/tykky snakemake  into another root
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Specs, and whether to do it or to say it."""
    common.add_specs(parser, many=True, what="what to install")
    parser.add_argument(
        "--plan", action="store_true", help="show each step's commands, and do nothing"
    )
    common.add_json(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Install, or plan, each spec in turn."""
    repos, store = common.repos_of(config), Store.of(config)
    specs = common.specs_of(args.spec)
    if args.plan:
        answers = [_plan(spec, config, repos, store, shown=not args.json) for spec in specs]
    else:
        answers = [_install(spec, config, repos, store) for spec in specs]
    if args.json:
        console.json_out(answers)
    return 0


def _install(spec: Spec, config: Config, repos: Repos, store: Store) -> dict[str, Any]:
    recipe = repos.select(spec)
    if recipe.deprecation:
        console.warn(f"{recipe.spec} is deprecated: {recipe.deprecation}")
    outcome = install(spec, config, repos, store)
    _tell(outcome, config)
    return {"was_there": outcome.was_there, **asdict(outcome.record)}


def _tell(outcome: Outcome, config: Config) -> None:
    record = outcome.record
    if outcome.was_there:
        console.note(f"{record.module} is installed already: {record.prefix}")
    else:
        taken = console.duration(sum(step.seconds for step in record.steps))
        console.note(
            f"installed {record.module} in {taken}: {record.files} files and folders and "
            f"{console.plural(len(record.commands), 'command')}, "
            f"{console.size(record.image['bytes'])}"
        )
    folder = shlex.quote(str(config.module_path))
    console.note(f"use it: module use {folder}; module load {record.module}")


def _plan(spec: Spec, config: Config, repos: Repos, store: Store, *, shown: bool) -> dict[str, Any]:
    plan = plans.make(spec, config, repos, store, console.note)
    there = store.committed(plan.prefix) is not None
    state = "installed already" if there else "not installed"
    if not there:
        try:
            plans.check_name(plan, config, store)
        except StoreError as clash:
            state = f"cannot be installed: {clash.cause}"
        plans.check(plan, config, store)
    steps = plans.rehearse(plan, config)
    if shown:
        console.say(f"{plan.recipe.spec}")
        console.table(
            [
                ("  prefix", plan.prefix),
                ("  module", plan.module_file),
                ("  state", state),
            ]
        )
        for name, lines in steps:
            console.say(name)
            for line in lines or ["nothing to do"]:
                console.say("    " + line.replace("\n", "\n    "))
    return {
        "spec": str(plan.recipe.spec),
        "hash": plan.hash,
        "prefix": plan.prefix,
        "module": plan.module,
        "installed": there,
        "state": state,
        "steps": [{"name": name, "does": lines} for name, lines in steps],
    }

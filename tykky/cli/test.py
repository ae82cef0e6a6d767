"""Run the tests of recipes on what is installed, as the user who calls, and show a table.

Each is the test that the recipe had when the stack was built. It runs in an empty folder, with your
environment and what the module sets; so it also finds what of your own, or of this node, is in the
way. With --srun or --sbatch, all of it happens on a compute node, and is waited for. The exit code
is 15 if one fails.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from tykky import console
from tykky.build.proving import Trial, try_out
from tykky.cli.common import Call, Result, flag, option, place_of, positional
from tykky.errors import Exit, StoreError, TykkyError, told
from tykky.publish import session
from tykky.store import Record

EXAMPLES = """\
  tykky test python-data
  tykky test python-data/26.11#6 snakemake    an earlier generation, and another stack
  tykky test --all                            all that is installed
  tykky test --all --srun='-p small -t 30'    on a compute node
  tykky test gromacs --sbatch='-p gpu --gres=gpu:1 -t 10'
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], paths", "*"),
    flag("--all", help="all installs of the store"),
    option("--srun", metavar="OPTIONS", help="as a task of srun, which gets these options"),
    option("--sbatch", metavar="OPTIONS", help="as a batch job, from this directory"),
)


def run(call: Call) -> Result:
    """A line for each; exit 15 if one has failed."""
    args = call.args
    if bool(args.install) == args.all:
        remedy = "name them, or give --all (and not both)"
        raise StoreError("nothing says which installs to test", remedy=remedy, code=Exit.USAGE)
    if args.srun is not None and args.sbatch is not None:
        raise TykkyError("--srun and --sbatch exclude each other", code=Exit.USAGE)
    if args.srun is not None or args.sbatch is not None:
        answers = _in_job(call)
    else:
        answers = [_answer(trial) for trial in _here(call)]
    failed = [answer for answer in answers if answer["result"] == "failed"]

    def show() -> None:
        rows = [
            (a["title"], a["result"], f"{a['seconds']:.1f} s", a["node"], a["cause"])
            for a in answers
        ]
        console.table(rows, ("INSTALL", "TEST", "TIME", "NODE", ""))
        for answer in failed:
            console.note(f"{answer['title']}: {answer['cause']}")
            for said in answer["details"]:
                console.note(f"  {said}")
        good = sum(answer["result"] == "ok" for answer in answers)
        console.note(f"{good} of {console.plural(len(answers), 'install')} passed")

    errors = tuple(_error(answer) for answer in failed)
    return Result(answers, show, Exit.TEST if failed else Exit.OK, errors)


def _here(call: Call) -> list[Trial]:
    if call.args.all:
        names = [(call, entry.prefix) for entry in call.store.open_entries()]
        call.warn_of_unreadable()
    else:
        names = [(call.having(n.partition("#")[0]), n) for n in dict.fromkeys(call.args.install)]
        for there, name in names:
            there.store.one(name.partition("#")[0])  # all are known before the first begins
    trials = []
    for there, name in names:
        with console.step("test", name) as line:
            trial = _try(there, name)
            line.update(f"{trial.title}: {trial.result}")
        trials.append(trial)
    return trials


def _try(call: Call, name: str) -> Trial:
    record: Record | None = None
    try:
        record = call.store.generation(name)
        call.store.check_outside(place_of(record).prefix)
        return try_out(record, session.variables(record, os.environ), call.config)
    except (TykkyError, OSError) as error:
        if not call.args.all and record is None:
            raise
        title = record.title if record else name
        return Trial(title, "failed", 0.0, "", told(error, f"test {title}"))


def _answer(trial: Trial) -> dict[str, Any]:
    error = trial.error
    facts = {key: getattr(trial, key) for key in ("title", "result", "seconds", "node")}
    return facts | {
        "cause": error.cause if error else "",
        "details": list(error.details) if error else [],
    }


def _error(answer: dict[str, Any]) -> TykkyError:
    cause = f"{answer['title']}: {answer['cause']}"
    return TykkyError(cause, code=Exit.TEST, details=tuple(answer["details"]))


def _in_job(call: Call) -> list[dict[str, Any]]:
    """The answers of the same verb in a job."""
    from tykky.tools import slurm

    args = call.args
    program = shutil.which(sys.argv[0]) or sys.argv[0]
    settings = [word for key, value in args.flags.items() for word in ("-c", f"{key}={value}")]
    words = [os.path.abspath(program), *settings, "test", "--json"]  # noqa: PTH100 - a link stays
    words += ["--all"] if args.all else ["--", *args.install]
    console.note(f"as a job: {shlex.join(words)}")
    if args.srun is not None:
        said = slurm.through_srun(args.srun, words)
    else:
        said = slurm.through_sbatch(args.sbatch, words, Path.cwd())
    try:
        found = json.loads(said)
        for error in found["errors"] if found["result"] is None else ():
            where = "in the job: " + error["cause"]
            raise TykkyError(where, remedy=error["remedy"], code=Exit(error["code"]))
        answers: list[dict[str, Any]] = found["result"]
    except (ValueError, KeyError, TypeError):
        cause = "what the job has answered cannot be understood"
        raise TykkyError(cause, details=tuple(said.splitlines()[-6:])) from None
    return answers

"""Tell of the builds of stack lists: what becomes of each, on which node, where the logs are.

Without a number all are listed, the latest first. With --follow it is waited for, as the command
does that has begun it; those who go away miss nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tykky import console
from tykky.cli import building
from tykky.cli.common import Call, Result, flag, option, positional
from tykky.config import Config
from tykky.errors import Exit, StoreError, ToolError
from tykky.host import host_name, user_name
from tykky.lists import batch, runs
from tykky.lists.runs import Run, Runs
from tykky.store import Store
from tykky.tools import slurm

EXAMPLES = """\
  tykky builds                 all that are known
  tykky builds 7               the table of one
  tykky builds --follow        wait for the latest that is under way
  tykky builds 7 --cancel      end its jobs
"""

ARGUMENTS = (
    positional("NUMBER", "the run, as its command has said", "?"),
    flag("--follow", help="wait until it has ended, and tell what becomes of each"),
    flag("--cancel", help="end what is under way; what is built stays"),
    option(
        "--task",
        nargs=2,
        metavar=("FOLDER", "NUMBER"),
        help="do one build of a run, as its jobs do",
    ),
)


#: More tasks of all runs than are looked at for the list of them.
_MANY = 20_000


def run(call: Call) -> Result:
    """List the runs, or tell of one, follow it, cancel it."""
    args = call.args
    if args.task:
        return _task(call, *args.task)
    known = Runs(call.config.builds_dir, Store.of(call.config).permissions)
    if args.number is None and not (args.follow or args.cancel):
        return _all(known)
    chosen = _chosen(known, args.number)
    if args.cancel:
        return _cancel(known, chosen)
    results = _followed(known, chosen) if args.follow else _results(known, chosen)
    ordered = [results[task.number] for task in chosen.tasks]
    ended = [r for r in ordered if batch.is_over(r)]
    errors = building.errors_of(ended) if args.follow else ()
    value = [
        {"module": task.module, "root": task.root, "arch": task.arch, **asdict(result)}
        for task, result in zip(chosen.tasks, ordered, strict=True)
    ]
    titles = building.titled([(task.module, task.arch) for task in chosen.tasks])
    code = errors[0].code if errors else Exit.OK
    return Result(value, lambda: building.table(titles, ordered), code, errors)


def _all(known: Runs) -> Result:
    rows, facts = [], []
    answers: _Answers = {}
    looked = 0
    for each in known.all():
        looked += len(each.tasks)
        if looked > _MANY:
            console.warn(f"runs before {each.number + 1} are not shown: they have too many tasks")
            break
        states = [r.state for r in _results(known, each, answers).values()]
        told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        facts.append({**asdict(each), "tasks": len(each.tasks), "states": states})
        where = "Slurm" if each.engine == "slurm" else each.host
        rows.append((each.number, each.when, each.user, where, Path(each.list).name, told))

    def show() -> None:
        if rows:
            console.table(rows, ("RUN", "BEGUN", "BY", "WHERE", "LIST", "STATES"))
        else:
            console.note(f"no builds are known in {known.folder}")

    return Result(facts, show)


_NOBODY = ""
#: What the batch system tells of the jobs of users; of nobody's once it has not answered.
_Answers = dict[str, Mapping[str, slurm.Job] | None]


def _asked(user: str, answers: _Answers) -> Mapping[str, slurm.Job] | None:
    """What the batch system tells of a user's jobs; nothing where there is none."""
    if user not in answers and _NOBODY not in answers:
        try:
            answers[user] = slurm.jobs(user, console.note)
        except ToolError:
            answers[_NOBODY] = None
        except slurm.SilentError as error:
            console.warn(f"{error.cause}; so this is what the files of the runs tell")
            answers[_NOBODY] = None
    return answers.get(user)


def _results(known: Runs, run: Run, answers: _Answers | None = None) -> dict[int, runs.Result]:
    """What has become of each task until now; ``answers`` has what was asked of Slurm, by user."""
    if run.engine == "slurm":
        jobs, answers = batch.Jobs.of(known, run), {} if answers is None else answers
        written = jobs.by(None)
        if not jobs.known or all(result.is_good for result in written.values()):
            return written
        return jobs.by(_asked(run.user, answers))
    found, held = {}, run.is_held
    for task in run.tasks:
        began = run.began(task.number) if held else None
        gone = runs.Result(runs.WAITING if held else runs.STOPPED)
        found[task.number] = run.result(task.number) or began or gone
    return found


def _followed(known: Runs, run: Run) -> dict[int, runs.Result]:
    """What has become of each task once all have ended."""
    if run.engine == "slurm":
        return building.followed(batch.Jobs.of(known, run))
    tell, last = building.told_to(len(run.tasks)), dict[int, str]()
    while True:
        results = _results(known, run)
        for task in run.tasks:
            result = results[task.number]
            if last.get(task.number) != result.state:
                last[task.number] = result.state
                tell(task, result)
        if all(map(batch.is_over, results.values())):
            return results
        time.sleep(0.5)


def _chosen(known: Runs, number: str | None) -> Run:
    """The run that is meant: without a number, the latest of one's own that is under way."""
    if number is not None:
        if not number.isdecimal():
            cause = f"'{number}' is no number of a run"
            raise StoreError(cause, remedy="'tykky builds' lists them", code=Exit.USAGE)
        return known.one(int(number))
    own = [each for each in known.all() if each.is_own]
    answers: _Answers = {}
    going = (e for e in own if not all(map(batch.is_over, _results(known, e, answers).values())))
    chosen = next(going, None)
    if chosen is None:
        raise StoreError("no builds of yours are under way", remedy="'tykky builds' lists all")
    return chosen


def _cancel(known: Runs, chosen: Run) -> Result:
    if chosen.user == user_name() and not chosen.is_own:
        cause = f"{chosen.folder} says that it is yours, and somebody else has written it"
        remedy = f"whose it is, 'ls -l {chosen.folder}' tells"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    if chosen.engine == "slurm":
        jobs = batch.Jobs.of(known, chosen)
        ended = jobs.cancel(console.note)
        console.note(f"run {chosen.number}: {console.plural(len(ended), 'job')} cancelled")
        for number, modules in jobs.others.items():
            jobs_of = f"the jobs of {', '.join(modules)} are those of run {number}"
            console.warn(f"{jobs_of}: 'tykky builds {number} --cancel' ends them")
        return Result(ended)
    if not chosen.is_held:
        console.note(f"run {chosen.number} has ended already")
        return Result([])
    if chosen.user != user_name():
        cause = f"run {chosen.number} is {chosen.user}'s"
        raise StoreError(cause, remedy=f"ask {chosen.user}", code=Exit.CONFLICT)
    if chosen.host != host_name():
        cause = f"run {chosen.number} is under way on {chosen.host}"
        remedy = f"there: tykky builds {chosen.number} --cancel"
        raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
    with contextlib.suppress(ProcessLookupError):
        os.kill(chosen.process, signal.SIGTERM)
    console.note(f"run {chosen.number} is told to stop, and cleans up")
    return Result([str(chosen.process)])


def _task(call: Call, folder: str, number: str) -> Result:
    """What a job runs."""
    path = Path(folder)
    if not (path.name.isdecimal() and number.isdecimal()):
        raise StoreError(f"{folder} is no folder of a run", code=Exit.USAGE)
    known = Runs(path.parent, call.store.permissions)
    chosen = known.one(int(path.name))
    config = Config.load({**call.args.flags, **known.flags(chosen).get(int(number), {})})
    known = Runs(path.parent, Store.of(config).permissions)
    result = batch.do(known, chosen, int(number), config.slurm.scratch)
    errors = () if result.is_good else (result.error,)
    for error in errors:
        console.error(error)
    code = errors[0].code if errors else Exit.OK
    return Result(asdict(result), lambda: console.note(result.state), code, errors)

"""Builds of a list through Slurm: a job for each, in arrays where they do not depend on each other.

What a job has become of is known from squeue as long as that tells, and from what the job has
written. Nothing here has to run while the jobs do: whoever looks later sees the same.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import Timeout

from tykky import jobs as resources
from tykky.errors import Exit, TykkyError, masked
from tykky.files import discard, read_json
from tykky.lists import worker
from tykky.lists.runs import (
    BUILDING,
    FAILED,
    LOST,
    MEMORY,
    SKIPPED,
    STOPPED,
    TIME,
    WAITING,
    Result,
    Run,
    Runs,
    Task,
    moment,
)
from tykky.tools import slurm

#: Seconds between two looks: the least, when something has just happened, and the most.
_SOON, _LATE = 1.0, 15.0
#: Of its time, a build keeps this part for cleaning up; and at most so many seconds.
_PART, _MOST = 0.1, 60
#: Looks until a job that the batch system does not know, and that has told nothing, is lost.
_PATIENCE = 3


@dataclass(frozen=True)
class Jobs:
    """The jobs of a run: of each task the number, and the run that it belongs to."""

    runs: Runs
    run: Run
    known: Mapping[int, tuple[str, int]]

    @classmethod
    def of(cls, runs: Runs, run: Run) -> Jobs:
        """Those that were submitted."""
        known: dict[int, tuple[str, int]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            rows = read_json(run.folder / "jobs.json").items()
            known = {int(number): (str(job), int(of)) for number, (job, of) in rows}
        return cls(runs, run, known)

    @property
    def others(self) -> dict[int, list[str]]:
        """The stacks whose jobs belong to other runs, by the numbers of these."""
        found: dict[int, list[str]] = {}
        for task in self.run.tasks:
            owner = self.known.get(task.number, ("", self.run.number))[1]
            if owner != self.run.number:
                found.setdefault(owner, []).append(task.module)
        return found

    def by(self, told: Mapping[str, slurm.Job] | None) -> dict[int, Result]:
        """What has become of each task, by what the batch system has told, if anything."""
        return {task.number: self._one(task, told) for task in self.run.tasks}

    def _one(self, task: Task, told: Mapping[str, slurm.Job] | None) -> Result:
        number, owner = self.known.get(task.number, ("", self.run.number))
        at = task.number
        run = self.run
        if owner != self.run.number:
            with contextlib.suppress(TykkyError):
                run = self.runs.one(owner)
            at = next((t.number for t in run.tasks if _same(t, task)), at)
        result, job = run.result(at), told.get(number) if told is not None else None
        if result is not None and result.is_good:
            return result
        if told is None and number:  # whether it has been requeued, nobody can tell
            return result or run.began(at) or Result(WAITING, job=number)
        if job is not None and not job.is_over:
            began = run.began(at)
            if job.state == "PENDING" or began is None:
                reason = job.reason if job.reason not in ("None", "Dependency") else ""
                return Result(WAITING, job=number, cause=reason)
            return replace(began, state=BUILDING, host=began.host or job.node)
        return self._ended(task, run, at, job, result, number)

    def _ended(
        self,
        task: Task,
        run: Run,
        at: int,
        job: slurm.Job | None,
        result: Result | None,
        number: str,
    ) -> Result:
        if result is not None and result.state in (TIME, MEMORY):
            return result
        state, printed = job.state if job else "", run.path(at, "job")
        began = run.began(at)
        known = Result(
            FAILED,
            round(moment() - began.ended, 1) if began else 0.0,
            (began.host if began else "") or (job.node if job else ""),
            number,
            ended=moment(),
            code=Exit.JOB,
        )
        short = ""
        if state == "OUT_OF_MEMORY" or worker.ran_out_of_memory(printed):
            short = MEMORY
        elif state in ("TIMEOUT", "DEADLINE"):
            short = TIME
        if short:
            cause, remedy = worker.short_of(short, task), worker.remedy_of(short)
            ended = replace(known, state=short, cause=cause, remedy=remedy)
        elif result is not None:
            return result
        elif not number:
            return Result(STOPPED, cause="it was never submitted", code=Exit.JOB)
        elif state == "CANCELLED":
            ended = replace(known, state=STOPPED, cause=f"the job {number} was cancelled")
        elif job is not None:
            cause = (
                f"the job {number} has ended as {state.lower()} ({job.reason}), and told nothing"
            )
            ended = replace(known, cause=cause, remedy="the same command builds it again")
        else:
            cause = f"the job {number} is gone, and has told nothing"
            ended = replace(known, state=LOST, cause=cause)
            return ended
        if not run.is_own:  # whose it is notes that: they would see files that only we may
            return ended
        with contextlib.suppress(TykkyError, OSError):
            log = b"".join(map(worker.tail, (run.path(at, "out"), printed)))
            shown = masked(log.decode(errors="surrogateescape"))
            log = shown.encode(errors="surrogateescape")
            ended = self.runs.settle(run, replace(task, number=at), ended, log)
        return ended

    def cancel(self, say: Callable[[str], None]) -> list[str]:
        """Cancel those of the run's own that go on; their numbers. Raises ``TykkyError``."""
        told = slurm.jobs(self.run.user, say)
        if told is None:
            cause = f"squeue does not tell of the jobs of {self.run.user}"
            raise TykkyError(cause, remedy="'squeue' by hand says why", code=Exit.JOB)
        going = [j for j in self.own if j in told and not told[j].is_over]
        if going:
            slurm.cancel(going)
        return going

    @property
    def own(self) -> list[str]:
        """The jobs of the run itself."""
        return [job for job, owner in self.known.values() if owner == self.run.number]


def is_over(result: Result) -> bool:
    """Whether nothing more becomes of it."""
    return result.state not in (WAITING, BUILDING)


def submit(
    runs: Runs,
    run: Run,
    at_once: int,
    *,
    keep_going: bool,
    say: Callable[[str], None],
) -> Jobs:
    """Submit a job for each task, but for those that another run has in its jobs already.

    With ``keep_going``, those that sbatch refuses have failed with that. ``say`` is told what is
    waited for. Raises ``TykkyError``; then nothing is submitted, and there is no run.
    """
    known: dict[int, tuple[str, int]] = {}
    path = run.folder / "jobs.json"
    try:
        known |= _going(runs, run, say)
        todo = [task for task in run.tasks if task.number not in known]
        while todo:
            free = [t for t in todo if all(number in known for number in t.after)]
            first = (free or todo)[0]
            group = [t for t in free or todo[:1] if _group(t) == _group(first)]
            try:
                job = slurm.submit(
                    _script(run),
                    name=f"tykky-{Path(run.list).stem}",
                    indexes=[task.number for task in group],
                    at_once=at_once,
                    output=run.folder / "%a.job",
                    directory=Path(run.cwd),
                    resources=first.resources,
                    after=[known[number][0] for number in first.after if number in known],
                    say=say,
                )
            except slurm.RefusedError as error:
                error.cause = f"sbatch has refused the build of {_names(group)}: {error.why}"
                if not keep_going:
                    raise
                group = _refused(runs, run, group, todo, error)
            else:
                known |= {task.number: (f"{job}_{task.number}", run.number) for task in group}
                runs.write(path, known)
            todo = [task for task in todo if task not in group]
    except BaseException:
        with contextlib.suppress(TykkyError, OSError):
            if own := Jobs(runs, run, known).own:
                slurm.cancel(own)
        discard(run.folder)
        raise
    runs.write(path, known)
    return Jobs(runs, run, known)


def _names(tasks: Sequence[Task]) -> str:
    """The stacks, the first ones each with its line of the list."""
    told = [f"{task.module} ({task.where})" for task in tasks[:3]]
    return ", ".join([*told, *([f"{len(tasks) - 3} more"] if len(tasks) > 3 else [])])


def _refused(
    runs: Runs,
    run: Run,
    group: Sequence[Task],
    todo: Sequence[Task],
    error: slurm.RefusedError,
) -> list[Task]:
    """Note that tasks were refused, and those ``todo`` that count on them; all of these."""
    gone: dict[int, Task] = {}

    def note(task: Task, result: Result) -> None:
        # In no log of failures: others who build the same are not refused for that.
        runs.write(run.path(task.number, "json"), asdict(result))
        gone[task.number] = task

    for task in group:
        cause = f"sbatch has refused the build of {_names([task])}: {error.why}"
        code = int(error.code)
        note(task, Result(FAILED, cause=cause, remedy=error.remedy, code=code, ended=moment()))
    while rest := [t for t in todo if t.number not in gone and gone.keys() & {*t.after}]:
        for task in rest:
            needed = gone[next(n for n in task.after if n in gone)].module
            cause = f"it counts on {needed}, which is not there"
            note(task, Result(SKIPPED, cause=cause, ended=moment()))
    return [*gone.values()]


def _group(task: Task) -> tuple[object, ...]:
    return (sorted(task.resources.items()), task.after)


def _going(runs: Runs, run: Run, say: Callable[[str], None]) -> dict[int, tuple[str, int]]:
    """The jobs of other runs, not ended yet, that build what is to be built."""
    found: dict[int, tuple[str, int]] = {}
    told: dict[str, Mapping[str, slurm.Job]] = {}
    own = {(task.root, task.module): task for task in run.tasks}
    for other in runs.all():
        if other.number == run.number or other.engine != "slurm":
            continue
        known = Jobs.of(runs, other).known
        for theirs in other.tasks:
            task = own.get((theirs.root, theirs.module))
            if task is None or theirs.number not in known:
                continue
            if other.user not in told:
                told[other.user] = slurm.jobs(other.user, say) or {}
            job, owner = known[theirs.number]
            state = told[other.user].get(job)
            if state is not None and not state.is_over:
                found.setdefault(task.number, (job, owner))
    return found


def _same(one: Task, other: Task) -> bool:
    return (one.root, one.module) == (other.root, other.module)


def _script(run: Run) -> str:
    """What a job runs: the shell is replaced, so that a signal to it is one to the build."""
    line = [worker.program(), "builds", "--task", str(run.folder)]
    return f'#!/bin/sh\nexec {shlex.join(line)} "$SLURM_ARRAY_TASK_ID"\n'


def follow(
    jobs: Jobs, tell: Callable[[Task, Result], None], say: Callable[[str], None]
) -> dict[int, Result]:
    """Wait until all jobs have ended, which they do without; ``tell`` is given each change."""
    last: dict[int, Result] = {}
    lost: dict[int, int] = {}
    pause, silent = _SOON, False
    while True:
        told, why = None, "squeue does not tell of the jobs"
        try:
            told = slurm.jobs(jobs.run.user, None if silent else say)
        except slurm.SilentError as error:
            why = error.cause
        now, changed = jobs.by(told), False
        good = all(result.is_good for result in now.values())
        for task in jobs.run.tasks if told is not None or good else ():
            result = now[task.number]
            if result.state == LOST:
                lost[task.number] = lost.get(task.number, 0) + 1
                if lost[task.number] < _PATIENCE:  # its file may be seen later than its end
                    now[task.number] = last.get(task.number, Result(WAITING))
                    continue
            before = last.get(task.number)
            if before is None or before.state != result.state:
                tell(task, result)
                changed = changed or before is not None
        if told is not None or good:
            last = now
            if all(map(is_over, now.values())):
                return now
        if told is None and not silent:
            say(f"{why}; the jobs go on, and it is asked again")
        silent = told is None
        pause = _SOON if changed else min(_LATE, pause * 1.2)
        _sleep(pause, jobs.run.folder)


def _sleep(seconds: float, folder: Path) -> None:
    """Wait so long, or until something is written into a folder."""
    before, until = _stamp(folder), time.monotonic() + seconds
    while time.monotonic() < until and _stamp(folder) == before:
        time.sleep(_SOON / 2)


def _stamp(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def do(runs: Runs, run: Run, number: int, scratch: str) -> Result:
    """Do one task, within its job. Raises ``KeyboardInterrupt`` if that is ended."""
    task = next((task for task in run.tasks if task.number == number), None)
    if task is None:
        cause = f"the run {run.number} has no task {number}"
        raise TykkyError(cause, remedy=f"see {run.folder}/run.json", code=Exit.NOT_FOUND)
    flags = dict(runs.flags(run).get(number, {}))
    if scratch:
        flags["build_dir"] = f"{os.path.expandvars(scratch)}/tykky-{{user}}"
    variables = (os.environ.get(n, "") for n in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"))
    if "jobs" not in flags and (cpus := next(filter(str.isdecimal, variables), "")):
        flags["jobs"] = cpus
    job = "_".join(
        filter(None, (os.environ.get(f"SLURM_ARRAY_{n}_ID", "") for n in ("JOB", "TASK")))
    )
    limit = resources.seconds(task.resources["time"]) if "time" in task.resources else 0
    # No resolution finer than a minute is promised; what is cleaned up is told of.
    limit -= min(_MOST, round(limit * _PART)) if limit else 0
    started = moment()
    wrong = worker.wrong_machine(task) or _skipped(run, task)
    if wrong is not None:
        told = (wrong.cause + "\n").encode()
        return runs.settle(run, task, replace(wrong, job=job, host=worker.machine()), told)
    while True:
        try:
            lease = runs.lease(task)
            break
        except Timeout:
            time.sleep(1)
    build = worker.Build(runs, run, task, flags, limit, job)
    try:
        if failed := runs.failed_since(task, started):  # somebody else, while this one waited
            runs.write(run.path(task.number, "json"), asdict(failed))
            return failed
        build.start()
        while (result := build.poll()) is None:
            time.sleep(0.1)
        return result
    except BaseException:
        build.stop()
        raise
    finally:
        if lease is not None:
            lease.release()


def _skipped(run: Run, task: Task) -> Result | None:
    """The result of a task that counts on another one which is not there."""
    for number in task.after:
        result = run.result(number)
        if result is not None and not result.is_good:
            needed = next(t.module for t in run.tasks if t.number == number)
            cause = f"it counts on {needed}, which is not there"
            return Result(SKIPPED, cause=cause, ended=moment())
    return None

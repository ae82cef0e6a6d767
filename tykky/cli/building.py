"""What the verbs share that build what a list wants: the difference, the builds, the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Argument, Call, Result, flag, option
from tykky.config import Config
from tykky.errors import Exit, TykkyError
from tykky.host import host_name
from tykky.lists import batch, difference, here, reading, runs
from tykky.lists.difference import Change, Looker, Row, resources
from tykky.lists.runs import Run, Runs, Task
from tykky.store import Entry


def _number(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 10000:
        return int(text)
    raise ValueError(text)


_number.__name__ = "number"

#: What install and apply share.
ENGINE: tuple[Argument, ...] = (
    flag("--slurm", help="build in jobs of Slurm, one for each stack"),
    option("--jobs", type=_number, metavar="N", help="builds at the same time (default: 1)"),
    flag("--dry-run", help="only say how the list and what is installed differ"),
)

_DOES = {
    "nothing": "there already",
    "switch": "switch back to what was built",
    "publish": "publish anew, with the same contents",
    "build": "build",
    "fails": "cannot be built",
}


@dataclass(frozen=True)
class Work:
    """What a list wants, compared with what is there."""

    path: Path
    rows: list[Row]
    changes: list[Change]
    surplus: list[Entry]
    stays: list[str]

    @property
    def problems(self) -> list[TykkyError]:
        """What cannot be built at all."""
        return [row.error for row in self.rows if row.error is not None]

    def lines(self, *, prune: bool) -> list[tuple[str, ...]]:
        """The difference, a line for each."""
        several = len({row.root for row in self.rows if row.recipe}) > 1
        found = []
        for row in self.rows:
            does = f"not here: {row.why}" if row.does == "elsewhere" else _DOES[row.does]
            marks = [change.text for change in self.changes if change.row is row]
            if row.does == "nothing" and marks:
                does = ""
            names = [self.rows[number].title for number in row.after]
            after = f"after {', '.join(names)}" if names else ""
            why = row.why if row.does != "elsewhere" else ""
            words = ", ".join(filter(None, (does, after, why, *marks)))
            root = (str(row.root),) if several else ()
            found.append((row.title, row.arch, *root, words))
        going = "remove" if prune else "not in this list (--prune removes it)"
        root = ("",) if several else ()
        found += [(entry.module, "", *root, going) for entry in self.surplus]
        return found

    def facts(self) -> list[dict[str, Any]]:
        """The same for programs."""
        rows = [
            {
                "spec": str(row.wanted.spec),
                "module": row.module,
                "arch": row.arch,
                "root": str(row.root),
                "does": row.does,
                "why": row.why or (row.error.cause if row.error else ""),
                "after": [self.rows[number].title for number in row.after],
                "states": [change.text for change in self.changes if change.row is row],
                "where": row.place,
            }
            for row in self.rows
        ]
        gone = [{"module": e.module, "root": "", "does": "remove"} for e in self.surplus]
        return [*rows, *gone]


def looked(call: Call, file: str, *, far: bool) -> tuple[Path, list[Row]]:
    """A list compared with what is installed. Raises ``TykkyError`` for what cannot be read."""
    path = Path(file)
    with console.step("compare", path.name) as line:
        found = reading.read(path, host_name(), call.config.cache_dir)
        force = getattr(call.args, "force", False)
        rows = Looker(call.args.flags, call.repos, line.update, far, force).rows(found)
        open_ones = sum(row.is_open for row in rows)
        line.update(f"{console.plural(len(rows), 'stack')}, {open_ones} to be built")
    for sentence in difference.doubts(rows):
        console.warn(sentence)
    return path, rows


def looked_only(work: Work, *, prune: bool) -> Result:
    """The answer that only tells how a list and reality differ; and what cannot be built."""
    for problem in work.problems:
        console.error(problem)
    code = work.problems[0].code if work.problems else Exit.OK
    return Result(work.facts(), lambda: show(work, prune=prune), code, tuple(work.problems))


def show(work: Work, *, prune: bool) -> None:
    """Print the difference."""
    lines = work.lines(prune=prune)
    console.table(
        lines, ("STACK", "ARCH", *("ROOT",) * (len(lines[0]) - 3), "DOES") if lines else ()
    )
    for sentence in work.stays:
        console.note(sentence)
    if work.surplus:
        modules = ", ".join(entry.module for entry in work.surplus)
        told = "--prune removes also what other lists name for this root: include these in one list"
        console.warn(f"{modules}: {told}")


@dataclass(frozen=True)
class Built:
    """What became of each row: by its index."""

    run: Run | None
    results: dict[int, runs.Result]

    @property
    def failures(self) -> list[runs.Result]:
        """What is not there."""
        return [result for result in self.results.values() if not result.is_good]


def build(call: Call, work: Work, words: tuple[str, ...] = ()) -> Built:
    """Build what is to be built. Raises ``TykkyError``; what fails alone is in the results."""
    args, rows = call.args, work.rows
    results: dict[int, runs.Result] = {}
    tasks: list[Task] = []
    for index, row in enumerate(rows):
        if row.error is not None:
            error = row.error
            console.error(error)
            where = f" ({error.where.path}:{error.where.line})" if error.where else ""
            cause, code = f"{error.cause}{where}", int(error.code)
            told = runs.Result(runs.FAILED, cause=cause, remedy=error.remedy, code=code)
            results[index] = told
        elif row.is_open:
            needs = resources(row, Config.load(row.flags))
            after = tuple(number + 1 for number in row.after)
            own = ("--testing",) if row.wanted.hidden and "--testing" not in words else ()
            what = (str(row.wanted.spec), row.module, str(row.root), row.arch)
            tasks.append(Task(index + 1, *what, after, needs, row.place, (*words, *own), row.flags))
        elif row.does == "nothing":
            results[index] = runs.Result(runs.THERE)
    if not tasks:
        return Built(None, results)
    chosen = tuple(tasks)
    known = Runs(call.config.builds_dir, call.store.permissions)
    at_once = args.jobs or 0
    if args.slurm:
        run = known.begin(chosen, work.path, "slurm")
        going = args.keep_going
        jobs = batch.submit(known, run, at_once, keep_going=going, say=console.note)
        also = "".join(f"; run {n} builds {', '.join(t)}" for n, t in jobs.others.items())
        count = console.plural(len(jobs.own), "job")
        console.note(f"run {run.number}: {count} submitted{also}")
        ended = followed(jobs)
    else:
        at_once = at_once or 1
        share = str(max(1, call.config.jobs // at_once))
        chosen = tuple(
            Task(**{**vars(t), "flags": {"jobs": share, **t.flags}}) if at_once > 1 else t
            for t in tasks
        )
        run = known.begin(chosen, work.path, "here")
        teller = told_to(len(tasks))
        builder = here.Builder(known, run, at_once, args.keep_going, teller, console.note)
        try:
            ended = builder.build()
        except KeyboardInterrupt:
            console.note("what was being built is stopped; the same command goes on from there")
            raise
    return Built(run, results | {number - 1: result for number, result in ended.items()})


def followed(jobs: batch.Jobs) -> dict[int, runs.Result]:
    """Follow jobs to their end; who stops that is told how to go on."""
    number = jobs.run.number
    try:
        return batch.follow(jobs, told_to(len(jobs.run.tasks)), console.note)
    except KeyboardInterrupt:
        console.note(
            f"the jobs go on: 'tykky builds {number} --follow' follows them again, "
            f"'tykky builds {number} --cancel' ends them"
        )
        raise


def told_to(total: int) -> Callable[[Task, runs.Result], None]:
    """What tells of each stack as it changes."""
    ended: set[int] = set()

    def tell(task: Task, result: runs.Result) -> None:
        where = _where(result)
        if not batch.is_over(result):
            why = f" ({result.cause})" if result.cause else ""
            console.note(f"{result.state} {task.module}{f' on {where}' if where else ''}{why}")
            return
        ended.add(task.number)
        taken = f" in {console.duration(result.seconds)}" if result.seconds else ""
        why = f": {result.cause}" if result.cause else ""
        console.note(f"[{len(ended)}/{total}] {result.state} {task.module}{taken}{why}")

    return tell


def _where(result: runs.Result) -> str:
    return " ".join(filter(None, (result.host, f"job {result.job}" if result.job else "")))


def titled(stacks: Sequence[tuple[str, str]]) -> list[str]:
    """The names of stacks with their architectures, these where there are several."""
    several = len({arch for _, arch in stacks}) > 1
    return [f"{title} {arch}" if several else title for title, arch in stacks]


def table(titles: Sequence[str], results: Sequence[runs.Result]) -> None:
    """What became of each, with the logs of what failed."""
    rows = [
        (title, r.state, console.duration(r.seconds) if r.seconds else "", _where(r), r.log)
        for title, r in zip(titles, results, strict=True)
    ]
    if not rows:
        console.note("there is nothing to be built here")
        return
    console.table(rows, ("STACK", "STATE", "TIME", "WHERE", "LOG"))
    counts = [r.state for r in results]
    told = ", ".join(f"{counts.count(each)} {each}" for each in dict.fromkeys(counts))
    console.note(told)


def errors_of(results: Sequence[runs.Result]) -> tuple[TykkyError, ...]:
    """The errors of what failed, the first of which has the exit code."""
    bad = [r for r in results if not r.is_good]
    first = [r for r in bad if r.state != runs.SKIPPED]
    return tuple(result.error for result in (*first, *(r for r in bad if r not in first)))


def answer(work: Work, built: Built) -> Result:
    """The answer of a verb that has built what a list wants."""
    chosen = [index for index in range(len(work.rows)) if index in built.results]
    titles = titled([(work.rows[index].title, work.rows[index].arch) for index in chosen])
    results = [built.results[index] for index in chosen]
    errors = errors_of(results)
    value = {
        "list": os.path.realpath(work.path),
        "run": built.run.number if built.run else 0,
        "stacks": [
            {**fact, **(asdict(built.results[index]) if index in built.results else {})}
            for index, fact in enumerate(work.facts()[: len(work.rows)])
        ],
    }
    for index, title, result in zip(chosen, titles, results, strict=True):
        if not result.is_good and result.remedy:
            name = "" if work.rows[index].title in result.error.cause else f"{title}: "
            console.note(f"{name}{result.error.cause}: {result.remedy}")
    code = errors[0].code if errors else Exit.OK
    return Result(value, lambda: table(titles, results), code, errors)

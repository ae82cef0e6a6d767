"""Builds of a list on this machine, several at a time, beside others that build the same list.

Who builds something holds its lease. What somebody else has is left for later: when all that is
free is built, and only then, it is waited for; if its builder is gone, it is free again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from tykky.lists.runs import (
    SKIPPED,
    Result,
    Run,
    Runs,
    Task,
    holding,
    moment,
)
from tykky.lists.worker import Build
from tykky.store import HIDDEN, Store, claims

if TYPE_CHECKING:
    from tykky.store.claims import Lock

#: Seconds between two looks at what runs, and at what others have; and without a word of these.
_LOOK, _OTHERS, _SILENT = 0.05, 1.0, 5.0


@dataclass
class Builder:
    """Carries out a run; ``tell`` is called with each result."""

    runs: Runs
    run: Run
    at_once: int
    keep_going: bool
    tell: Callable[[Task, Result], None]
    say: Callable[[str], None]
    results: dict[int, Result] = field(default_factory=dict)
    under_way: dict[int, tuple[Build, Lock | None]] = field(default_factory=dict)
    begun: float = field(default_factory=moment)
    #: What somebody else builds; and what was said of that.
    waited_for: set[int] = field(default_factory=set)
    said: set[int] = field(default_factory=set)
    waiting: float = 0

    def build(self) -> dict[int, Result]:
        """Build all; what became of each. What was begun is stopped if this is."""
        with holding(self.run, self.runs.permissions):
            try:
                self._build()
            except BaseException:
                for build, lease in [*self.under_way.values()]:
                    with contextlib.suppress(Exception):
                        build.stop()
                    if lease is not None:
                        lease.release()
                raise
        return self.results

    def _build(self) -> None:
        todo = list(self.run.tasks)
        looked = -_OTHERS
        while todo or self.under_way:
            self._collect()
            if not self.keep_going and any(not r.is_good for r in self.results.values()):
                for task in todo:
                    self._skip(task, "another one has failed; --keep-going goes on")
                todo = []
            busy = self.waited_for.intersection(task.number for task in todo)
            if not busy or time.monotonic() - looked > _OTHERS:
                looked = time.monotonic()
                todo = [task for task in todo if not self._begin(task)]
            if todo and not self.under_way and self.waited_for:
                self._wait(todo)
            time.sleep(_LOOK)

    def _collect(self) -> None:
        for number, (build, lease) in [*self.under_way.items()]:
            result = build.poll()
            if result is not None:
                del self.under_way[number]
                if lease is not None:
                    lease.release()
                self._done(build.task, result)

    def _done(self, task: Task, result: Result) -> None:
        self.results[task.number] = result
        self.tell(task, result)

    def _skip(self, task: Task, cause: str) -> None:
        result = Result(SKIPPED, cause=cause, ended=moment())
        self._done(task, self.runs.settle(self.run, task, result))

    def _begin(self, task: Task) -> bool:
        """Begin a task, or settle it without; whether that could be."""
        if any(number not in self.results for number in task.after):
            return False
        for number in task.after:
            if not self.results[number].is_good:
                needed = next(t.module for t in self.run.tasks if t.number == number)
                self._skip(task, f"it counts on {needed}, which is not there")
                return True
        if len(self.under_way) >= self.at_once:
            return False
        try:
            lease = self.runs.lease(task)
        except Timeout:
            self.waited_for.add(task.number)
            return False
        # Who had it has noted a failure before it was free.
        failed = self.runs.failed_since(task, self.begun)
        free = lease is None or self._is_free(task)
        if failed or not free:
            if lease is not None:
                lease.release()
            if failed:
                self.runs.write(self.run.path(task.number, "json"), vars(failed))
                self._done(task, failed)
            else:
                self.waited_for.add(task.number)
            return failed is not None
        build = Build(self.runs, self.run, task, task.flags)
        self.under_way[task.number] = (build, lease)
        self.waited_for.discard(task.number)
        self.say(f"building {task.module}")
        build.start()
        return True

    def _is_free(self, task: Task) -> bool:
        """Whether nobody changes the place meanwhile, with 'tykky install' say."""
        prefix = Store(Path(task.root)).place(*task.module.split("/", 1)).prefix
        if not (prefix / HIDDEN / "owner").exists():
            return True
        store = Store(Path(task.root), self.runs.permissions)
        with store.claim(prefix, task.module, self.say, wait=False) as held:
            return held

    def _wait(self, todo: list[Task]) -> None:
        """Say once what is waited for, and by whom it is built, as soon as that is known."""
        if not self.waiting:
            self.waiting = time.monotonic()
        for task in todo:
            if task.number not in self.waited_for - self.said:
                continue
            place = Store(Path(task.root)).place(*task.module.split("/", 1))
            told = claims.holder(place.hidden / "lock", place.hidden / "owner")
            told = told or claims.holder(self.runs.lease_of(task))
            if told or time.monotonic() - self.waiting > _SILENT:
                self.said.add(task.number)
                self.say(f"{task.module} is being built by {told or 'another'}; waiting for that")

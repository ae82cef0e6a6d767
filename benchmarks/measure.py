"""Running commands against each other and keeping the median of many.

All commands of a race take turns, so that whatever else the machine does strikes all of
them alike; what is reported is a ratio of two medians of the same race.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds that one race may take, and how many rounds it has at least and at most.
BUDGET, FEWEST, MOST = 15.0, 5, 300


@dataclass(frozen=True)
class Target:
    """What a result should not exceed: its ``ratio`` to the peer, its ``excess`` over it, or it."""

    kind: str
    limit: float


@dataclass(frozen=True)
class Row:
    """One line of the result: a median and the peer's, both in ``unit``, and the least of each."""

    group: str
    case: str
    value: float
    peer: str = ""
    peer_value: float | None = None
    rounds: int = 1
    unit: str = "s"
    least: float | None = None
    peer_least: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as much as the peer's it is."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        reached = {
            "ratio": self.ratio,
            "excess": None if self.peer_value is None else self.value - self.peer_value,
            "value": self.value,
        }[self.target.kind]
        return reached is not None and reached <= self.target.limit


@dataclass(frozen=True)
class Runner:
    """A command and the environment it runs in; it takes part in every ``every``-th round.

    ``before`` is called before each run, and takes none of its time.
    """

    words: Sequence[str | Path]
    env: Mapping[str, str]
    every: int = 1
    before: Callable[[], object] | None = None

    def seconds(self) -> float:
        """Run it once and return how long it took. Raises ``RuntimeError`` if it fails."""
        return self.seconds_at_once(1)

    def seconds_at_once(self, count: int) -> float:
        """Run it ``count`` times at once; the seconds from the first start to the last end."""
        if self.before:
            self.before()
        words = [str(word) for word in self.words]
        program = shutil.which(words[0], path=self.env["PATH"])
        if program is None:
            raise RuntimeError(f"there is no command {words[0]}")
        env = dict(self.env)
        with tempfile.TemporaryFile() as said:
            outputs = [(os.POSIX_SPAWN_DUP2, said.fileno(), number) for number in (1, 2)]
            started = time.perf_counter()
            pids = [os.posix_spawn(program, words, env, file_actions=outputs) for _ in range(count)]
            statuses = [os.waitpid(pid, 0)[1] for pid in pids]
            taken = time.perf_counter() - started
            if any(statuses):
                said.seek(0)
                raise RuntimeError(f"{' '.join(words)} failed: {said.read().decode()}")
        return taken


@dataclass(frozen=True)
class Race:
    """What each runner needed, round by round, in seconds."""

    times: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """The median seconds of a runner."""
        return statistics.median(self.times[name])

    def row(
        self, group: str, case: str, mine: str, peer: str, label: str, target: Target | None = None
    ) -> Row:
        """One line of the result: the runner ``mine`` against ``peer``, which is shown as label."""
        return Row(
            group,
            case,
            self.median(mine),
            label,
            self.median(peer),
            min(len(self.times[mine]), len(self.times[peer])),
            least=min(self.times[mine]),
            peer_least=min(self.times[peer]),
            target=target,
        )


def race(
    runners: Mapping[str, Runner],
    *,
    budget: float = BUDGET,
    fewest: int = FEWEST,
    at_once: int = 1,
) -> Race:
    """Let the runners take turns for about ``budget`` seconds; one more round warms up."""
    once = 0.0
    for runner in runners.values():
        once += runner.seconds_at_once(at_once) / runner.every
    rounds = max(fewest, min(MOST, int(budget / once)))
    times: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds):
        for name, runner in runners.items():
            if number % runner.every == 0:
                times[name].append(runner.seconds_at_once(at_once))
    return Race(times)

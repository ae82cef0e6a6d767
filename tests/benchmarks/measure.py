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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds that one race may take, and how many rounds it has at least and at most.
BUDGET, FEWEST, MOST = 20.0, 5, 300


@dataclass(frozen=True)
class Row:
    """One line of the result; ``seconds`` is a median and ``peer_seconds`` that of the peer."""

    group: str
    case: str
    seconds: float
    peer: str = ""
    peer_seconds: float | None = None
    rounds: int = 1

    @property
    def ratio(self) -> float | None:
        """How many times as long as the peer it takes."""
        return self.seconds / self.peer_seconds if self.peer_seconds else None


@dataclass(frozen=True)
class Runner:
    """A command and the environment it runs in."""

    words: Sequence[str | Path]
    env: Mapping[str, str]

    def seconds(self) -> float:
        """Run it once and return how long it took. Raises ``RuntimeError`` if it fails."""
        words = [str(word) for word in self.words]
        program = shutil.which(words[0], path=self.env["PATH"])
        if program is None:
            raise RuntimeError(f"there is no command {words[0]}")
        with tempfile.TemporaryFile() as said:
            outputs = [(os.POSIX_SPAWN_DUP2, said.fileno(), number) for number in (1, 2)]
            started = time.perf_counter()
            pid = os.posix_spawn(program, words, dict(self.env), file_actions=outputs)
            status = os.waitpid(pid, 0)[1]
            taken = time.perf_counter() - started
            if status:
                said.seek(0)
                raise RuntimeError(f"{' '.join(words)} failed: {said.read().decode()}")
        return taken


def race(runners: Mapping[str, Runner]) -> tuple[dict[str, float], int]:
    """The median seconds of each runner, and the number of rounds; one more warms up."""
    once = sum(runner.seconds() for runner in runners.values())
    rounds = max(FEWEST, min(MOST, int(BUDGET / once)))
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            taken[name].append(runner.seconds())
    return {name: statistics.median(times) for name, times in taken.items()}, rounds

"""The names of the steps, and the clock that times them.

Public names: ``STEPS``, ``Clock``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tykky import console
from tykky.errors import Exit, TykkyError, from_os_error
from tykky.store.record import Step

#: The steps and the exit code of each, for failures that have no more exact one.
STEPS = {
    "resolve": Exit.RESOLVE,
    "base": Exit.BASE,
    "build": Exit.BUILD,
    "finish": Exit.FINISH,
    "squash": Exit.SQUASH,
    "test": Exit.TEST,
    "commit": Exit.COMMIT,
    "publish": Exit.PUBLISH,
}


class Clock:
    """Prints a line for every step, unless ``quiet``, and remembers how long each took."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.steps: list[Step] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[console.Step]:
        """Run one step; an error in it without an exact exit code gets the step's own."""
        start = time.monotonic()
        try:
            with console.step(name, quiet=self.quiet) as line:
                yield line
        except TykkyError as error:
            if error.code in (Exit.FAILED, Exit.BUILD):
                error.code = STEPS[name]
            raise
        except OSError as error:
            problem = from_os_error(error, f"do the step '{name}'")
            if problem.code == Exit.FAILED:
                problem.code = STEPS[name]
            raise problem from error
        self.steps.append(Step(name, round(time.monotonic() - start, 3)))

"""Running the test of a recipe on what is installed, as its user: their environment and rights.

The recipe is the one that the generation has kept. There is no box: what is to be found out is
whether the stack works for whoever calls, here and now.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import bases
from tykky import lock as locks
from tykky.build import keeping
from tykky.build.box import RealBox
from tykky.errors import Exit, TykkyError, told
from tykky.host import host_name
from tykky.kinds.stack import Stack
from tykky.recipe import recipe_code
from tykky.repos import Repos
from tykky.repos.loading import check_trusted
from tykky.spec import parse_one
from tykky.store import Place, Record
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.config import Config


@dataclass(frozen=True)
class Trial:
    """What came of a test: ``ok``, ``failed`` or ``none``, where there is none; in seconds."""

    title: str
    result: str
    seconds: float
    node: str
    error: TykkyError | None = None


class InstalledBox(RealBox):
    """Commands run as the user's own do, in an empty folder."""

    def environment(self) -> dict[str, str]:
        """Nothing besides ``variables``, which has all."""
        return dict(self.variables)

    def enclose(
        self, argv: list[str], env: Mapping[str, str]
    ) -> tuple[list[str], Mapping[str, str]]:
        """Nothing is kept away."""
        return argv, env


def try_out(record: Record, variables: Mapping[str, str], config: Config) -> Trial:
    """Run the test of a generation with the environment of a session that has loaded it."""
    start, error, result = time.monotonic(), None, "ok"
    path = config.build_dir / locks.digest_of(["test", record.prefix, str(os.getpid())])[:16]
    scratch = Scratch(path)
    try:
        with scratch.held():
            scratch.renew()
            if not _prove(record, variables, config, scratch):
                result = "none"
    except (TykkyError, OSError) as raised:
        error, result = told(raised, f"test {record.title}"), "failed"
        error.code = Exit.TEST if error.code in (Exit.FAILED, Exit.BUILD) else error.code
    with contextlib.suppress(OSError):
        config.build_dir.rmdir()
    return Trial(record.title, result, round(time.monotonic() - start, 2), host_name(), error)


def _prove(record: Record, variables: Mapping[str, str], config: Config, scratch: Scratch) -> bool:
    """Run it; whether there is one. Raises ``TykkyError``."""
    place = Place(Path(record.prefix))
    folder = place.generation(record.generation)
    directory, log = scratch.path, io.BytesIO()
    recipe: Stack | None = None
    if record.has_module:
        check_trusted(folder / "recipe" / "recipe.py")
        repo = keeping.lay_out(record, scratch.path / "recipes")
        found = Repos([repo]).select(parse_one(record.spec))
        assert isinstance(found, Stack)
        recipe, directory = found, found.directory
        if type(recipe).test is Stack.test and type(recipe).prove is Stack.prove:
            return False
    lock = locks.read(folder / "lock.json")
    box = InstalledBox(
        place.prefix,
        directory,
        bases.host(),
        lock,
        config,
        scratch=scratch,
        log=log,
        cwd=scratch.empty,
        network=True,
        variables=dict(variables),
    )
    if recipe is None:  # what a classic command made: that it can be entered
        box.run(["_debug_shell", "-c", ":"])
        return True
    for method in ("prove", "test"):
        with recipe_code(recipe, method), contextlib.redirect_stdout(sys.stderr):
            getattr(recipe, method)(box)
    return True

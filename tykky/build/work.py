"""One build at work: what its steps share, and what hooks are given."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from tykky import console
from tykky.build.box import RealBox
from tykky.build.hooks import Hooks
from tykky.errors import Exit, TykkyError, explained, masked
from tykky.files import Permissions, insist, write_file
from tykky.recipe import guarded, recipe_code
from tykky.store import record as records
from tykky.tools import process

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.config import Config
    from tykky.lock import Lock
    from tykky.spec import Spec
    from tykky.store import Store
    from tykky.tools.scratch import Scratch

_Box = TypeVar("_Box", bound=RealBox)

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


@dataclass
class Clock:
    """Prints a line for every step, unless ``quiet``, and remembers how long each took."""

    quiet: bool
    steps: list[records.Step] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[console.Step]:
        """Run one step; an error in it without an exact exit code gets the step's own."""
        start = time.monotonic()
        try:
            with explained(f"do the step '{name}'"), console.step(name, quiet=self.quiet) as line:
                yield line
        except TykkyError as error:
            if error.code in (Exit.FAILED, Exit.BUILD):
                error.code = STEPS[name]
            raise
        self.steps.append(records.Step(name, round(time.monotonic() - start, 3)))


@dataclass
class Log:
    """The log of a build: in memory until there is a place for the file."""

    path: Path | None = None
    stream: BinaryIO = field(default_factory=io.BytesIO)

    def open(self, path: Path) -> None:
        """Go on in a file. Raises ``TykkyError``."""
        assert isinstance(self.stream, io.BytesIO)
        with explained("write the log of the build", "build_dir"):
            # In its folder, other builds may begin and end.
            stream = insist(lambda: _opened(path), 100)
            stream.write(self.stream.getvalue())
        self.path, self.stream = path, stream

    def note(self, text: str) -> None:
        """Add a line of our own."""
        line = f"# {time.strftime('%H:%M:%S')} {masked(text)}\n"
        self.stream.write(line.encode(errors="backslashreplace"))
        self.stream.flush()

    def keep(self, folder: Path, permissions: Permissions) -> None:
        """Put it into a generation, compressed, without passwords and tokens."""
        assert self.path is not None
        self.stream.flush()
        text = self.path.read_bytes().decode(errors="surrogateescape")
        # No time stamp in the archive: the log's own lines have the times.
        data = gzip.compress(masked(text).encode(errors="surrogateescape"), mtime=0)
        write_file(folder / "build.log.gz", data, permissions)

    def settle(self) -> None:
        """Leave it without passwords and tokens: who looks for help shows it to others."""
        with contextlib.suppress(OSError):
            self.stream.flush()
            if self.path is None or not self.path.is_file():
                return
            text = self.path.read_bytes().decode(errors="surrogateescape")
            if (plain := masked(text)) != text:
                self.path.write_bytes(plain.encode(errors="surrogateescape"))

    def remove(self) -> None:
        """Leave nothing of it, and of folders that nothing else is in."""
        self.stream.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()
                self.path.parent.parent.rmdir()


def _opened(path: Path) -> BinaryIO:
    # What a build was told and has said is for its user.
    path.parents[1].mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return path.open("wb")


class Step(NamedTuple):
    """A step under way."""

    #: Say what it does now.
    update: Callable[[str], None]
    #: Print a line of what the user's own scripts say.
    show: Callable[[str], None]
    #: Let hooks after the step know values by these names.
    tell: Callable[..., None]


@dataclass(frozen=True)
class Desk:
    """What all steps of one build share.

    Hooks are given ``spec``, ``config``, ``store`` and ``log``, from ``after_resolve`` on
    ``plan``, from ``before_build`` on ``scratch``, from ``after_squash`` on ``image``, from
    ``after_commit`` on ``record``: attributes of one object.
    """

    config: Config
    store: Store
    clock: Clock
    hooks: Hooks
    log: Log
    spec: Spec | None = None
    known: SimpleNamespace = field(default_factory=SimpleNamespace)

    @classmethod
    def of(cls, config: Config, store: Store, spec: Spec | None = None, *, quiet: bool) -> Desk:
        """A desk for one build."""
        hooks, log = Hooks(config.hooks, tuple(STEPS), config.owners("hooks")), Log()
        known = SimpleNamespace(spec=spec, config=config, store=store, log=log.stream)
        return cls(config, store, Clock(quiet), hooks, log, spec, known)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run one step, with the site's hooks before and after it."""
        self.log.note(f"step {name}")
        self.known.log = self.log.stream
        with self.clock.step(name) as line:
            self.hooks.call(f"before_{name}", self.known)
            yield Step(line.update, line.show, vars(self.known).update)
            self.hooks.call(f"after_{name}", self.known)

    def remark(self, text: str) -> None:
        """A warning that is not to be lost among what is being done."""
        console.warn(text)
        self.log.note(text)


@dataclass(frozen=True)
class Work:
    """A build under way: its desk, what is built, and where.

    ``read`` is what it has read, ``fetched`` what it has downloaded; ``before`` is the lock of
    the contents that are changed, if it does not begin with nothing.
    """

    desk: Desk
    plan: Plan
    scratch: Scratch
    line: Step | None = None
    read: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: Lock | None = None

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.desk.config

    def say(self, text: str) -> None:
        """Tell in a few words what is being done."""
        if self.line is not None:
            self.line.update(text)

    def open(self, kind: type[_Box], **more: Any) -> _Box:
        """A box of that kind."""
        plan = self.plan
        return kind(
            plan.layout.target(plan),
            plan.recipe.directory,
            plan.base,
            plan.lock,
            self.config,
            scratch=self.scratch,
            log=self.desk.log.stream,
            say=self.say,
            before=self.before,
            changing=self.scratch.upper is not None,
            read=self.read,
            fetched=self.fetched,
            network=plan.recipe.network,
            reads=[Path(path) for path in guarded(plan.recipe, "reads")],
            nests=bool(plan.needs),
            seen=[Path(needed.prefix) for needed in plan.needs],  # in whichever root
            **more,
        )

    def call(self, box: RealBox, *methods: str) -> None:
        """Have the recipe do its part."""
        for method in methods:
            with recipe_code(self.plan.recipe, method), contextlib.redirect_stdout(sys.stderr):
                getattr(self.plan.recipe, method)(box)

    def tell(self, box: RealBox) -> None:
        """Tell what is remarkable of what was done in a box."""
        while box.remarks:
            self.desk.remark(box.remarks.pop(0))

    def run(self, line: list[str]) -> str:
        """Run a program of the host outside of any box. Raises ``StepError``."""
        return process.run(" ".join(line), line, os.environ, Path("/"), self.desk.log.stream)

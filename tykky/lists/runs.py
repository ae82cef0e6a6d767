"""What becomes of the builds of a list: a folder for each call, and one with the logs of failures.

::

    <builds_dir>/<number>/run.json     who began it, when and how, and its tasks
    <builds_dir>/<number>/flags.json   what the jobs set besides, for its user only
    <builds_dir>/<number>/jobs.json    the jobs of the batch system
    <builds_dir>/<number>/3.out        what the build of the third task has said
    <builds_dir>/<number>/3.began      who builds it
    <builds_dir>/<number>/3.json       what became of it
    <builds_dir>/failed/NAME@VERSION.log   the log of the last failure, until it is built
    <builds_dir>/leases/NAME@VERSION   held while somebody builds it

Everything is written whole, so that whoever looks needs no lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import Timeout

from tykky.errors import Exit, StoreError, TykkyError, explained, masked
from tykky.files import Permissions, discard, make_folder, read_json, write_file
from tykky.host import host_name, now, user_name
from tykky.store import claims
from tykky.store.record import frozen, is_a

#: How many finished ones are kept, besides the logs of what failed.
KEPT = 30
#: Seconds after which one counts as finished that has never said so: its jobs are gone.
_OLD = 30 * 86400
#: More tasks than any list has; whoever looks does not look at more.
_MANY = 5000
#: What may have become of a task.
DONE, THERE, FAILED, SKIPPED, STOPPED = "done", "there already", "failed", "not begun", "stopped"
TIME, MEMORY = "out of time", "out of memory"
#: What may become of one that has not ended.
WAITING, BUILDING, LOST = "waiting", "building", "lost"
GOOD = (DONE, THERE)
_Any = TypeVar("_Any")
#: What is looked at in what was written by who may write here.
_CHECKED = ("int", "float", "str", "tuple[int, ...]", "tuple[str, ...]", "Mapping[str, str]")


@dataclass(frozen=True)
class Task:
    """One stack that is to be built; ``after`` are the numbers of those that it counts on.

    ``resources`` are for its job; ``where`` is the line of the list. ``flags`` are what it sets of
    the configuration, which is not for everybody to read.
    """

    number: int
    spec: str
    module: str
    root: str
    arch: str
    after: tuple[int, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    words: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """What its files are called."""
        return self.module.replace("/", "@")


@dataclass(frozen=True)
class Result:
    """What became of a task, or is becoming of it; ``ended`` is in seconds of the epoch."""

    state: str
    seconds: float = 0.0
    host: str = ""
    job: str = ""
    cause: str = ""
    remedy: str = ""
    code: int = 0
    log: str = ""
    ended: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the stack is there now."""
        return self.state in GOOD

    @property
    def error(self) -> TykkyError:
        """The error that it ended with."""
        cause = self.cause or self.state
        code = Exit(self.code) if self.code in {*Exit} else Exit.FAILED
        return TykkyError(cause, remedy=self.remedy, code=code or Exit.FAILED)


@dataclass(frozen=True)
class Run:
    """A call that builds what a list wants."""

    folder: Path
    list: str
    user: str
    host: str
    when: str
    engine: str
    cwd: str
    process: int
    tasks: tuple[Task, ...]

    @property
    def number(self) -> int:
        """What people call it."""
        return int(self.folder.name)

    def path(self, task: int, kind: str) -> Path:
        """A file of a task: ``json``, ``began`` or ``out``."""
        return self.folder / f"{task}.{kind}"

    def result(self, task: int) -> Result | None:
        """What became of a task, as far as it has said so."""
        return _result(self.path(task, "json"))

    def began(self, task: int) -> Result | None:
        """Who builds a task, or has built it."""
        return _result(self.path(task, "began"))

    @property
    def is_own(self) -> bool:
        """Whether whoever asks has begun it, and not somebody else who only says so."""
        try:
            owner = (self.folder / "run.json").lstat().st_uid
        except OSError:
            return False
        return self.user == user_name() and owner == os.geteuid()

    @property
    def is_held(self) -> bool:
        """Whether the process that has begun it still runs, wherever."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False


@dataclass(frozen=True)
class Runs:
    """All of them that a folder has."""

    folder: Path
    permissions: Permissions

    def begin(self, tasks: tuple[Task, ...], source: Path, engine: str) -> Run:
        """A new one. Raises ``TykkyError``."""
        with explained("keep what becomes of the builds", "builds_dir"):
            make_folder(self.folder, self.permissions)
            number = max(self._numbers(), default=0) + 1
            while True:
                folder = self.folder / str(number)
                try:
                    folder.mkdir()
                    break
                except FileExistsError:
                    number += 1
            self.permissions.apply(folder)
            run = Run(
                folder,
                os.path.realpath(source),
                user_name(),
                host_name(),
                now(),
                engine,
                str(Path.cwd()),
                os.getpid(),
                tasks,
            )
            open_tasks = [{k: v for k, v in asdict(t).items() if k != "flags"} for t in tasks]
            data = {**asdict(replace(run, tasks=())), "tasks": open_tasks}
            del data["folder"]
            if engine == "slurm":
                flags = {str(task.number): dict(task.flags) for task in tasks}
                how = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with os.fdopen(os.open(folder / "flags.json", how, 0o600), "w") as file:
                    json.dump(flags, file)
            self.write(folder / "run.json", data)
        self._tidy(number)
        return run

    def write(self, path: Path, data: Any) -> None:
        """Write a file of a run. Raises ``OSError``."""
        text = masked(json.dumps(data, indent=1, default=str))
        write_file(path, text.encode() + b"\n", self.permissions)

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - the names are enough
        except OSError:
            return []
        return sorted(int(name) for name in names if name.isdecimal())

    def all(self) -> Iterator[Run]:
        """Those that can be read, the latest first."""
        for number in reversed(self._numbers()):
            with contextlib.suppress(StoreError):
                yield self.one(number)

    def one(self, number: int) -> Run:
        """One of them. Raises ``StoreError``."""
        folder = self.folder / str(number)
        try:
            data = read_json(folder / "run.json")
            rows = data.get("tasks") if isinstance(data, dict) else None
            if not isinstance(rows, list) or len(rows) > _MANY:
                raise ValueError("it is none, or has more tasks than any list")
            tasks = tuple(_made(Task, row) for row in rows)
            return _made(Run, {**data, "folder": folder, "tasks": tasks})
        except FileNotFoundError:
            remedy = "'tykky builds' lists those that are known"
            raise StoreError(f"there is no run {number} in {self.folder}", remedy=remedy) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            cause = f"what is known of the run {number} cannot be read: {error}"
            remedy = f"remove {folder}"
            raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED) from None

    def flags(self, run: Run) -> dict[int, dict[str, str]]:
        """What the tasks set of the configuration, of one's own only. Raises ``TykkyError``."""
        path = run.folder / "flags.json"
        with explained("read what the run sets", "builds_dir"):
            owner = path.stat().st_uid
            try:
                rows = read_json(path)
            except ValueError:
                rows = None
        if owner != os.geteuid() or not is_a("Mapping[str, Mapping[str, str]]", rows):
            cause = f"{path} is not what you have written"
            remedy = "whoever has begun the run can do its tasks"
            raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
        return {int(number): each for number, each in rows.items() if number.isdecimal()}

    def _tidy(self, newest: int) -> None:
        """Remove what has ended long ago, as far as it is one's own."""
        for number in self._numbers()[:-KEPT]:
            if number == newest:
                continue
            with contextlib.suppress(OSError, StoreError):
                run = self.one(number)
                ended = all(run.result(task.number) for task in run.tasks)
                old = time.time() - run.folder.stat().st_mtime > _OLD
                if (ended or run.engine == "here" or old) and not run.is_held:
                    discard(run.folder)

    # -- tasks -----------------------------------------------------------------------

    def settle(self, run: Run, task: Task, result: Result, log: bytes = b"") -> Result:
        """Note what became of a task, and keep the log of a failure. Gives the result with that."""
        failed = self.folder / "failed"
        path = failed / f"{task.file_name}.log"
        with explained("note what became of a build", "builds_dir"):
            if result.state in (FAILED, TIME, MEMORY):
                make_folder(failed, self.permissions)
                write_file(path, log, self.permissions)
                result = replace(result, log=str(path))
                self.write(path.with_suffix(".json"), asdict(result))
            elif result.is_good:
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)
            self.write(run.path(task.number, "json"), asdict(result))
        return result

    def failed_since(self, task: Task, moment: float) -> Result | None:
        """How somebody else has failed to build the same since a moment, if so."""
        found = _result(self.folder / "failed" / f"{task.file_name}.json")
        return found if found is not None and found.ended > moment else None

    def lease(self, task: Task) -> claims.Lock | None:
        """The lock that keeps others with the same list from building the same.

        Raises ``Timeout`` if somebody has it; ``None`` where no locks work.
        """
        return claims.take(self.lease_of(task), self.permissions, task.module, timeout=0)

    def lease_of(self, task: Task) -> Path:
        """The file of that lock."""
        return self.folder / "leases" / task.file_name


def _result(path: Path) -> Result | None:
    try:
        return _made(Result, read_json(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _made(kind: type[_Any], data: Mapping[str, Any]) -> _Any:
    """A value from its JSON. Raises ``TypeError`` for what is missing or of another kind."""
    known = fields(kind)  # type: ignore[arg-type]
    kinds = {each.name: str(each.type) for each in known}
    if not isinstance(data, Mapping):
        raise TypeError(f"{data!r:.40} has no names")
    for each in known:
        if each.name not in data and each.default is MISSING and each.default_factory is MISSING:
            raise TypeError(f"it has no '{each.name}'")
    values = {name: frozen(value) for name, value in data.items() if name in kinds}
    for name, value in values.items():
        number = kinds[name] == "float" and type(value) in (int, float)
        if kinds[name] in _CHECKED and not (number or is_a(kinds[name], value)):
            raise TypeError(f"'{name}' is {value!r:.40}")
    return kind(**values)


@contextlib.contextmanager
def holding(run: Run, permissions: Permissions) -> Iterator[None]:
    """Let others see that this process is at work on a run."""
    lock, path = None, run.folder / "lock"
    with contextlib.suppress(Timeout):
        lock = claims.take(path, permissions, f"the run {run.number}", shown=True, timeout=0)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def moment() -> float:
    """Now, in seconds of the epoch."""
    return round(time.time(), 3)

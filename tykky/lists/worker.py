"""One build of a list, in a process of its own: 'tykky install', whose answer becomes a result."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tykky import bases
from tykky.config import variable_of
from tykky.errors import Exit, explained, masked
from tykky.host import host_name
from tykky.lists.runs import (
    BUILDING,
    DONE,
    FAILED,
    MEMORY,
    STOPPED,
    THERE,
    TIME,
    Result,
    Run,
    Runs,
    Task,
    moment,
)
from tykky.resources import resource

#: Seconds that a build has to clean up, and its memory for the last lines of a log.
_PATIENCE, _LINES = 60, 8 << 20
#: What a batch system has written where memory ran out.
_SAYS_MEMORY = re.compile(r"(?i)exceeded (job|step)?\s*memory limit|oom[-_ ]?kill|out of memory")


def program() -> str:
    """The program ``tykky`` of this installation."""
    own = Path(sys.prefix, "bin/tykky")
    return str(own if own.is_file() else resource("share") / "bin/tykky")


@dataclass
class Build:
    """A build under way; ``limit`` are the seconds that it may take, if it may not take any."""

    runs: Runs
    run: Run
    task: Task
    flags: Mapping[str, str]
    limit: float = 0
    job: str = ""
    child: subprocess.Popen[bytes] | None = None
    started: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start it. Raises ``TykkyError``."""
        with explained("note what becomes of a build", "builds_dir"):
            for kind in ("json", "answer"):  # of an attempt before this one
                self._path(kind).unlink(missing_ok=True)
            self.runs.write(self._path("began"), asdict(self._result(BUILDING)))
        line, variables = _line(self.task, self.flags)
        with (
            explained("start a build", "builds_dir"),
            self._path("answer").open("wb") as answer,
            self._path("out").open("ab") as out,
        ):
            self._path("out").chmod(0o600)  # which may quote what is secret
            self._path("answer").chmod(0o600)
            self.child = subprocess.Popen(
                line,
                env={**os.environ, **variables},
                cwd=self.run.cwd if Path(self.run.cwd).is_dir() else "/",
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=out,
            )

    def poll(self) -> Result | None:
        """What became of it, once it has ended; it is ended when its time is over."""
        assert self.child is not None
        status = self.child.poll()
        if status is None and self.limit and time.monotonic() - self.started > self.limit:
            self._end()
            return self._ended(self._short(TIME, short_of(TIME, self.task)))
        return None if status is None else self._ended(self._told(status))

    def stop(self) -> Result:
        """End it, and say so."""
        if self.child is not None:
            self._end()
        cause, code = f"the build of {self.task.module} was stopped", Exit.TERMINATED
        result = self._result(STOPPED, cause=cause, remedy="the same command goes on", code=code)
        return self.runs.settle(self.run, self.task, result)

    def _end(self) -> None:
        assert self.child is not None
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def _path(self, kind: str) -> Path:
        return self.run.path(self.task.number, kind)

    def _result(self, state: str, **more: Any) -> Result:
        taken = round(time.monotonic() - self.started, 1)
        return Result(state, taken, machine(), self.job, ended=moment(), **more)

    def _short(self, state: str, cause: str) -> Result:
        return self._result(state, cause=cause, remedy=remedy_of(state), code=Exit.JOB)

    def _told(self, status: int) -> Result:
        """What an ended build has answered."""
        answer: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            answer = json.loads(self._path("answer").read_bytes())
        if status == 0 and answer.get("result"):
            did = answer["result"][0]["did"]
            return self._result(THERE if did == "nothing" else DONE)
        if _memory_ran_out():
            return self._short(MEMORY, short_of(MEMORY, self.task))
        errors = answer.get("errors") or [{}]
        cause = errors[0].get("cause") or f"the build ended with status {status}"
        if where := errors[0].get("where"):
            cause = f"{cause} ({where})"
        if status in (Exit.INTERRUPTED, Exit.TERMINATED):
            return self._result(STOPPED, cause=cause, code=status)
        code = status if status in {*Exit} else Exit.FAILED
        return self._result(FAILED, cause=cause, remedy=errors[0].get("remedy", ""), code=code)

    def _ended(self, result: Result) -> Result:
        log = b"" if result.is_good else self._log()
        settled = self.runs.settle(self.run, self.task, result, log)
        self._path("answer").unlink(missing_ok=True)
        return settled

    def _log(self) -> bytes:
        """What the build has said, and the log of its steps, which only this node may have."""
        said = _tail(self._path("out"))
        found = re.findall(r"(?:the whole log|Log): (/.*)", said)
        own = _tail(Path(found[-1])) if found else ""
        head = f"# {self.task.spec} on {machine()}, {self.task.where}\n"
        text = f"{head}{said}" + (f"\n# {found[-1]}\n{own}" if own else "")
        return masked(text).encode(errors="surrogateescape")


def machine() -> str:
    """The name of this machine, as the batch system calls it if it is one of its nodes."""
    return os.environ.get("SLURMD_NODENAME") or host_name()


def short_of(state: str, task: Task) -> str:
    """That a build got too little, and how much that was."""
    name = "time" if state == TIME else "memory"
    given = f" than the {task.resources[name]}" if name in task.resources else " than"
    return f"the build of {task.module} needs more {name}{given} that it was given"


def remedy_of(state: str) -> str:
    """What helps a build that got too little."""
    name = "time" if state == TIME else "memory"
    return f"raise 'slurm: {name}' of the stack in the list, or of the recipe, or 'slurm.{name}'"


def ran_out_of_memory(out: Path) -> bool:
    """Whether the batch system says so in what a job has printed."""
    return bool(_SAYS_MEMORY.search(_tail(out, 1 << 16)))


def wrong_machine(task: Task) -> Result | None:
    """The result of a build that has come to a machine of another architecture."""
    here = bases.arch()
    if task.arch == here:
        return None
    return Result(
        FAILED,
        host=machine(),
        cause=f"{task.spec} is for {task.arch}, and {machine()} is {here}",
        remedy=f"name a feature of such nodes: 'slurm.architectures' with {task.arch}=FEATURE",
        code=Exit.NODE,
        ended=moment(),
    )


def _line(task: Task, flags: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command line of a build, and the variables that have what nobody else may see."""
    secret = {key: value for key, value in flags.items() if masked(value) != value}
    plain = [f"-c{key}={value}" for key, value in flags.items() if key not in secret]
    line = [program(), "install", "--json", *plain, *task.words, *task.spec.split()]
    return line, {variable_of(key): value for key, value in secret.items()}


def _tail(path: Path, size: int = _LINES) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - size))
            return stream.read().decode(errors="surrogateescape")
    except OSError:
        return ""


def _memory_ran_out() -> bool:
    """Whether the kernel has killed something of this job because its memory was used up."""
    if "SLURM_JOB_ID" not in os.environ:
        return False
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names not in ("", "memory"):
                continue
            top = Path("/sys/fs/cgroup", names)
            name = "memory.oom_control" if names else "memory.events"
            for folder in (top / path.lstrip("/"), (top / path.lstrip("/")).parent):
                if re.search(r"^oom_kill [1-9]", _tail(folder / name), re.MULTILINE):
                    return True
    return False

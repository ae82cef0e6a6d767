"""Slurm: jobs are submitted, looked at and cancelled by its own programs, without accounting.

And a command is run in a job that is waited for, for what it prints.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tykky.errors import Exit, ToolError, TykkyError, explained

#: States of jobs that have ended, for good; one that was requeued has none of them.
ENDED = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED"}
    | {"BOOT_FAIL", "DEADLINE", "REVOKED"}
)
#: The option of sbatch for each resource.
_OPTIONS = {"memory": "mem", "cpus": "cpus-per-task"}
#: Seconds that nobody waits longer for an answer, and after which it is said what is waited for.
_PATIENCE, _LATE = 90, 3
#: What its programs print where nobody answers them.
_SILENCE = re.compile(
    r"(?i)unable to contact|timed out|connection (refused|failure)|zero bytes"
    r"|in standby mode|munged? (encode|communication)"
)


class Job(NamedTuple):
    """A job as the batch system knows it now."""

    state: str
    reason: str
    node: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended, for good."""
        return self.state in ENDED


class SilentError(TykkyError):
    """Slurm does not answer; ``words`` are those of its program."""

    def __init__(self, words: str) -> None:
        remedy = "run the same command again once 'scontrol ping' says that slurmctld is up"
        super().__init__(f"Slurm does not answer: {words}", remedy=remedy, code=Exit.JOB)


class RefusedError(TykkyError):
    """A job that sbatch does not take, for what it asks for; ``why`` are its words."""

    def __init__(self, printed: str) -> None:
        told = tuple(line for line in printed.splitlines() if line.strip())[-6:]
        self.why = told[-1].removeprefix("sbatch: error: ") if told else "it does not say why"
        super().__init__(
            f"sbatch has refused a build: {self.why}",
            remedy="correct the section 'slurm' of the list, the recipe or the configuration; "
            "'sinfo' shows what there is",
            code=Exit.JOB,
            details=told,
        )


def submit(
    script: str,
    *,
    name: str,
    indexes: Iterable[int],
    at_once: int,
    output: Path,
    directory: Path,
    resources: Mapping[str, str],
    after: Sequence[str],
    say: Callable[[str], None],
) -> str:
    """Submit an array of jobs, which begins once those ``after`` which it comes have ended.

    ``output`` ends with what is to be the index; ``say`` is told what is waited for. Gives its
    number. Raises ``TykkyError``.
    """
    limit = f"%{at_once}" if at_once else ""
    words = [
        "--parsable",
        "--export=ALL",
        "--requeue",
        "--open-mode=append",
        f"--job-name={name}",
        f"--array={','.join(map(str, indexes))}{limit}",
        f"--output={_plain(output.parent)}/{output.name}",
        f"--chdir={directory}",
        *(f"--{_OPTIONS.get(key, key)}={value}" for key, value in resources.items()),
    ]
    if after:
        words.append(f"--dependency=afterany:{':'.join(after)}")
    done = _run("sbatch", words, script, say=say)
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return done.stdout.strip().partition(";")[0]


def jobs(user: str, say: Callable[[str], None] | None = None) -> dict[str, Job] | None:
    """What the batch system knows of a user's jobs, by their numbers; nothing if it cannot tell.

    Those that ended some minutes ago are not among them. ``say`` is told what is waited for.
    Raises ``SilentError``, ``ToolError``.
    """
    words = ["--noheader", "--array", "--states=all", f"--user={user}", "--format=%i|%T|%r|%N"]
    done = _run("squeue", words, say=say)
    if done.returncode != 0:
        return None
    rows = (line.split("|") for line in done.stdout.splitlines())
    return {row[0].strip(): Job(*map(str.strip, row[1:])) for row in rows if len(row) == 4}


def cancel(numbers: Sequence[str]) -> None:
    """Cancel jobs. Raises ``TykkyError``."""
    done = _run("scancel", numbers)
    if done.returncode != 0:
        told = done.stderr.strip().splitlines() or ["it does not say why"]
        cause, remedy = f"scancel has failed: {told[-1]}", "run the same command again"
        raise TykkyError(cause, remedy=remedy, code=Exit.JOB)


def through_srun(options: str, words: Sequence[str]) -> str:
    """What a command prints as one task of srun. Raises ``TykkyError`` if it prints nothing."""
    own = _own(options)
    line = [_program("srun"), "--quiet", "--ntasks=1", *own, *words]
    done = subprocess.run(line, capture_output=True, text=True)
    return _said("srun", done.stdout, done.stderr)


def through_sbatch(options: str, words: Sequence[str], folder: Path) -> str:
    """The same in a batch job, which is waited for.

    ``folder`` is seen by its node as well; what it prints goes by a file in there.
    """
    own, program = _own(options), _program("sbatch")
    with explained(f"write into {folder}"), tempfile.TemporaryDirectory(dir=folder) as made:
        output, errors = Path(made, "out"), Path(made, "err")
        line = [program, "--wait", "--quiet", "--ntasks=1", f"--output={_plain(output)}"]
        line += [f"--error={_plain(errors)}", *own]
        script = f"#!/bin/sh\nexec {shlex.join(words)}\n"
        done = subprocess.run(line, input=script, capture_output=True, text=True)
        texts = [p.read_text(errors="replace") if p.exists() else "" for p in (output, errors)]
        return _said("sbatch", texts[0], texts[1] or done.stderr)


def _plain(path: Path) -> str:
    """A path in which Slurm puts in nothing."""
    return str(path).replace("%", "%%")


def _own(options: str) -> list[str]:
    """Somebody's own options, each a word."""
    try:
        return shlex.split(options)
    except ValueError as error:
        cause = f"the options {options!r} cannot be taken apart: {error}"
        raise TykkyError(cause, remedy="quote them as for a shell", code=Exit.USAGE) from None


def _said(program: str, output: str, errors: str) -> str:
    if output.strip():
        return output
    told = tuple(line for line in errors.splitlines() if line.strip())[-6:]
    raise TykkyError(f"the job of {program} gave no answer", details=told)


def _program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        remedy = "call it where Slurm is, or without that option"
        raise ToolError(f"there is no {name} on this machine", remedy=remedy)
    return found


def _run(
    program: str,
    words: Sequence[str],
    text: str = "",
    *,
    say: Callable[[str], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of Slurm. Raises ``SilentError``, and ``ToolError`` if it is not there."""
    path = _program(program)
    # A job that submits others hands them nothing of what it was given itself.
    variables = {n: v for n, v in os.environ.items() if n[:6] != "SLURM_" or n == "SLURM_CONF"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [path, *words],
        env=variables,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        errors="replace",
    ) as child:
        try:
            try:
                out, errors = child.communicate(text, timeout=_LATE)
            except subprocess.TimeoutExpired:
                if say is not None:
                    say(f"waiting for Slurm, which has not answered {program} yet")
                out, errors = child.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            raise SilentError(f"{program} has waited for {_PATIENCE} seconds") from None
        except BaseException:
            child.kill()
            raise
    lines = [line for line in errors.splitlines() if _SILENCE.search(line)]
    if child.returncode != 0 and lines:
        raise SilentError(lines[-1].strip().removeprefix(f"{program}: error: "))
    return subprocess.CompletedProcess([program], child.returncode, out, errors)

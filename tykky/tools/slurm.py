"""Slurm: jobs are submitted, looked at and cancelled by its own programs, without accounting."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tykky.errors import Exit, ToolError, TykkyError

#: States of jobs that have ended, for good; one that was requeued has none of them.
ENDED = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED"}
    | {"BOOT_FAIL", "DEADLINE", "REVOKED"}
)
#: The option of sbatch for each resource.
_OPTIONS = {"memory": "mem", "cpus": "cpus-per-task"}
#: Seconds that nobody waits longer for an answer.
_PATIENCE = 90


class Job(NamedTuple):
    """A job as the batch system knows it now."""

    state: str
    reason: str
    node: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended, for good."""
        return self.state in ENDED


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
) -> str:
    """Submit an array of jobs, which begins once those ``after`` which it comes have ended.

    ``output`` ends with what is to be the index. Gives its number. Raises ``TykkyError``.
    """
    limit = f"%{at_once}" if at_once else ""
    folder = str(output.parent).replace("%", "%%")
    words = [
        "--parsable",
        "--requeue",
        "--open-mode=append",
        f"--job-name={name}",
        f"--array={','.join(map(str, indexes))}{limit}",
        f"--output={folder}/{output.name}",
        f"--chdir={directory}",
        *(f"--{_OPTIONS.get(key, key)}={value}" for key, value in resources.items()),
    ]
    if after:
        words.append(f"--dependency=afterany:{':'.join(after)}")
    done = _run("sbatch", words, script)
    if done.returncode != 0:
        told = tuple(line for line in done.stderr.splitlines() if line.strip())[-6:]
        why = told[-1].removeprefix("sbatch: error: ") if told else "it does not say why"
        raise TykkyError(
            f"sbatch has refused a build: {why}",
            remedy="correct the section 'slurm' of the list, the recipe or the configuration; "
            "'sinfo' shows what there is",
            code=Exit.JOB,
            details=told,
        )
    return done.stdout.strip().partition(";")[0]


def jobs(user: str) -> dict[str, Job] | None:
    """What the batch system knows of a user's jobs, by their numbers; nothing if it cannot tell.

    Those that ended some minutes ago are not among them.
    """
    words = ["--noheader", "--array", "--states=all", f"--user={user}", "--format=%i|%T|%r|%N"]
    done = _run("squeue", words)
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


def _run(program: str, words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of Slurm. Raises ``ToolError`` if it is not there."""
    path = shutil.which(program)
    if path is None:
        remedy = "run this where Slurm is, or leave out --slurm: then it is built on this machine"
        raise ToolError(f"{program} of Slurm is not there", remedy=remedy)
    # A job that submits others hands them nothing of what it was given itself.
    variables = {n: v for n, v in os.environ.items() if n[:6] != "SLURM_" or n == "SLURM_CONF"}
    try:
        return subprocess.run(
            [path, *words],
            env=variables,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        late = f"{program}: error: no answer for {_PATIENCE} seconds"
        return subprocess.CompletedProcess([program], 1, "", late)

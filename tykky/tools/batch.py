"""Slurm: a command in a job, and what it has printed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tykky.errors import ToolError, TykkyError, explained


def through_srun(options: str, words: Sequence[str]) -> str:
    """What a command prints as one task of srun. Raises ``TykkyError`` if it prints nothing."""
    line = [_program("srun"), "--quiet", "--ntasks=1", *shlex.split(options), *words]
    done = subprocess.run(line, capture_output=True, text=True)
    return _said("srun", done.stdout, done.stderr)


def through_sbatch(options: str, words: Sequence[str], folder: Path) -> str:
    """The same in a batch job, which is waited for.

    ``folder`` is seen by its node as well; what it prints goes by a file in there.
    """
    program = _program("sbatch")
    with explained(f"write into {folder}"), tempfile.TemporaryDirectory(dir=folder) as made:
        output, errors = Path(made, "out"), Path(made, "err")
        line = [program, "--wait", "--quiet", "--ntasks=1", f"--output={output}"]
        line += [f"--error={errors}", *shlex.split(options)]
        script = f"#!/bin/sh\nexec {shlex.join(words)}\n"
        done = subprocess.run(line, input=script, capture_output=True, text=True)
        texts = [p.read_text(errors="replace") if p.exists() else "" for p in (output, errors)]
        return _said("sbatch", texts[0], texts[1] or done.stderr)


def _program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        remedy = "call it where Slurm is, or without that option"
        raise ToolError(f"there is no {name} on this machine", remedy=remedy)
    return found


def _said(program: str, output: str, errors: str) -> str:
    if output.strip():
        return output
    told = tuple(line for line in errors.splitlines() if line.strip())[-6:]
    raise TykkyError(f"the job of {program} gave no answer", details=told)

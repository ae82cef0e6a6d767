"""What git knows of a folder: the commit it is at, and whether it was changed since."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tykky.errors import masked

#: Seconds that nobody waits longer for an answer.
_PATIENCE = 20


def state_of(folder: Path) -> dict[str, str]:
    """``commit``, ``state`` (``clean`` or ``dirty``) and ``remote`` of the repository of a folder.

    Only what is below the folder counts for the state. Nothing without git, outside of a
    repository, and for one that belongs to somebody else: git does not trust what that configures,
    unless the user or the site says so (``safe.directory``).
    """
    head = _git(folder, "status", "--porcelain=v2", "--branch", "--", ".")
    commit = next((line.split()[2] for line in head if line.startswith("# branch.oid ")), "")
    if not commit.isalnum():  # "(initial)": nothing was committed
        return {}
    dirty = any(not line.startswith("#") for line in head)
    if not dirty and not _git(folder, "ls-files", "--", "."):
        return {}  # it only lies below a repository, which ignores it
    remote = next(iter(_git(folder, "remote", "get-url", "origin")), "")
    found = {"commit": commit, "state": "dirty" if dirty else "clean", "remote": masked(remote)}
    return {name: value for name, value in found.items() if value}


def _git(folder: Path, *words: str) -> list[str]:
    """The lines that a command prints that only reads; none if it fails."""
    program = shutil.which("git")
    if program is None:
        return []
    variables = {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}
    variables |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    # A repository may name a program that watches its files.
    line = [program, "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(
            line,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []

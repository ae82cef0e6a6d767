"""What git knows of a folder, and what a repository has at a commit."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tykky.errors import ConfigError, Exit, ToolError, Where, explained, masked

#: Seconds that nobody waits longer for an answer; and for one of another machine.
_PATIENCE, _LONGEST = 20, 600
_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    # A repository may name a program that watches its files.
    line = [program, "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    done = _run(line, {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"})
    return done.stdout.splitlines() if done and done.returncode == 0 else []


def _run(
    line: list[str], more: Mapping[str, str] = _NOTHING, *, patience: int = _PATIENCE
) -> subprocess.CompletedProcess[str] | None:
    """Run git, which asks nobody anything; nothing if it cannot be run, or takes too long."""
    variables = {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            line,
            env={**variables, "GIT_TERMINAL_PROMPT": "0", **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=patience,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def at_commit(address: str, commit: str, cache: Path, where: Where) -> Path:
    """A repository that has a commit, fetched by the user's git if need be; its git directory.

    ``where`` is what names it. Raises ``ConfigError``, ``TykkyError``.
    """
    folder = cache / "git" / hashlib.sha256(address.encode()).hexdigest()[:16]
    if (program := shutil.which("git")) is None:
        cause = f"git is needed for {masked(address)}, and not there"
        raise ToolError(cause, remedy="install git, or include a file")
    if _has(folder, commit):
        return folder
    with explained("keep what git fetches", "cache_dir"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = ""
    lines: tuple[tuple[str, ...], ...] = (
        ("init", "--quiet", "--bare"),
        ("fetch", "--quiet", "--depth=1", "--no-tags", "--", address, commit),
        # A server may refuse to give a commit by its number.
        ("fetch", "--quiet", "--no-tags", "--", address, "+refs/heads/*:refs/kept/*"),
    )
    for words in lines:
        line = [program, f"--git-dir={folder}", *words]
        done = _run(line, patience=_LONGEST)
        said = (done.stderr if done else "") or said
        if _has(folder, commit):
            return folder
    lines_said = tuple(line for line in said.splitlines() if line.strip())[-6:]
    raise ConfigError(
        f"commit {commit[:12]} cannot be had from {masked(address)}",
        remedy=f"try it by hand: git ls-remote {shlex.quote(masked(address))}",
        where=where,
        code=Exit.NETWORK,
        details=lines_said,
    )


def content(repository: Path, commit: str, name: str, where: Where | None) -> bytes:
    """What a file of a commit holds. Raises ``ConfigError``."""
    program = shutil.which("git") or "git"
    line = [program, f"--git-dir={repository}", "cat-file", "blob", f"{commit}:{name}"]
    done = _run(line)
    if done is None or done.returncode != 0:
        cause = f"the commit {commit[:12]} has no file '{name}'"
        raise ConfigError(cause, remedy="check its path, which counts from the top", where=where)
    return done.stdout.encode(errors="surrogateescape")


def _has(repository: Path, commit: str) -> bool:
    program = shutil.which("git") or "git"
    line = [program, f"--git-dir={repository}", "cat-file", "-e", f"{commit}^{{commit}}"]
    done = _run(line) if (repository / "objects").is_dir() else None
    return done is not None and done.returncode == 0

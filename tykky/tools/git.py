"""What git knows of a folder, and what a repository has at a commit."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tykky import trust
from tykky.config.remotes import home
from tykky.errors import (
    ConfigError,
    Exit,
    ToolError,
    Where,
    did_you_mean,
    explained,
    masked,
)

#: Seconds that nobody waits longer for an answer; and for one of another machine.
_PATIENCE, _LONGEST = 20, 600
_NOTHING: Mapping[str, str] = MappingProxyType({})
#: As few letters of a commit's number as git itself shows.
_SHORTEST = 7
_ENTRY = re.compile(r"GIT_(SSH(_\w+)?|ASKPASS|SSL_\w+|PROXY_\w+|CONFIG_\w+)")
#: What is set after all that is configured.
_SAFELY = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "fetch.recurseSubmodules=no"),
    *("submodule.recurse=false", "gc.auto=0", "maintenance.auto=false"),
)
#: Where the branches and tags of another repository are kept.
_REFS = ("+refs/heads/*:refs/kept/heads/*", "+refs/tags/*:refs/kept/tags/*")


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
    return os.fsdecode(done.stdout).splitlines() if done and done.returncode == 0 else []


def _run(
    line: list[str],
    more: Mapping[str, str] = _NOTHING,
    *,
    patience: int = _PATIENCE,
    given: bytes = b"",
) -> subprocess.CompletedProcess[bytes] | None:
    """Run git; nothing if it cannot be run, or takes too long.

    It asks for passwords only whoever sits at a terminal, and otherwise has none that it could ask.
    """
    # Of its variables, those that say how it gets in; not those that say which repository it is.
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _ENTRY.match(name)
    }
    is_seen = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    if not is_seen:
        variables.pop("SSH_ASKPASS", None)  # a window
    try:
        return subprocess.run(
            line,
            env={**variables, "GIT_TERMINAL_PROMPT": "01"[is_seen], **more},
            input=given,
            capture_output=True,
            timeout=patience,
            check=False,
            start_new_session=not is_seen,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


@dataclass(frozen=True)
class Mirror:
    """What was fetched of a repository, in a git directory of the user's own beside the ``cache``.

    Nothing of it is ever checked out: git would run filters that its files name. Whatever a
    repository says, nothing else is fetched, no hook is run, and no program named by an address.
    ``where`` is what names the repository.
    """

    address: str
    cache: Path
    where: Where | None = None

    @property
    def folder(self) -> Path:
        """The git directory."""
        return home(self.cache) / "git" / hashlib.sha256(self.address.encode()).hexdigest()[:16]

    def resolve(self, wanted: str) -> tuple[str, str]:
        """The commit that a branch, a tag, or (the start of) a number means, and its ref if any.

        Nothing means the default branch. Raises ``TykkyError``.
        """
        with self._alone():
            done = self._git("ls-remote", "--", self.address, patience=_LONGEST)
        if done is None or done.returncode != 0:
            raise self._cannot("cannot be asked", done.stderr if done else b"")
        pairs = (line.split("\t") for line in os.fsdecode(done.stdout).splitlines())
        refs = {name: commit for commit, name in (pair for pair in pairs if len(pair) == 2)}
        names = [f"refs/heads/{wanted}", f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}"]
        is_head = wanted in ("", "HEAD")
        for name in ["HEAD"] if is_head else names:
            if name in refs:
                return refs[name], "" if is_head else wanted
        found = {commit for commit in refs.values() if wanted and commit.startswith(wanted)}
        if len(found) == 1 and len(wanted) >= _SHORTEST:
            return found.pop(), ""
        if commit := self._expanded(wanted):
            return commit, ""
        near = did_you_mean(wanted, [name.split("/", 2)[2] for name in refs if "/" in name])
        raise ConfigError(
            f"{masked(self.address)} has no branch, tag or commit '{wanted}'"
            if wanted
            else f"{masked(self.address)} has no commit at all",
            remedy=near or f"look what it has: git ls-remote {shlex.quote(masked(self.address))}",
            where=self.where,
        )

    def _expanded(self, start: str) -> str:
        """The commit whose number starts so, if there is one; empty if not."""
        if not re.fullmatch("[0-9a-f]{7,64}", start):
            return ""
        with self._alone():
            self._git("fetch", *self._all(), patience=_LONGEST)
            done = self._git("rev-parse", "--verify", "--quiet", f"{start}^{{commit}}")
        return os.fsdecode(done.stdout).strip() if done and done.returncode == 0 else ""

    def fetch(self, commit: str, patience: int = _LONGEST) -> None:
        """See that a commit is there. Raises ``ConfigError``, ``TykkyError``."""
        with self._alone():
            said = b""
            # A server may refuse to give a commit by its number.
            one = ("--quiet", "--depth=1", "--no-tags", "--", self.address, commit)
            for words in (one, None):
                if self._has(commit):
                    return
                done = self._git("fetch", *(words or self._all()), patience=patience)
                said = (done.stderr if done else b"") or said
            if not self._has(commit):
                raise self._cannot(f"does not give commit {commit[:12]}", said)

    def _all(self) -> tuple[str, ...]:
        """How all is fetched that the repository has, where a single commit cannot be had."""
        whole = ("--unshallow",) if (self.folder / "shallow").exists() else ()
        return ("--quiet", *whole, "--no-tags", "--force", "--", self.address, *_REFS)

    def content(self, commit: str, name: str) -> bytes:
        """What a file of a commit holds. Raises ``ConfigError``."""
        done = self._git("cat-file", "blob", f"{commit}:{name}")
        if done is None or done.returncode != 0:
            cause = f"the commit {commit[:12]} has no file '{name}'"
            remedy = "check its path, which counts from the top"
            raise ConfigError(cause, remedy=remedy, where=self.where)
        return done.stdout

    def tree(self, commit: str, path: str = "") -> dict[str, tuple[str, str, int]]:
        """The files below a folder of a commit: mode, id and size, by their paths from there.

        Raises ``ConfigError`` if that cannot be told.
        """
        done = self._git("ls-tree", "-r", "-l", "-z", "--full-tree", f"{commit}:{path}")
        if done is None or done.returncode != 0:
            cause = f"the commit {commit[:12]} of {masked(self.address)} has no folder '{path}'"
            raise ConfigError(cause, remedy="check its path", where=self.where)
        found = {}
        for entry in filter(None, os.fsdecode(done.stdout).split("\0")):
            facts, _, name = entry.partition("\t")
            mode, _, number, size = facts.split()
            found[name] = (mode, number, int(size) if size.isdigit() else 0)
        return found

    def blobs(self, numbers: Sequence[str]) -> list[bytes]:
        """What the files hold that have these ids. Raises ``ConfigError``."""
        given = "".join(f"{number}\n" for number in numbers).encode()
        done = self._git("cat-file", "--batch", given=given, patience=_LONGEST)
        rest, found = done.stdout if done and done.returncode == 0 else b"", []
        for number in numbers:
            head, _, rest = rest.partition(b"\n")
            words = head.split()
            if len(words) != 3 or words[0] != number.encode():
                cause = f"what git has kept of {masked(self.address)} is damaged"
                raise ConfigError(cause, remedy=f"remove {self.folder}", where=self.where)
            size = int(words[2])
            found.append(rest[:size])
            rest = rest[size + 1 :]
        return found

    def _git(
        self, *words: str, patience: int = _PATIENCE, given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes] | None:
        is_local = self.address.startswith(("/", "file://"))
        line = [shutil.which("git") or "git", f"--git-dir={self.folder}"]
        # The user's own configuration counts, which has the credentials; these come after it.
        line += [word for setting in _SAFELY for word in ("-c", setting)]
        allowed = {"GIT_ALLOW_PROTOCOL": "file" if is_local else "https:http:ssh:git"}
        return _run([*line, *words], allowed, patience=patience, given=given)

    def _has(self, commit: str) -> bool:
        done = self._git("cat-file", "-e", f"{commit}^{{commit}}")
        return done is not None and done.returncode == 0

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the git directory, which is made, so that no other fetches into it."""
        if shutil.which("git") is None:
            cause = f"git is needed for {masked(self.address)}, and not there"
            raise ToolError(cause, remedy="install git, or name a file or directory")
        with explained("keep what git fetches", "cache_dir"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self.check()
            with contextlib.suppress(OSError):  # where there are no locks
                fcntl.flock(number, fcntl.LOCK_EX)
                for left in self.folder.glob("*.lock"):  # by a git that was killed
                    left.unlink()
            if not (self.folder / "objects").is_dir():
                self._git("init", "--quiet", "--bare", "--template=")
            yield
        finally:
            os.close(number)

    def check(self) -> None:
        """Raise ``ConfigError`` where somebody else decides what is in the git directory."""
        trust.check(self.folder, "what git has fetched", ConfigError, (os.geteuid(),))

    def _cannot(self, why: str, said: bytes) -> ConfigError:
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        return ConfigError(
            f"{masked(self.address)} {why}",
            remedy=f"try it by hand: git ls-remote {shlex.quote(masked(self.address))}",
            where=self.where,
            code=Exit.NETWORK,
            details=tuple(map(masked, lines[-6:])),
        )

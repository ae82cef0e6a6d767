"""The box: what a recipe's steps are given to work in.

All have the same methods, so that a dry run is the very same recipe code.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from tykky.bases import PATH, Base, HostBase, ImageBase
from tykky.build.root import box_around, box_inside
from tykky.errors import RecipeError, StepError, masked
from tykky.host import user_name
from tykky.kinds import tree
from tykky.runtime.base import PINS
from tykky.tools import complaints, process, uv
from tykky.tools.enclosure import Access, closed, enclosed
from tykky.tools.process import Command
from tykky.tools.scratch import Scratch, contained

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.lock import Lock
    from tykky.store.place import Draft

#: Where fetched files are in the box of a build.
FETCHED = Path("/tmp/fetched")
#: The variables that say where agents listen that hold a user's keys.
AGENTS = ("SSH_AUTH_SOCK", "GPG_AGENT_INFO")


@dataclass(eq=False)
class Box(ABC):
    """A place to run a recipe's steps in.

    ``prefix`` is where the stack will live, ``directory`` the recipe's own folder with the files
    beside it.
    """

    prefix: Path
    directory: Path
    base: Base
    lock: Lock
    config: Config
    _: KW_ONLY
    #: Set for all commands; a kind may add what its commands count on.
    variables: dict[str, str] = field(default_factory=dict)
    #: What of the host's /tmp is to be seen in a box that has its own.
    seen: list[Path] = field(default_factory=list)
    #: Tells what is being done in a few words, for the progress line.
    say: Callable[[str], None] = lambda _: None
    #: What was installed already, where the contents of another generation are to be changed.
    before: Lock | None = None
    #: Whether they are there to be changed, by whatever means.
    changing: bool = False
    #: Warnings that are not to be lost among what is being done.
    remarks: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> int:
        """How many processes a step may start."""
        return self.config.jobs

    @abstractmethod
    def run(self, command: Command, *, env: Mapping[str, str] | None = None, say: str = "") -> str:
        """Run a command and return what it printed, standard error included.

        A string is given to ``sh -e``, without what all of its lines are indented by; a list is
        run as it is. ``env`` adds variables.
        Raises ``StepError`` with the last lines if it does not exit with 0.
        """

    @abstractmethod
    def do(self, what: str, action: Callable[[RealBox], None]) -> None:
        """Have a kind do something that is no command; ``what`` says it where it is planned."""

    @abstractmethod
    def write(self, path: str | Path, text: str) -> Path:
        """Write a file below the prefix (a relative path counts from there)."""

    @abstractmethod
    def copy(self, source: str | Path, target: str | Path = ".") -> Path:
        """Copy a file or directory of the host below the prefix, and return where it is there.

        A relative ``source`` counts from the recipe's folder. What a directory contains goes into
        ``target``; a file becomes ``target``, or goes into it if that is a directory. Raises
        ``StepError``.
        """

    @abstractmethod
    def link(self, path: str | Path, target: str | PurePath) -> Path:
        """Make a symbolic link below the prefix, in place of what has its name; its path."""

    @abstractmethod
    def real(self, path: str | Path) -> Path | None:
        """Where something below the prefix is on disk meanwhile; ``None`` if nothing is real."""

    @abstractmethod
    def fetch(self, url: str, *, sha256: str = "", name: str = "") -> Path:
        """Download a file and return its path in the box; ``name`` if not the address's own.

        Downloads are kept, and taken from the configured mirrors first. The build stops with
        both digests if the file is not the one that ``sha256`` names; without a digest, it is
        downloaded anew each time, and ``tykky audit`` refuses the recipe. Raises ``StepError``.
        """

    def inside(self, path: str | Path) -> Path:
        """The full path of something in the prefix. Raises ``StepError`` outside of it."""
        full = Path(os.path.normpath(self.prefix / path))
        if full != self.prefix and self.prefix not in full.parents:
            remedy = "use a relative path, or one that starts with box.prefix"
            raise StepError(f"a recipe may only write below its prefix, not {full}", remedy=remedy)
        return full


@dataclass(eq=False, kw_only=True)
class PlanBox(Box):
    """Writes down what would be done; ``lines`` has it.

    With ``strict``, it refuses what only a recipe that is still being written may do.
    """

    strict: bool = False
    lines: list[str] = field(default_factory=list)

    def run(self, command: Command, *, env: Mapping[str, str] | None = None, say: str = "") -> str:
        self.lines.append("run    " + process.shown(command))
        return ""

    def do(self, what: str, action: Callable[[RealBox], None]) -> None:
        self.lines.append(f"do     {what}")

    def write(self, path: str | Path, text: str) -> Path:
        full = self.inside(path)
        self.lines.append(f"write  {full}")
        return full

    def fetch(self, url: str, *, sha256: str = "", name: str = "") -> Path:
        file = _file_name(url, sha256, name)
        if self.strict and not sha256:
            remedy = "add sha256='...'; the log of a build says which it is"
            raise RecipeError(f"the recipe fetches {url} without a digest", remedy=remedy)
        self.lines.append(f"fetch  {url}")
        return FETCHED / file

    def copy(self, source: str | Path, target: str | Path = ".") -> Path:
        full = self.inside(target)
        self.lines.append(f"copy   {self.directory / source} to {full}")
        return full

    def link(self, path: str | Path, target: str | PurePath) -> Path:
        full = self.inside(path)
        self.lines.append(f"link   {full} to {target}")
        return full

    def real(self, path: str | Path) -> None:
        return None


@dataclass(eq=False, kw_only=True)
class RealBox(Box):
    """What the boxes that do something share: running, logging, explaining failures."""

    scratch: Scratch
    log: BinaryIO
    #: Where commands start on the host.
    cwd: Path = Path("/")
    #: What the recipe asks for besides: the network, and places of the host.
    network: bool = False
    reads: Sequence[Path] = ()
    #: Whether other stacks are to be entered.
    nests: bool = False
    #: Files of the host, and where commands find them to be read.
    files: dict[Path, Path] = field(default_factory=dict)
    #: What has been read from outside of the recipe's folder, with a digest of each.
    read: dict[str, str] = field(default_factory=dict)
    #: What has been downloaded, by its sha256, or was kept of an earlier download.
    fetched: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What is under way while a command runs, for it to use.
    beside: Callable[[], AbstractContextManager[None]] = nullcontext

    @abstractmethod
    def enclose(
        self, argv: list[str], env: Mapping[str, str]
    ) -> tuple[list[str], Mapping[str, str]]:
        """The command line that runs ``argv`` in this box, and the environment to start it with."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The variables that every command in this box has."""

    def run(self, command: Command, *, env: Mapping[str, str] | None = None, say: str = "") -> str:
        self.say(say or process.brief(command))
        argv, shown = process.words(command), process.shown(command)
        variables = {**self.environment(), **(env or {})}
        self.log.write(f"$ {masked(shown)}\n".encode(errors="backslashreplace"))
        self.log.flush()
        line, environment = self.enclose(argv, variables)
        try:
            with self.beside():
                return process.run(shown, line, environment, self.cwd, self.log, self.network)
        except StepError as error:
            if self.network:
                complaints.of_script(error, shown, uv.indexes(self.config))
            raise

    def do(self, what: str, action: Callable[[RealBox], None]) -> None:
        self.log.write(f"# {what}\n".encode())
        action(self)

    @property
    def program(self) -> Path | None:
        """The box to use for what is done besides its commands, if not the host's."""
        return None

    def access(self, places: Mapping[Path, Path]) -> Access:
        """What the box lets through, with ``places`` to write to."""
        seen = [self.config.root, self.directory, *self.config.repos, *self.seen]
        return Access(
            seen=seen,
            reads=[*self.config.reads, *self.reads],
            places=places,
            files=self.files,
            network=self.network,
            restrict=not self.nests,
            own_root=self.base.has_root,
        )

    def fetch(self, url: str, *, sha256: str = "", name: str = "") -> Path:
        from tykky import fetch

        file, cache = _file_name(url, sha256, name), self.config.cache_dir
        mirrors, patience = self.config.mirrors, self.config.timeout
        if sha256:
            kept = fetch.fetch(url, sha256, cache, mirrors=mirrors, patience=patience, say=self.say)
        else:
            kept, digest = fetch.fetch_unpinned(url, cache, self.say, patience=patience)
            self.say(f"{file} has no digest in the recipe; it is sha256='{digest}'")
        self.note_fetched(file, url, kept.name, kept)
        self.log.write(f"# fetched {masked(url)}: {kept.name}\n".encode())
        # A copy: what a step does to its file must not reach the cache.
        shutil.copyfile(kept, contained(self.scratch.tmp, Path(FETCHED.name, file)))
        return self.tmp / FETCHED.name / file

    def note_fetched(self, name: str, url: str, sha256: str, kept: Path) -> None:
        """Note that a file was downloaded, for the record; no ``url``: it is not known any more."""
        facts = {"name": name, "url": masked(url), "sha256": sha256, "bytes": kept.stat().st_size}
        self.fetched[sha256] = facts

    def copy(self, source: str | Path, target: str | Path = ".") -> Path:
        origin, full, real = self.directory / source, self.inside(target), self.real(target)
        into = origin.is_dir() or str(target).endswith("/")
        (real if into else real.parent).mkdir(parents=True, exist_ok=True)
        self.say(f"a copy of {origin}")
        if self.directory not in Path(os.path.normpath(origin)).parents:
            self.read[str(origin)] = tree.manifest(origin)
        line = ["cp", "--recursive", "--no-dereference", "--preserve=mode,timestamps"]
        line += ["--remove-destination"]  # never through a link that was built
        line += ["--reflink=auto", "--", f"{origin}/." if origin.is_dir() else str(origin)]
        line.append(str(real))
        process.run(f"copying {origin}", line, self.environment(), Path("/"), self.log)
        return full

    def real(self, path: str | Path) -> Path:
        return contained(self.scratch.root, self.inside(path).relative_to(self.prefix))

    def link(self, path: str | Path, target: str | PurePath) -> Path:
        real = self.real(path)
        real.unlink(missing_ok=True)
        real.symlink_to(target)
        return self.inside(path)

    @property
    def tmp(self) -> Path:
        """Where the scratch directory for temporary files is in this box."""
        return FETCHED.parent

    def write(self, path: str | Path, text: str) -> Path:
        self.real(path).write_text(text, encoding="utf-8")
        return self.inside(path)


class BuildBox(RealBox):
    """Commands see the scratch directory at the prefix, and what belongs to the system."""

    def environment(self) -> dict[str, str]:
        path = f"{self.prefix}/bin:{self.base.path}"
        return {**closed(self.scratch), "PATH": path, **self.variables}

    def enclose(
        self, argv: list[str], env: Mapping[str, str]
    ) -> tuple[list[str], Mapping[str, str]]:
        self.scratch.root.mkdir(parents=True, exist_ok=True)
        access = self.access({self.scratch.root: self.prefix})
        program = None
        if not isinstance(self.base, HostBase):
            seen = [*access.seen, *access.reads]
            program = box_inside(self.base, self.scratch, self.config, seen)
        return enclosed(argv, env, self.scratch, self.config, access, program=program)


@dataclass(eq=False, kw_only=True)
class TestBox(RealBox):
    """Commands run as a user's do: the generated ones, an empty folder, a clean environment."""

    __test__ = False  # not a test class, whatever its name says to a test runner
    #: The generation that is tried, and the folder with its commands.
    draft: Draft
    commands: Path

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.draft.place.prefix}/bin:{PATH}",
            PINS: f"{os.path.realpath(self.draft.place.prefix)}={self.draft.name}",
            "HOME": str(self.scratch.home),
            "TMPDIR": "/tmp",
            "LANG": "C.UTF-8",
            "USER": user_name(),
        }

    def enclose(
        self, argv: list[str], env: Mapping[str, str]
    ) -> tuple[list[str], Mapping[str, str]]:
        self.nests = True
        self.files = {self.commands: self.draft.place.prefix / "bin"}
        # The commands choose the root by themselves.
        access = replace(self.access({self.scratch.empty: self.scratch.empty}), own_root=False)
        return enclosed(argv, env, self.scratch, self.config, access)


@dataclass(eq=False, kw_only=True)
class OpenBox(RealBox):
    """Commands see the host as the user does, or an image, and the contents where they will be.

    What users have always run in the classic commands uses modules of the site, programs and files
    anywhere, and their own environment.
    """

    #: What of the host is seen in an image, and where contents lie.
    shown: Sequence[Path] = ()
    inside_at: Path
    #: What of the user's own it does not see, besides the agents; if nothing, these neither.
    hidden: Sequence[Path] = ()
    #: Prints a line of what the user's own scripts say.
    show: Callable[[str], None] = lambda _: None

    @cached_property
    def program(self) -> Path:
        """The box in which the path inside exists."""
        return box_around(self.base, self.scratch, self.config, self.shown, self.inside_at)

    def environment(self) -> dict[str, str]:
        # What is said to the commands of installs is not for a build, which is entered natively.
        said = ("TYKKY_RUNTIME", PINS, *(("SSH_AGENT_PID", *AGENTS) if self.hidden else ()))
        own = {name: value for name, value in os.environ.items() if name not in said}
        of_image = self.base.environment if isinstance(self.base, ImageBase) else {}
        path = {"PATH": self.base.path} if isinstance(self.base, ImageBase) else {}
        return {**own, **path, **of_image, **self.variables}

    @property
    def tmp(self) -> Path:
        return self.scratch.tmp

    def enclose(
        self, argv: list[str], env: Mapping[str, str]
    ) -> tuple[list[str], Mapping[str, str]]:
        return [str(self.program), *self._covers(), "--", *argv], env

    def _covers(self) -> Iterator[str]:
        """The options that lay nothing over what is hidden, where it is there to be seen."""
        shown = [Path(os.path.realpath(place)) for place in self.shown]
        for path in map(Path, dict.fromkeys(map(os.path.realpath, secrets(self.hidden)))):
            if isinstance(self.base, ImageBase) and not any(map(path.is_relative_to, shown)):
                continue
            if path.is_dir():
                yield from ("--tmpfs", str(path))
            elif path.exists():
                yield from ("--ro-bind", "/dev/null", str(path))


def secrets(hidden: Sequence[Path]) -> Iterator[str]:
    """What a user hides, and where agents of theirs listen; nothing if they hide nothing."""
    if hidden:
        yield from map(str, hidden)
        said = (os.environ.get(name, "").partition(":")[0] for name in AGENTS)
        yield from (path for path in said if path.startswith("/"))
        own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        yield from (f"{own}/gnupg", f"{own}/keyring")
        for folder in Path("/tmp").glob("ssh-*"):
            with suppress(OSError):
                if folder.stat().st_uid == os.geteuid():
                    yield str(folder)


def _file_name(url: str, sha256: str, name: str) -> str:
    """The name that a fetched file gets. Raises ``RecipeError`` for arguments that are none."""
    from tykky.fetch import is_sha256

    file = name or Path(unquote(urlsplit(url).path)).name
    if not file or file in (".", "..") or "/" in file:
        cause, remedy = f"the file at {url} has no name", "give it one: box.fetch(url, name='...')"
    elif sha256 and not is_sha256(sha256):
        cause = f"'{sha256}' is no sha256, which has 64 digits from 0-9 and a-f"
        remedy = "copy it from where the file is published, or from 'sha256sum FILE'"
    else:
        return file
    raise RecipeError(cause, remedy=remedy)

"""Jobs for the engine: a process of its own, judged by what it wrote.

Public names: ``Scene``, ``Outside``, ``Inside``, ``perform``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from tykky import fetch
from tykky.conda import problems
from tykky.errors import StepError, ToolError, masked
from tykky.tools.enclosure import closed, enclosed
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.config import Config

#: Where temporary files are in a box.
_TMP = Path("/tmp")


class Scene(Protocol):
    """Where jobs are done."""

    @property
    def config(self) -> Config:
        """The configuration, for the cache above all."""

    @property
    def tmp(self) -> Path:
        """What is ``/tmp`` where the engine runs."""

    def line(self, argv: Sequence[str], seen: Sequence[Path]) -> tuple[list[str], dict[str, str]]:
        """The command line and environment that run ``argv`` there; ``seen`` stays visible."""

    def note(self, said: bytes) -> None:
        """Keep what the engine printed."""


@dataclass(frozen=True)
class Outside:
    """Jobs from outside of any box get one; ``places`` are folders and where they lie in it.

    ``program`` is the box to use, if not the host's.
    """

    scratch: Scratch
    config: Config
    places: Mapping[Path, Path] = field(default_factory=dict)
    log: BinaryIO | None = None
    program: Path | None = None

    @classmethod
    def of(cls, box: RealBox) -> Outside:
        """The scene of a build: its scratch directory lies over the prefix."""
        places = {box.scratch.root: box.prefix}
        return cls(box.scratch, box.config, places, box.log, box.program)

    @property
    def tmp(self) -> Path:
        """The scratch directory for temporary files."""
        return self.scratch.tmp

    def line(self, argv: Sequence[str], seen: Sequence[Path]) -> tuple[list[str], dict[str, str]]:
        """The command line of a box."""
        variables = {**closed(self.scratch, self.config), "RATTLER_CACHE_DIR": "/tmp/rattler"}
        places = self.places
        line = enclosed(
            argv,
            variables,
            self.scratch,
            self.config,
            seen=seen,
            places=places,
            program=self.program,
        )
        return line, dict(os.environ)

    def note(self, said: bytes) -> None:
        """Write it into the log."""
        if self.log is not None:
            self.log.write(said)
            self.log.flush()


@dataclass(frozen=True)
class Inside:
    """Jobs from within a box are done in the same box."""

    config: Config

    @property
    def tmp(self) -> Path:
        """The same for both."""
        return _TMP

    def line(self, argv: Sequence[str], seen: Sequence[Path]) -> tuple[list[str], dict[str, str]]:
        """Just the command."""
        return list(argv), {**os.environ, "RATTLER_CACHE_DIR": "/tmp/rattler"}

    def note(self, said: bytes) -> None:
        """It goes where all output of the box goes."""
        sys.stderr.buffer.write(said)


def perform(job: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Have the engine do a job and return its result. Raises the error behind a refusal."""
    scene.tmp.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scene.tmp, prefix="conda-") as name:
        folder, inside = Path(name), _TMP / Path(name).name
        text = json.dumps({**job, "result": str(inside / "result.json")})
        (folder / "job.json").write_text(text, encoding="utf-8")
        # Channels on disk stay visible, wherever they are.
        urls = [url for url in job.get("channels", ()) if url.startswith("file:")]
        seen = [Path(unquote(urlsplit(url).path)) for url in urls]
        argv = [sys.executable, "-I", "-m", "tykky.conda.engine", str(inside / "job.json")]
        line, variables = scene.line(argv, seen)
        said = masked(_run(line, variables, job, scene.config.timeout).decode(errors="replace"))
        scene.note(said.encode())
        try:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise _unanswered(said) from None
    if "error" in result:
        raise problems.explain(result["error"], job)
    assert isinstance(result, dict)
    return result


def _run(
    line: list[str], variables: dict[str, str], job: Mapping[str, Any], patience: int
) -> bytes:
    process = subprocess.Popen(
        line,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        try:
            return process.communicate(timeout=patience)[0]
        except subprocess.TimeoutExpired:
            _check_alive(job, patience)
            return process.communicate()[0]
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _check_alive(job: Mapping[str, Any], patience: int) -> None:
    """Raise for a channel that says nothing at all, for which the engine would wait for long."""
    import requests

    for url in (url for url in job.get("channels", ()) if url.startswith("http")):
        place = job.get("mirrors", {}).get(f"{url}/", [f"{url}/"])[-1]
        try:
            # What the engine asks for: some servers answer nothing else, or everything else.
            address, wait = f"{place}noarch/repodata.json", (fetch.CONNECT, patience)
            requests.get(address, stream=True, timeout=wait).close()
        except requests.Timeout:
            raise problems.silent(url) from None
        except requests.RequestException:
            continue  # the engine will say what it is


def _unanswered(said: str) -> StepError | ToolError:
    """The error for a process that ended without an answer."""
    lines = tuple(line for line in said.splitlines() if line.strip())[-8:]
    if "No module named 'rattler'" in said:
        return ToolError(
            "py-rattler, which makes conda environments, is not installed",
            remedy="install it beside Tykky: 'pip install py-rattler'",
        )
    return StepError(
        "the process that makes conda environments ended without an answer",
        remedy="run it again; if it happens again, report it with the lines above",
        details=lines,
    )

"""Jobs for the engine: a process of its own, judged by what it wrote; and its refusals in words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tykky import fetch
from tykky.conda.channels import on_disk, public
from tykky.errors import Exit, StepError, ToolError, TykkyError, explained, masked
from tykky.tools.enclosure import Access, closed, enclosed
from tykky.tools.overlay import NoLayers
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.config import Config

#: Where temporary files are in a box.
_TMP = Path("/tmp")

_WHY = "'tykky config why conda.aliases' says what the names of channels mean here"
_VIRTUAL = re.compile(r"(__\w+) ([^,\n]+?), for which no candidates were found")
_MISSING = re.compile(r"[└├]─ (\S+) ([^,\n]*?),? for which no candidates were found")
_LATER = re.compile(
    r"[└├]─ (\S+) \S+ is excluded because due to strict channel priority[^']*'([^']*)'"
)
_TOO_NEW = re.compile(
    r"[└├]─ (\S+) ([^\n]*?) is excluded because the package is uploaded after the cutoff date of "
    r"(\S+)"
)
_UNTIMED = re.compile(r"[└├]─ (\S+) [^\n]*? is excluded because the package has no timestamp")
_DISTANT = re.compile(
    r"error sending request|dns error|tcp connect|connection|timed out|tls|certificate|"
    r"status client error|status server error|HTTP status",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Scene:
    """Where jobs are done: in a box of their own, or without ``scratch`` in the one they come from.

    ``places`` are folders and where they lie in it; what the engine prints goes to ``log``.
    ``program`` is the box to use, if not the host's; with ``own_root``, it is in an image.
    """

    config: Config
    scratch: Scratch | None = None
    places: Mapping[Path, Path] = field(default_factory=dict)
    log: BinaryIO | None = None
    program: Path | None = None
    own_root: bool = False

    @classmethod
    def of(cls, box: RealBox, config: Config) -> Scene:
        """The scene of a build: its scratch directory lies over the prefix."""
        places = {box.scratch.root: box.prefix}
        own_root = box.program is not None and box.base.has_root
        return cls(config, box.scratch, places, box.log, box.program, own_root)

    @property
    def tmp(self) -> Path:
        """What is ``/tmp`` where the engine runs."""
        return self.scratch.tmp if self.scratch else _TMP

    def line(
        self, argv: Sequence[str], seen: Sequence[Path], cache: Path | None
    ) -> tuple[list[str], dict[str, str]]:
        """The command line and environment that run ``argv`` there; ``seen`` stays visible.

        With a ``cache`` it may keep there what it gets from the network.
        """
        own = {"RATTLER_CACHE_DIR": "/tmp/rattler"}
        if self.scratch is None:
            return list(argv), {**os.environ, **own}
        access = Access(
            seen=seen,
            places={**({cache: cache} if cache else {}), **self.places},
            network=cache is not None,
            own_root=self.own_root,
        )
        variables = {**closed(self.scratch), **own}
        return enclosed(argv, variables, self.scratch, self.config, access, program=self.program)

    def note(self, said: bytes) -> None:
        """Keep what the engine printed."""
        if self.log is not None:
            self.log.write(said)
            self.log.flush()


def perform(job: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Have the engine do a job and return its result. Raises the error behind a refusal."""
    scene.tmp.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scene.tmp, prefix="conda-") as name:
        folder, inside = Path(name), _TMP / Path(name).name
        text = json.dumps({**job, "result": str(inside / "result.json")})
        (folder / "job.json").write_text(text, encoding="utf-8")
        argv = [sys.executable, "-I", "-m", "tykky.conda.engine", str(inside / "job.json")]
        # Channels on disk stay visible, wherever they are; and packages that are there.
        seen = [*on_disk(job.get("channels", ())), *map(Path, job.get("files", ()))]
        cache = Path(job["cache"]) if job.get("cache") else None
        if cache is not None and scene.scratch is not None:
            with explained("keep what channels list", "cache_dir"):
                cache.mkdir(parents=True, exist_ok=True)
        line, variables = scene.line(argv, seen, cache)
        said = masked(_run(line, variables, job, scene.config.timeout).decode(errors="replace"))
        scene.note(said.encode())
        try:
            result: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
        except (OSError, ValueError):
            raise _unanswered(said) from None
    if "error" in result:
        raise _explained(result["error"], job)
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
            verify = fetch.certificates()
            requests.get(address, stream=True, timeout=wait, verify=verify).close()
        except requests.Timeout:
            raise _distant(f"the channel {url} does not answer") from None
        except requests.RequestException:
            continue  # the engine will say what it is


def _unanswered(said: str) -> TykkyError:
    """The error for a process that ended without an answer."""
    if "No module named 'rattler'" in said:
        return ToolError(
            "py-rattler, which makes conda environments, is not installed",
            remedy="install it beside Tykky: 'pip install py-rattler'",
        )
    return StepError(
        "the process that makes conda environments ended without an answer",
        remedy="run it again; if it happens again, report it with the lines above",
        details=tuple(line for line in said.splitlines() if line.strip())[-8:],
    )


# -- refusals -----------------------------------------------------------------------------


def _explained(problem: Mapping[str, Any], job: Mapping[str, Any]) -> TykkyError:
    """The error for what the engine answered to a job."""
    kind, text = problem["kind"], str(problem["text"])
    lines = tuple(line.rstrip() for line in text.splitlines() if line.strip())
    if kind == "unsolvable":
        return _unsolvable(problem, text, lines, job.get("channels", ()))
    if kind == "channel":
        return _channel(str(problem.get("channel", "")), text, lines, job)
    if kind == "layers":
        return NoLayers(text)
    if kind == "spec":
        return StepError(
            f"'{problem['spec']}' is no package as conda writes them: {text}",
            remedy="write NAME, NAME=VERSION or 'NAME >=VERSION,<VERSION'",
            code=Exit.RESOLVE,
        )
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return StepError(
            "there is no space left for the environment",
            remedy="free some space, or choose another disk: 'tykky config why build_dir'",
            code=Exit.NO_SPACE,
            details=lines[-6:],
        )
    if kind == "package":
        return StepError(
            f"the package {problem['package']} cannot be unpacked, although it is the one in the "
            "lock",
            remedy="the channel has published a broken file: lock another version or build",
            code=Exit.DAMAGED,
            details=lines[-4:],
        )
    what = "packages cannot be installed" if kind == "install" else "environment cannot be made"
    return StepError(f"the conda {what}", details=lines[-12:])


def _unsolvable(
    problem: Mapping[str, Any], text: str, lines: tuple[str, ...], channels: Sequence[str]
) -> TykkyError:
    details = tuple(line for line in lines if not line.startswith("Cannot solve the request"))[:20]
    error = partial(StepError, code=Exit.RESOLVE, details=details)
    for name, close in problem["unknown"].items():
        return StepError(
            f"there is no package '{name}' in the channels",
            remedy=(f"did you mean {' or '.join(map(repr, close))}? " if close else "")
            + "Check its spelling, and which channels the recipe names",
            code=Exit.UNKNOWN_PACKAGE,
        )
    if found := _UNTIMED.search(text):
        known = problem["untimed"].get(found[1])  # what else needs it may be all that is known
        channel = " or ".join(public(url).rstrip("/") for url in ([known] if known else channels))
        return error(
            f"the channel {channel} does not say when '{found[1]}' came, which conda.quarantine "
            "has to know",
            remedy="name a channel that does, or take the setting away: 'tykky config why "
            "conda.quarantine'",
        )
    if new := _TOO_NEW.search(text):
        return error(
            f"nothing of '{new[1]}' that would do was there before {new[3]}, and conda.quarantine "
            "lets in nothing more recent",
            remedy=f"ask for less, or wait: there is {new[2]}; '-c conda.quarantine=' takes it "
            "now, for one call",
        )
    if later := _LATER.search(text):
        return error(
            f"what is wanted of '{later[1]}' is only in {later[2].rstrip('/')}, "
            "and a channel before that has the package, too",
            remedy=f"put that channel first; or say in the spec that it is meant, "
            f"CHANNEL::{later[1]}; or see 'tykky config why conda.strict_priority'",
        )
    if virtual := _VIRTUAL.search(text):
        return error(
            f"a package needs {virtual[1]} {virtual[2]}, and the machines that the stack is for do "
            "not have it",
            remedy="take an older version of the package; or, if they do have it, say so: "
            "'tykky config why conda.virtual_packages', or 'virtual_packages' in the recipe",
        )
    if missing := _MISSING.search(text):
        return error(
            f"a package needs '{missing[1]}', which is not in the channels as {missing[2]}",
            remedy="name the channel that has it, too: 'channels' in the recipe",
        )
    if wanted := re.search(r"No candidates were found for (\S+) (.+?)\.?$", text, re.MULTILINE):
        there = problem["versions"].get(wanted[1], [])
        return StepError(
            f"there is no {wanted[1]} {wanted[2]} in the channels",
            remedy=f"there is {', '.join(there)}" if there else "check the channels",
            code=Exit.RESOLVE,
        )
    return error(
        "the packages contradict each other",
        remedy="loosen one of the requirements that the lines above name",
    )


def _channel(channel: str, text: str, lines: tuple[str, ...], job: Mapping[str, Any]) -> TykkyError:
    named = f"the channel {channel}" if channel else f"one of {', '.join(job['channels'])}"
    if "could not find subdir" in text:
        return StepError(
            f"{named} is not there, or has no packages for {job['subdir']}",
            remedy=f"check its name in the recipe; {_WHY}",
            code=Exit.NETWORK,
            details=lines[-3:],
        )
    if _DISTANT.search(text):
        return _distant(f"{named} cannot be reached", lines[-4:])
    return StepError(
        f"{named} lists its packages in a way that cannot be read",
        remedy="try again later, or name another channel or mirror",
        code=Exit.DAMAGED,
        details=lines[-3:],
    )


def _distant(cause: str, details: tuple[str, ...] = ()) -> TykkyError:
    remedy = f"check the network and proxies; {_WHY}"
    return StepError(cause, remedy=remedy, code=Exit.NETWORK, details=details)

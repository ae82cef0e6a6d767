"""Jobs for the engine: a process of its own, in a box of its own, judged by what it wrote.

Public names: ``Scene``, ``perform``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from tykky.build.box import closed, enclosed
from tykky.build.scratch import Scratch
from tykky.conda import problems
from tykky.errors import StepError, ToolError

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.config import Config


@dataclass(frozen=True)
class Scene:
    """Where a job is done: the scratch folders, what lies where, and where the log goes."""

    scratch: Scratch
    config: Config
    places: Mapping[Path, Path] = field(default_factory=dict)
    log: BinaryIO | None = None

    @classmethod
    def of(cls, box: RealBox) -> Scene:
        """The scene of a build: its scratch directory lies over the prefix."""
        return cls(box.scratch, box.config, {box.scratch.root: box.prefix}, box.log)


def perform(job: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Have the engine do a job and return its result. Raises the error behind a refusal."""
    tmp = scene.scratch.tmp
    tmp.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tmp, prefix="conda-") as name:
        folder, inside = Path(name), Path("/tmp", Path(name).name)
        text = json.dumps({**job, "result": str(inside / "result.json")})
        (folder / "job.json").write_text(text, encoding="utf-8")
        argv = [sys.executable, "-I", "-m", "tykky.conda.engine", str(inside / "job.json")]
        variables = {**closed(scene.scratch, scene.config), "RATTLER_CACHE_DIR": "/tmp/rattler"}
        # Channels on disk stay visible, wherever they are.
        seen = [
            Path(unquote(urlsplit(url).path))
            for url in job.get("channels", ())
            if url.startswith("file:")
        ]
        scratch, config = scene.scratch, scene.config
        line = enclosed(argv, variables, scratch, config, seen=seen, places=scene.places)
        said = _run(line, scene)
        try:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise _unanswered(said) from None
    if "error" in result:
        raise problems.explain(result["error"], job)
    assert isinstance(result, dict)
    return result


def _run(line: list[str], scene: Scene) -> str:
    if scene.log is not None:
        scene.log.write(b"$ tykky.conda.engine\n")
        scene.log.flush()
    process = subprocess.Popen(
        line,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if scene.log is not None:
        scene.log.write(said)
    return said.decode(errors="replace")


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

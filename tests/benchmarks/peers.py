"""What Tykky is measured against: the same packages on plain disk, and in a container."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support import DOWNLOADS, Tykky
from tykky.store import Record, record

HERE = Path(__file__).parent
UV = Path(sys.executable).parent / "uv"


@dataclass(frozen=True)
class Stack:
    """The stack under test: its commands, its record, and how long its install took."""

    bin: Path
    record: Record


@dataclass(frozen=True)
class Plain:
    """The same packages in a virtual environment on disk, and the seconds of each step."""

    bin: Path
    steps: dict[str, float]


def install_stack(tykky: Tykky, place: Path) -> Stack:
    """Lock and install the stack of ``repo/bench`` with the real program."""
    shutil.copytree(HERE / "repo", place / "repo")
    tykky.user.env["TYKKY_REPOS"] = str(place / "repo")
    tykky("lock", "bench")
    # Once into another root, so that neither side pays for the downloads.
    tykky("install", "--root", place / "w", "bench")
    tykky("install", "bench")
    (found,) = tykky.json("find", "bench")
    prefix = Path(found["prefix"])
    return Stack(prefix / "bin", record.read(prefix))


def make_plain(tykky: Tykky, stack: Stack, place: Path) -> Plain:
    """Do by hand what the pipeline does, without any of its care, and time it."""
    home = place / "bench" / "venv"
    wanted = [f"{name}=={version}" for name, version in stack.record.packages]
    python = home / "bin" / "python"
    cache = ["--cache-dir", DOWNLOADS / "uv"]
    steps = {
        "build": [
            [UV, "venv", "--quiet", "--python", "/usr/bin/python3", home],
            [UV, "pip", "install", "--quiet", *cache, "--python", python, *wanted],
        ],
        "finish": [[python, "-m", "compileall", "-q", "-j", "0", home / "lib"]],
        "squash": [
            ["mksquashfs", home, place / "plain.sqfs", "-comp", "zstd", "-Xcompression-level", "3"]
        ],
    }
    seconds = {}
    for step, commands in steps.items():
        started = time.perf_counter()
        for command in commands:
            tykky.user.run(*command, status=None if step == "finish" else 0)
        seconds[step] = time.perf_counter() - started
    shutil.copy("/bin/true", home / "bin" / "true")
    return Plain(home / "bin", seconds)


def make_container(place: Path) -> list[str | Path] | None:
    """How to enter a container that has the plain environment at ``/bench/venv``.

    None where Apptainer or mmdebstrap is missing.
    """
    if not shutil.which("apptainer") or not shutil.which("mmdebstrap"):
        return None
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    base = DOWNLOADS / f"benchmark-base-{release}.sqfs"
    if not base.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        unfinished = base.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with subprocess.Popen(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3", release, "-"],
            stdout=subprocess.PIPE,
        ) as bootstrap:
            subprocess.run(
                ["sqfstar", "-comp", "zstd", "-quiet", "-no-progress", unfinished],
                stdin=bootstrap.stdout,
                check=True,
            )
        if bootstrap.returncode:
            raise RuntimeError("mmdebstrap could not make the container for the comparison")
        unfinished.rename(base)
    image = place / "container.sqfs"
    shutil.copy(base, image)
    # Appended to the base: mksquashfs never says less than 20 lines about that.
    subprocess.run(
        ["mksquashfs", place / "bench", image, "-keep-as-directory", "-no-recovery"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return ["apptainer", "--silent", "exec", image]

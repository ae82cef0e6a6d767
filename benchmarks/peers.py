"""What Tykky is measured against: the same packages on plain disk, and in a container."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.support import DOWNLOADS, Tykky
from tykky.store import Record, Store

HERE = Path(__file__).parent
UV = Path(sys.executable).parent / "uv"


def prepare(tykky: Tykky, place: Path) -> None:
    """Lock the stack of ``repo/bench``, and download all that it needs."""
    shutil.copytree(HERE / "repo", place / "repo")
    tykky.user.env["TYKKY_REPOS"] = str(place / "repo")
    tykky("lock", "bench")
    install(tykky, place / "warm")


def install(tykky: Tykky, root: Path) -> Record:
    """Install the stack with the real program; the record has the seconds of each step."""
    tykky("install", "--root", root, "bench")
    return Store(root).place("bench", "1").record()


def install_by_hand(tykky: Tykky, venv: Path, wanted: Record) -> dict[str, float]:
    """Do what the pipeline does, without any of its care; the seconds of each step."""
    packages = [f"{name}=={version}" for name, version in wanted.packages]
    python = venv / "bin" / "python"
    image = venv.with_suffix(".sqfs")
    cache = ["--cache-dir", DOWNLOADS / "uv"]
    steps = {
        "build": [
            [UV, "venv", "--quiet", "--python", "/usr/bin/python3", venv],
            [UV, "pip", "install", "--quiet", *cache, "--python", python, *packages],
        ],
        "finish": [[python, "-m", "compileall", "-q", "-j", "0", venv / "lib"]],
        "squash": [["mksquashfs", venv, image, "-comp", "zstd", "-Xcompression-level", "3"]],
    }
    seconds = {}
    for step, commands in steps.items():
        started = time.perf_counter()
        for command in commands:
            # compileall minds the few files that are not meant for this Python.
            tykky.user.run(*command, status=None if step == "finish" else 0)
        seconds[step] = time.perf_counter() - started
    image.unlink()
    shutil.copy("/bin/true", venv / "bin" / "true")
    return seconds


def base_image() -> Path | None:
    """A container image with a Python, made once and kept among the downloads.

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
    return base


def make_container(folder: Path, image: Path) -> list[str | Path] | None:
    """How to enter a container that has a copy of ``folder`` at its top, made as ``image``.

    None where Apptainer or mmdebstrap is missing.
    """
    base = base_image()
    if base is None:
        return None
    shutil.copy(base, image)
    # Appended to the base: mksquashfs never says less than 20 lines about that.
    subprocess.run(
        ["mksquashfs", folder, image, "-keep-as-directory", "-no-recovery"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return ["apptainer", "--silent", "exec", image]

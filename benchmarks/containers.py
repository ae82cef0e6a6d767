"""What entering an image costs: with Apptainer against Apptainer itself, and natively."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Row, Runner, Target, race
from tests.support import Tykky
from tykky.store import Store

RECIPE = """\
from tykky import ContainerStack


class Image(ContainerStack):
    '''Programs of a SIF.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    image = "{sif}"
    commands = "/usr/bin/true", "/usr/bin/python3"
"""
#: Keeps the words that it is called with.
RECORDER = """\
#!/bin/sh
printf '%s\\0' "$@" > '{file}'
"""
CASES = {"true": [], "python3": ["-c", "pass"]}


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """A command of a SIF with each runtime; nothing where there is no Apptainer."""
    sif = _sif(place)
    if sif is None:
        return
    folder = place / "repo/image"
    folder.mkdir(parents=True)
    (folder / "recipe.py").write_text(RECIPE.format(sif=sif))
    native = _install(tykky, place / "native", "native")
    contained = _install(tykky, place / "contained", "apptainer")
    for name, arguments in CASES.items():
        same = _record(contained, name, arguments, place)
        done = race(
            {
                "stack": Runner([contained / "bin" / name, *arguments], tykky.user.env),
                "same": Runner(["apptainer", *same], tykky.user.env),
                "plain": Runner(
                    ["apptainer", "--silent", "exec", sif, f"/usr/bin/{name}", *arguments],
                    tykky.user.env,
                ),
            },
            budget=30,
        )
        case = " ".join([name, *arguments])
        row = ("in a SIF, with Apptainer", case, "stack")
        yield done.row(*row, "same", "apptainer exec, same binds", Target("ratio", 1.05))
        yield done.row(*row, "plain", "apptainer exec, no binds")
    for name, arguments in CASES.items():
        done = race(
            {
                "stack": Runner([native / "bin" / name, *arguments], tykky.user.env),
                "host": Runner([f"/usr/bin/{name}", *arguments], tykky.user.env),
            },
            budget=8,
        )
        case = " ".join([name, *arguments])
        target = Target("value", 0.015) if name == "true" else None
        yield done.row("in a SIF, natively", case, "stack", "host", "the host's", target)


def _sif(place: Path) -> Path | None:
    """The benchmarks' container image as a SIF; None where it cannot be made."""
    base = peers.base_image()
    if base is None:
        return None
    root, sif = place / "root", place / "base.sif"
    unpack = ["unsquashfs", "-q", "-n", "-no-xattrs", "-ignore-errors", "-d", root, base]
    subprocess.run(unpack, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(root / "dev", ignore_errors=True)
    (root / "dev").mkdir()
    build = ["apptainer", "--silent", "build", sif, root]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return sif


def _install(tykky: Tykky, root: Path, runtime: str) -> Path:
    tykky("-c", f"runtime={runtime}", "install", "--root", root, "image")
    return Store(root).place("image", "1").prefix


def _record(prefix: Path, name: str, arguments: list[str], place: Path) -> list[str]:
    """The words with which a command of the stack calls Apptainer."""
    recorder, file = place / "recorder", place / "words"
    recorder.write_text(RECORDER.format(file=file))
    recorder.chmod(0o755)
    conf = prefix / ".tykky/current/launch.conf"
    text = conf.read_text()
    conf.write_text(f"{text}apptainer {recorder}\n")
    try:
        subprocess.run([prefix / "bin" / name, *arguments], check=True)
    finally:
        conf.write_text(text)
    return file.read_text().split("\0")[:-1]

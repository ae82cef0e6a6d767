"""What a wheel holds besides the package: data folders, man pages and the compiled launcher.

The folders ``repo``, ``builds``, ``configs`` and ``share`` stand at the top of a checkout and
go to ``tykky/data/`` in a wheel; ``tykky.resources`` finds them in both. The launcher is
compiled here if the machine has a C compiler: such a wheel fits every Linux of its architecture
if the launcher could be linked statically, else machines like this one. Without a compiler the
wheel is pure, and Tykky compiles the launcher when it is first needed.

The man pages are made of what ``-h`` says, and lie where ``man`` looks for them by PATH: beside the
environment's ``bin``, and beside ``share/bin``, which setup-env.sh puts on PATH.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("repo", "builds", "configs", "share")


class WheelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds folders and launcher to a wheel; an editable install uses those of the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill ``build_data``; a compiler that is there but fails ends the build."""
        if version == "editable":
            return
        root = Path(self.root)
        for name in FOLDERS:
            build_data["force_include"][str(root / name)] = f"tykky/data/{name}"
        self._scratch = Path(tempfile.mkdtemp(prefix="tykky-launcher-"))
        for page in make_pages(root, self._scratch / "man1"):
            for target in ("force_include", "shared_data"):
                folder = "tykky/data/share/man" if target == "force_include" else "share/man"
                build_data[target][str(page)] = f"{folder}/man1/{page.name}"
        programs = compile_launcher(root, self._scratch)
        for program in programs:
            target = f"tykky/runtime/launcher/bin/{platform.machine()}/{program.name}"
            build_data["force_include"][str(program)] = target
        if programs:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag(programs)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the scratch directory of the compiled launcher."""
        if version != "editable":
            shutil.rmtree(self._scratch, ignore_errors=True)


def make_pages(root: Path, out: Path) -> list[Path]:
    """Write the man pages of the tree ``root`` into ``out``."""
    # What pip has made for the build lies along sys.path, and is not in sys.executable.
    path = os.pathsep.join([str(root), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(root / "tools/manpages.py"), str(out)]
    subprocess.run(command, cwd=root, env=environment, check=True)
    return sorted(out.iterdir())


def compile_launcher(root: Path, out: Path) -> list[Path]:
    """Compile the launcher of the tree ``root`` into ``out``; an empty list without a compiler."""
    if not any(shutil.which(cc) for cc in (os.environ.get("CC", "cc"), "gcc", "clang")):
        print("tykky: no C compiler, so this wheel has no launcher in it", file=sys.stderr)
        return []
    subprocess.run(
        [sys.executable, "-m", "tykky.runtime.native", str(out)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    return sorted((out / platform.machine()).iterdir())


def platform_tag(programs: list[Path]) -> str:
    """The platforms that the programs run on."""
    machine = platform.machine()
    if any(names_a_loader(program.read_bytes()) for program in programs):
        return f"linux_{machine}"
    return f"manylinux2014_{machine}.musllinux_1_1_{machine}"


def names_a_loader(program: bytes) -> bool:
    """Whether an ELF program is not static: then it names the dynamic loader of its C library.

    Raises ``ValueError`` if it is not an ELF program.
    """
    if program[:4] != b"\x7fELF":
        raise ValueError("not an ELF program")
    order = "<" if program[5] == 1 else ">"
    if program[4] == 2:  # 64 bits
        (headers,) = struct.unpack_from(f"{order}Q", program, 32)
        size, count = struct.unpack_from(f"{order}HH", program, 54)
    else:
        (headers,) = struct.unpack_from(f"{order}I", program, 28)
        size, count = struct.unpack_from(f"{order}HH", program, 42)
    interpreter = 3  # PT_INTERP of elf(5)
    types = (struct.unpack_from(f"{order}I", program, headers + size * k)[0] for k in range(count))
    return interpreter in types

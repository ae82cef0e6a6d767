"""The environment that ``conda`` commands in a box work on, and those commands themselves.

Public names: ``Target``, ``equip``, ``follow``; ``SOCKET``, ``VARIABLE``, ``FOLLOW``,
``READABLE`` for both sides.
"""

from __future__ import annotations

import os
import pickle
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import ImageBase, StackBase
from tykky.build.scratch import contained
from tykky.runtime.native import ask_program

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.config import Config

#: Where the commands are in a box; before the environment's own, which may have a conda in it.
FOLDER = Path("/tmp/tykky-bin")

#: Where commands in a box whose root is an image hand their words out.
SOCKET = FOLDER / "socket"

#: What scripts call the command by.
PROGRAMS = ("conda", "mamba", "micromamba")

#: The variable with the path of the file that says which environment it is.
VARIABLE = "TYKKY_CONDA"
#: The variable with the path for a script, if another box runs the environment's programs.
FOLLOW = "TYKKY_CONDA_FOLLOW"
#: Then also the variable with the directories that files may be read from, with colons between:
#: what that box sees of the host, and no more.
READABLE = "TYKKY_CONDA_READABLE"

#: What scripts read of the base of conda before they use it.
_BASE = {
    "etc/profile.d/conda.sh": ":",
    "bin/activate": 'conda activate "$@"',
    "activate": 'conda activate "$@"',
    "deactivate": ":",
}


@dataclass(frozen=True)
class Target:
    """One environment: where it is, and what it was made for.

    ``channels`` are names or addresses, the most important first; ``names`` are what scripts may
    call the environment; ``state`` is the file that this is kept in.
    """

    prefix: Path
    channels: tuple[str, ...]
    subdir: str
    virtual_packages: tuple[tuple[str, str, str], ...]
    strict: bool
    names: tuple[str, ...]
    arch: str
    config: Config
    state: Path

    def keep(self, **changes: object) -> None:
        """Change it for the commands that follow."""
        data = pickle.dumps(replace(self, **changes))  # type: ignore[arg-type]
        if FOLLOW in os.environ:  # it is no file, and nobody else's
            self.state.write_bytes(data)
            return
        temporary = self.state.with_suffix(".new")
        temporary.write_bytes(data)
        temporary.replace(self.state)


def follow(text: str) -> None:
    """Add to the script that the other box runs once this is done."""
    with Path(os.environ[FOLLOW]).open("a", encoding="utf-8", errors="surrogateescape") as script:
        script.write(text)


def equip(box: RealBox, target: Target, folder: Path | None = None) -> None:
    """Put ``conda`` and its like into a box, and ``pip`` if the environment has none.

    ``folder`` is where, for a box that has the host's own ``/tmp``.
    """
    # What packages have run may have left links there.
    own = contained(box.scratch.tmp, Path(FOLDER.name, "conda")).parent
    below = box.base.below if isinstance(box.base, StackBase) else box.base
    inside = isinstance(below, ImageBase) and folder is None
    folder = folder or own
    folder.mkdir(parents=True, exist_ok=True)
    if inside:
        # An image need not have what Tykky's own Python is linked with.
        from tykky.conda.serve import serving

        _keep(folder / "ask", ask_program().read_bytes())
        (folder / "ask").chmod(0o755)
        start = f"exec {FOLDER}/ask {SOCKET}"
        state = bytearray(pickle.dumps(target))
        box.beside = lambda: serving(box, state)
    else:
        # The target's own state is where the box sees it.
        _keep(folder / target.state.name, pickle.dumps(target))
        python = shlex.quote(sys.executable)
        start = f"{VARIABLE}={target.state} exec {python} -I -m tykky.conda.command"
    for name in PROGRAMS:
        _program(folder / name, f'{start} {name} "$@"')
    for name, text in _BASE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _program(folder / name, text)
    programs = box.real(".") / "bin"
    if os.path.lexists(programs / "python") and not os.path.lexists(programs / "pip"):
        from tykky.kinds import uv

        variables = {**uv.environment(box.config), "UV_PYTHON": f"{box.prefix}/bin/python"}
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        lines.append(f'exec {shlex.quote(uv.program())} pip "$@"')
        for name in ("pip", "pip3"):
            _program(folder / name, "\n".join(lines))


def _program(path: Path, text: str) -> None:
    _keep(path, f"#!/bin/sh\n{text}\n".encode())
    path.chmod(0o755)


def _keep(path: Path, data: bytes) -> None:
    """Write a file, and not through a link."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)

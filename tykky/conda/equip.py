"""The commands ``conda`` and its like, in the box of a build.

Public name: ``equip``.
"""

from __future__ import annotations

import os
import pickle
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import ImageBase, StackBase
from tykky.conda.serve import serving
from tykky.conda.target import FOLDER, PROGRAMS, SOCKET, VARIABLE, Target
from tykky.runtime import native
from tykky.tools import uv
from tykky.tools.scratch import contained

if TYPE_CHECKING:
    from tykky.build.box import RealBox

#: What scripts read of the base of conda before they use it.
_BASE = {
    "etc/profile.d/conda.sh": ":",
    "bin/activate": 'conda activate "$@"',
    "activate": 'conda activate "$@"',
    "deactivate": ":",
}


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
        _keep(folder / "ask", native.program("ask").read_bytes())
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

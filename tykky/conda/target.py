"""The environment that ``conda`` commands in a box work on, and those commands themselves.

Public names: ``Target``, ``equip``.
"""

from __future__ import annotations

import os
import pickle
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import ImageBase

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.config import Config

#: Where the commands are in a box; before the environment's own, which may have a conda in it.
FOLDER = Path("/tmp/tykky-bin")


_ABSENT = """\
echo "tykky: {name}: it is there only for stacks whose base is the host" >&2
echo "  name the packages in the recipe instead, in 'packages'" >&2
exit 2"""


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
        temporary = self.state.with_suffix(".new")
        temporary.write_bytes(pickle.dumps(replace(self, **changes)))  # type: ignore[arg-type]
        temporary.replace(self.state)


def equip(box: RealBox, target: Target) -> None:
    """Put ``conda`` and ``mamba`` into a box, and ``pip`` if the environment has none."""
    folder = box.scratch.tmp / FOLDER.name
    folder.mkdir(parents=True, exist_ok=True)
    # The target's own state is where the box sees it.
    (folder / target.state.name).write_bytes(pickle.dumps(target))
    python = shlex.quote(sys.executable)
    for name in ("conda", "mamba"):
        line = f"TYKKY_CONDA={target.state} exec {python} -I -m tykky.conda.command {name}"
        # An image need not have what Tykky's own Python is linked with.
        inside = isinstance(box.base, ImageBase)
        _program(folder / name, _ABSENT.format(name=name) if inside else f'{line} "$@"')
    programs = box.real(".") / "bin"
    if os.path.lexists(programs / "python") and not os.path.lexists(programs / "pip"):
        from tykky.kinds import uv

        variables = {**uv.environment(box.config), "UV_PYTHON": f"{box.prefix}/bin/python"}
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        lines.append(f'exec {shlex.quote(uv.program())} pip "$@"')
        for name in ("pip", "pip3"):
            _program(folder / name, "\n".join(lines))


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)

"""A session in which a stack is loaded: what ``module load`` would set, and the way inside.

It is derived from the record, like the modulefile. Only for a stack that loads other modules, these
are asked of the module system, whose they are.
"""

from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tykky.errors import Exit, StoreError, ToolError
from tykky.runtime.base import PINS
from tykky.store import Place, Record

#: What a launcher says that can run any program, if none is named: earlier ones cannot.
_MARK = b"nothing says which program is to be run inside"
#: Where module systems say that they are.
_SYSTEMS = ("LMOD_CMD", "MODULES_CMD")


def variables(record: Record, environ: Mapping[str, str], *, pinned: bool = True) -> dict[str, str]:
    """The environment of a session that has loaded a generation; ``pinned`` to it, or not.

    Raises ``ToolError`` if that loads other modules, and they cannot be had.
    """
    found = _with_modules(record, environ) if record.loads else dict(environ)
    found.update({name: str(value) for name, value in record.shown.get("setenv", {}).items()})
    folder, path = f"{record.prefix}/bin", found.get("PATH", os.defpath)
    found["PATH"] = ":".join([folder, *(each for each in path.split(":") if each != folder)])
    if pinned:
        place = os.path.realpath(record.prefix)
        pins = found.get(PINS, "").split(":")
        others = [pin for pin in pins if pin and pin.rpartition("=")[0] != place]
        found[PINS] = ":".join([f"{place}={record.generation}", *others])
    return found


def line(record: Record, words: Sequence[str]) -> list[str]:
    """The command line that runs a program inside of an install. Raises ``StoreError``."""
    place = Place(Path(record.prefix))
    if words[0] in record.commands:
        return [str(place.prefix / "bin" / words[0]), *words[1:]]
    if not _runs_any(place.launcher):
        cause = f"{record.title} was made by an earlier Tykky, and runs only its own commands"
        remedy = f"whose it is refreshes it: tykky refresh {record.module}"
        raise StoreError(cause, remedy=remedy)
    return [str(place.launcher), *words]


def _runs_any(launcher: Path) -> bool:
    try:
        with launcher.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
            return text.find(_MARK) >= 0
    except (OSError, ValueError):  # missing, or empty
        return False


def _with_modules(record: Record, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the modules that a stack loads. Raises ``ToolError``."""
    names = " ".join(record.loads)
    program = next((environ[name] for name in _SYSTEMS if environ.get(name)), "")
    if not program:
        cause = f"{record.title} loads {names}, and no module system is at hand here"
        remedy = "call it in a shell that has 'module', or load these and the stack by that"
        raise ToolError(cause, remedy=remedy)
    script = 'said=$("$0" bash load "$@") || exit 1; eval "$said" || exit 1; exec env -0'
    done = subprocess.run(
        ["bash", "--norc", "-c", script, program, *record.loads],
        env=environ,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        cause = f"{record.title} loads {names}, which cannot be loaded"
        raise ToolError(cause, details=tuple(said[:6]), code=Exit.NOT_FOUND)
    pairs = (os.fsdecode(item).partition("=") for item in done.stdout.split(b"\0") if item)
    return {name: value for name, _, value in pairs}

"""What a program of this machine is loaded with: its dynamic loader, and the libraries it needs."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

from tykky.errors import ToolError, explained

#: By this name the loader is among the files.
LOADER = "loader"
_INTERPRETER = 3  # PT_INTERP of elf(5)
_LINE = re.compile(r"\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?")


def files(program: Path) -> dict[str, Path]:
    """The libraries of a program by their names, and its loader; nothing for one that is static.

    Raises ``ToolError``.
    """
    with explained(f"read {program}"):
        loader = _loader(program)
    if loader is None:
        return {}
    done = subprocess.run(
        [loader, "--list", program],
        env={"LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {LOADER: loader}
    for line in done.stdout.splitlines():
        if match := _LINE.fullmatch(line):
            found[match[1]] = Path(match[2])
    missing = [name for name, path in found.items() if not path.is_absolute()]
    if done.returncode != 0 or missing:
        cause = f"{program} cannot be loaded: " + (done.stderr.strip() or ", ".join(missing))
        raise ToolError(cause, remedy="install it again, with what it needs")
    return {name: path for name, path in found.items() if "/" not in name}


def _loader(program: Path) -> Path | None:
    """What the header of an ELF file names as its interpreter; ``None`` for any other file."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":  # of 64 bits
            return None
        order = "<" if head[5] == 1 else ">"
        (at,) = struct.unpack_from(f"{order}Q", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 54)
        file.seek(at)
        table = file.read(size * count)
        for start in range(0, len(table), size):
            kind, _, offset, _, _, length = struct.unpack_from(f"{order}IIQQQQ", table, start)
            if kind == _INTERPRETER:
                file.seek(offset)
                return Path(file.read(length).rstrip(b"\0").decode())
    return None

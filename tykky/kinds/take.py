"""Lets an environment on top of a stack offer what that has; run by its own Python.

It stands alone, since it runs inside the box. Takes the stack's prefix, and names of its commands.
A script of the stack's Python becomes one of this Python, which finds the packages of both; other
programs are linked. So is what programs look for below their own prefix, as far as it has none.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

#: How many bytes of a script may name its Python: two lines of it.
HEAD = 512


def take_command(program: Path, new: Path, base: Path, own: Path) -> None:
    """Offer a command under its name; a script in the words of this Python."""
    if os.path.lexists(new) or not program.exists():
        return
    with program.open("rb") as stream:
        head = stream.read(HEAD)
    python = os.fsencode(base / "bin/python")
    if not (head.startswith(b"#!") and python in head):
        new.symlink_to(program)
        return
    rest = program.read_bytes()[HEAD:]
    new.write_bytes(head.replace(python, os.fsencode(own / "bin/python")) + rest)
    shutil.copymode(program, new)


def link_data(folder: Path, own: Path) -> None:
    """Link what is in a folder of the stack, folder by folder where this has one as well."""
    if not os.path.lexists(own):
        own.symlink_to(folder)
    elif folder.is_dir() and own.is_dir() and not own.is_symlink():
        for entry in sorted(folder.iterdir()):
            link_data(entry, own / entry.name)


def main() -> None:
    """Do it, and leave nothing of this file."""
    base, own = Path(sys.argv[1]), Path(sys.prefix)
    for name in sys.argv[2:]:
        take_command(base / "bin" / name, own / "bin" / name, base, own)
    for name in ("share", "etc"):
        for entry in sorted((base / name).glob("*")):
            if entry.name != "tykky":  # what that says of itself
                (own / name).mkdir(exist_ok=True)
                link_data(entry, own / name / entry.name)
    Path(__file__).unlink()


if __name__ == "__main__":
    main()

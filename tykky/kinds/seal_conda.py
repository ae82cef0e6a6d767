"""Compiles the byte code of a conda environment before it goes into an image; run by its Python.

It stands alone, since it runs inside the box, where Tykky is not installed. Byte code that came
with packages is compiled anew: it names the times of its sources, which an image does not keep,
so that every start would compile it again; what is compiled here is never checked.

Takes one argument: how many processes may compile.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import sys
from pathlib import Path


def main() -> None:
    """Compile everything in the environment whose Python this is."""
    compileall.compile_dir(
        Path(os.__file__).parent,
        quiet=2,
        force=True,
        workers=int(sys.argv[1]),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    Path(__file__).unlink()


if __name__ == "__main__":
    main()

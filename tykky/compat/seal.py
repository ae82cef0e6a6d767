"""Compiles byte code before it goes into an image; run by the Python that it is for.

It stands alone, since it runs where Tykky is not installed. Byte code in an image is never checked
against its source, whose time an image does not keep; so what is there already and was made so,
for the source as it is, is left alone, and an update compiles only what is new.

Takes the number of processes, and directories.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import py_compile
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def is_good(source: str) -> bool:
    """Whether there is byte code for exactly this source that is never checked."""
    try:
        # An image of ours has no times: what was in it is byte code for what was in it.
        if os.stat(source).st_mtime == 0:  # noqa: PTH116 - thousands of them
            return os.path.exists(importlib.util.cache_from_source(source))  # noqa: PTH110
        with Path(importlib.util.cache_from_source(source)).open("rb") as stream:
            head = stream.read(16)
        if head[:4] != importlib.util.MAGIC_NUMBER or head[4:8] != b"\1\0\0\0":
            return False
        return head[8:] == importlib.util.source_hash(Path(source).read_bytes())
    except OSError:
        return False


def compile_one(source: str) -> None:
    """Make the byte code of one source, if that can be done."""
    if not is_good(source):
        compileall.compile_file(
            source,
            quiet=2,
            force=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def main() -> None:
    """Compile all sources below the directories."""
    sources = [
        str(Path(folder, name))
        for top in sys.argv[2:]
        for folder, _, names in os.walk(top)
        for name in names
        if name.endswith(".py")
    ]
    with ProcessPoolExecutor(int(sys.argv[1])) as pool:
        for _ in pool.map(compile_one, sources, chunksize=32):
            pass


if __name__ == "__main__":
    main()

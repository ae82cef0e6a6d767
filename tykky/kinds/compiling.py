"""Compiles the modules of one wheel into one file; run by a Python of the base, alone in a box.

It stands alone, as ``seal.py`` does, which puts the byte code where it belongs. No code of the
wheel is run, and nothing else is there that could have changed it. The file begins with a line of
JSON: the number that this Python's byte code has (``magic``), and for each module, by its path in
``site-packages``, where its byte code is (offset and size, in bytes), and where in that is the path
of the source (offset of its length, and length).
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from importlib import _bootstrap_external
from itertools import chain, repeat
from typing import Any
from zipfile import ZipFile

ours: Any = _bootstrap_external  # what py_compile uses
#: Stands for the folder of the packages.
PLACE = "/tykky-byte-code-of/"
#: How a path begins in byte code, whether it is named there again or not: short and plain.
SHORT = b"zZ\xfa\xda"
#: How many modules a process compiles before it asks for more.
SOME = 50


def compile_one(source: bytes, name: str) -> tuple[bytes, int, int]:
    """The byte code of a module, never to be checked, and where the path of its source is.

    Raises whatever compiling raises, and ``ValueError`` if that place is not clear.
    """
    path = PLACE + name
    # As py_compile does it: how often an object is held while it is written has an effect.
    code = ours.SourceFileLoader(name, path).source_to_code(source, path)
    made = bytes(ours._code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    plain = path.encode("ascii")
    at = made.index(plain)
    if made.count(plain) != 1 or made[at - 1] != len(plain) or made[at - 2] not in SHORT:
        raise ValueError(name)
    return made, at - 1, len(plain)


def compile_some(wheel: str, names: list[str]) -> list[tuple[str, bytes, int, int]]:
    """The modules with these names in a wheel that can be compiled; the byte code compressed."""
    warnings.simplefilter("ignore")
    found = []
    with ZipFile(wheel) as archive:
        for name in names:
            there = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
            try:
                code, at, length = compile_one(archive.read(name), there)
            except Exception:  # whatever is wrong with it, it is compiled where it lies, or not
                continue
            found.append((there, zlib.compress(code, 1), at, length))
    return found


def main(wheel: str, target: str, jobs: int) -> None:
    """Compile the modules of a wheel into a file, by at most so many processes."""
    with ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".py"))
    parts = [names[start : start + SOME] for start in range(0, len(names), SOME)]
    # Always by others, in which nothing but this is: names that a process has as well are written
    # in another way, and the digest of an image must not depend on how many there are.
    with ProcessPoolExecutor(jobs) as pool:
        found = list(chain(*pool.map(compile_some, repeat(wheel), parts)))
    modules, offset = {}, 0
    for name, code, at, length in found:
        modules[name] = (offset, len(code), at, length)
        offset += len(code)
    head = {"magic": importlib.util.MAGIC_NUMBER.hex(), "modules": modules}
    with open(target, "wb") as stream:  # noqa: PTH123 - a new process need not import pathlib
        stream.write(json.dumps(head).encode() + b"\n")
        stream.writelines(code for _, code, _, _ in found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

"""The machine's own CPython as a relocatable conda package.

Debian's finds its prefix from where it lies, as any CPython does, but looks for packages in
``dist-packages`` (its ``site`` is frozen into the program), and has a layout of its own for what
is installed; a link undoes the one, a change of ``sysconfig`` the other.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tests.channel.files import TIME, File, Package

#: The interpreter that is repackaged: the distribution's, whatever runs the tests.
PYTHON = Path("/usr/bin/python3")
_LEFT_OUT = ("test", "idlelib", "lib2to3", "pydoc_data", "distutils", "turtledemo", "tkinter")
_LEFT_OUT_FILES = ("EXTERNALLY-MANAGED", "sitecustomize.py", "_distutils_system_mod.py")


def _ask(question: str) -> str:
    line = [str(PYTHON), "-I", "-c", f"import sys, os, platform; print({question})"]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


VERSION = _ask("platform.python_version()")
MINOR = VERSION.rpartition(".")[0]


def package() -> Package:
    """The package ``python``."""
    program = Path(_ask("os.path.realpath(sys.executable)"))
    library = Path(_ask("os.path.dirname(os.__file__)"))
    files = {
        f"bin/python{MINOR}": File(program.read_bytes(), 0o755),
        "bin/python3": File(link=f"python{MINOR}"),
        "bin/python": File(link=f"python{MINOR}"),
    }
    for path in sorted(library.rglob("*")):
        name = path.relative_to(library)
        if path.is_file() and _belongs(name):
            files[f"lib/python{MINOR}/{name}"] = File(_corrected(name, path.read_bytes()))
    name, data = _byte_code(library / "colorsys.py")
    files[f"lib/python{MINOR}/__pycache__/{name}"] = File(data)
    files[f"lib/python{MINOR}/site-packages/README"] = File(b"Packages go here.\n")
    files[f"lib/python{MINOR}/dist-packages"] = File(link="site-packages")
    return Package(
        "python", VERSION, files, build=f"h0_{MINOR.replace('.', '')}", license="Python-2.0"
    )


def _byte_code(source: Path) -> tuple[str, bytes]:
    """Byte code as packages have it: with the time that its source has when it is unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, source.name)
        copy.write_bytes(source.read_bytes())
        os.utime(copy, (TIME, TIME))
        subprocess.run([str(PYTHON), "-I", "-m", "py_compile", str(copy)], check=True)
        (made,) = Path(folder, "__pycache__").iterdir()
        return made.name, made.read_bytes()


def _belongs(name: Path) -> bool:
    top = name.parts[0]
    return not (
        "__pycache__" in name.parts
        or top in _LEFT_OUT
        or top in _LEFT_OUT_FILES
        or top.startswith("config-")
        or top == "dist-packages"
    )


def _corrected(name: Path, data: bytes) -> bytes:
    if str(name) == "sysconfig.py":
        data = data.replace(b"_LAYOUT', 'posix_local')", b"_LAYOUT', 'posix_prefix')")
        return data.replace(b"prefix_scheme = 'posix_local'", b"prefix_scheme = 'posix_prefix'")
    return data

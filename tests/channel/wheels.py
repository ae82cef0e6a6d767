"""Wheels from the package index as conda packages."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from tests.channel.files import File, Package
from tests.channel.python import MINOR, VERSION

#: What is repackaged, with what each needs in conda's words.
_PURE = {
    "pip==24.0": (),
    "six==1.16.0": (),
    "six==1.17.0": (),
    "tabulate==0.9.0": (),
    "packaging==24.2": (),
}
_COMPILED = {"numpy==1.26.4": ()}


def packages() -> Iterator[Package]:
    """All of them, downloaded now."""
    with tempfile.TemporaryDirectory() as folder:
        for requirement in (*_PURE, *_COMPILED):
            pure = requirement in _PURE
            target = Path(folder, requirement)
            line = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            line += ["--only-binary", ":all:", "--python-version", VERSION]
            line += ["--platform", "manylinux_2_17_x86_64", "--platform", "any"]
            subprocess.run([*line, "--dest", str(target), requirement], check=True)
            (wheel,) = target.iterdir()
            yield _pure(wheel) if pure else _compiled(wheel)


def _contents(wheel: Path) -> tuple[dict[str, bytes], str, str]:
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}
    (metadata,) = (n for n in contents if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
    head = HeaderParser().parsestr(contents[metadata].decode(errors="replace"))
    contents[metadata.replace("METADATA", "INSTALLER")] = b"conda"
    return contents, head["Name"].lower(), head["Version"]


def _pure(wheel: Path) -> Package:
    contents, name, version = _contents(wheel)
    points = next((d for n, d in contents.items() if n.endswith("/entry_points.txt")), b"")
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(points.decode())
    scripts = dict(parser["console_scripts"]) if "console_scripts" in parser else {}
    return Package(
        name,
        version,
        {f"site-packages/{path}": File(data) for path, data in contents.items()},
        depends=("python >=3.8",),
        build="pyh0_0",
        noarch="python",
        entry_points=tuple(f"{key} = {value}" for key, value in scripts.items()),
        compact=name != "six",
    )


def _compiled(wheel: Path) -> Package:
    contents, name, version = _contents(wheel)
    library = f"lib/python{MINOR}/site-packages"
    major, minor = MINOR.split(".")
    return Package(
        name,
        version,
        # The tests of a library of this size are half of it.
        {f"{library}/{p}": File(d) for p, d in contents.items() if "/tests/" not in p},
        depends=(f"python >={MINOR},<{major}.{int(minor) + 1}.0a0", "__glibc >=2.17"),
        build=f"py{MINOR.replace('.', '')}_0",
        license="BSD-3-Clause",
    )

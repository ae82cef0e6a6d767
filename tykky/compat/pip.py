"""``pip-containerize``: a Python environment made from a requirements file.

Public names: ``main``, ``Pip``.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.compat import front
from tykky.compat.classic import Classic
from tykky.compat.job import read, warn
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError
from tykky.kinds.python import check_prefix, compile_new

if TYPE_CHECKING:
    from tykky.build.box import OpenBox, RealBox
    from tykky.contents import Installed

#: Runs with every start of the environment's Python; see ``tykky/kinds/seal.py``.
_ON_TOP = "_tykky_stack.pth"


class Pip(Classic):
    """A virtual environment at ``env1``, of a Python of the host, of uv, or of an image."""

    kind = "venv"
    title = "Python environment"

    @property
    def below(self) -> str:
        """The environment's name; an install that is bound to its place is the environment."""
        return "" if self.job.is_bound else str(self.job.values["env_name"])

    @property
    def _managed(self) -> bool:
        return bool(self.job.values.get("use_uv"))

    def examine(self) -> None:
        """See that there is a Python, and that it is one that can be used inside."""
        check_prefix(self.root, "bin/python3")
        self.job.file("requirements_file")
        if self.job.verb == "new" and not self._managed and not self.job.values["isolate"]:
            self._host_python()

    def _host_python(self) -> Path:
        found = shutil.which("python3")
        if not found:
            raise TykkyError(
                "there is no python3 on PATH to make the environment with",
                remedy="load a module that has one, or let uv bring one: --uv",
                code=Exit.MISSING_TOOL,
            )
        place = Path(found).parent.parent
        if (place / "common.sh").exists() and (place / "bin").is_dir():
            raise TykkyError(
                f"the first python3 on PATH is one of another installation: {found}",
                remedy="take that from PATH ('tykky deactivate'), or let uv bring one: --uv",
                code=Exit.CONFLICT,
            )
        return Path(found)

    def seen(self) -> list[Path]:
        """The packages that are on this machine, too."""
        from tykky.compat import index

        return [*super().seen(), *index.places(self.job.config)]

    def script_variables(self, box: OpenBox) -> Mapping[str, str]:
        """Where packages come from."""
        from tykky.compat import index

        return index.environment(self.job.config, bool(self.job.values.get("pipcache", True)))

    def steps(self) -> str:
        """Make the environment if it is not there, and install the requirements."""
        from tykky.compat import index

        lines = [index.INSTALL, 'PATH="$TYKKY_UV_FOLDER:$PATH"; export PATH\n']
        if self.job.verb == "new":
            lines.append(self._venv())
        lines.append('. "${env_root}bin/activate"\n')
        if file := self.job.file("requirements_file"):
            lines.append('print_info "Installing requirements file"\n')
            install = index.command(read(file).splitlines(), file.parent)
            lines.append(f"{install} -r {shlex.quote(str(file))}\n")
        return "".join(lines)

    def _venv(self) -> str:
        options = ["--seed", "--allow-existing"]
        before = ""
        if self.job.values.get("enable_site_packages"):
            options.append("--system-site-packages")
        if self._managed:
            before = 'export UV_PYTHON_INSTALL_DIR="${install_root}/uv/python"\n'
            before += "export UV_PYTHON_DOWNLOADS=automatic\n"
            options += ["--managed-python", "--python", self.job.values.get("pyver") or "3"]
        elif self.job.values["isolate"]:
            options += ["--python", '"$(command -v python3)"']
        else:
            options += ["--python", shlex.quote(str(self._host_python()))]
        words = " ".join(option if option[:1] == '"' else shlex.quote(option) for option in options)
        return f'{before}uv venv --no-config --quiet {words} "$env_root"\n'

    def seal(self, box: Any) -> None:
        """Compile the byte code; be a base for virtual environments on top."""
        compile_new(box)
        self._be_a_base(box)

    def _be_a_base(self, box: RealBox) -> None:
        """Let virtual environments on top find this one's library, and packages if they ask."""
        answer = box.run(
            [
                f"{self.root}/bin/python",
                "-I",
                "-c",
                "import os, sysconfig; print(os.__file__); print(sysconfig.get_path('purelib'))",
            ]
        )
        library, packages = (Path(line) for line in answer.splitlines()[-2:])
        top = box.prefix / "lib" / library.parent.name
        there = {path.name for path in (box.real(top)).iterdir()}
        names = box.run(["/bin/ls", "-A", library.parent]).split()
        for name in names:
            if name not in ("site-packages", "dist-packages", "__pycache__", *there):
                box.link(top / name, library.parent / name)
        tail = f"/lib/{library.parent.name}/site-packages/_tykky_stack.py"
        box.write(packages / "_tykky_stack.py", _HOOK.format(tail=tail))
        box.write(packages / _ON_TOP, "import _tykky_stack\n")

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The packages of the environment."""
        from tykky.contents import of_python

        return sorted(of_python(box.real(".")), key=lambda package: package.name.lower())

    def wrapped(self) -> list[str]:
        """The environment's programs."""
        return [f"{self.root}/bin"]

    def library(self, box: OpenBox) -> str:
        """Where the environment's own packages are, below it."""
        found = sorted(box.real(".").glob("lib/python3.*"))
        return f"lib/{found[0].name}" if found else ""


_HOOK = '''\
"""Makes this environment the base of what its users put on top of it."""

import sys

if sys.prefix == __file__[: -len({tail!r})]:
    sys._base_executable = sys.executable  # "python -m venv" links here
'''


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return front.main("pip-containerize", __doc__, _arguments, _values, Pip, argv)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = front.verbs(parser)
    new = front.add_new(verbs, "requirements_file", "requirements file for pip")
    python = new.add_mutually_exclusive_group()
    python.add_argument("--uv", action="store_true", help="use a Python that uv brings")
    python.add_argument("--slim", action="store_true", help="use a minimal container with Python")
    new.add_argument("--pyver", metavar="VERSION", help="version of Python, with --uv or --slim")
    new.add_argument(
        "--system-site-packages",
        action="store_true",
        help="let the packages of the Python that is used be seen, and those of users",
    )
    update = front.add_update(verbs)
    update.add_argument("-r", "--requirements-file", metavar="FILE", help="requirements for pip")
    for each in (new, update):
        each.add_argument("--nocache", action="store_true", help="use no cache of pip or uv")
        front.add_scripts(each)
    front.add_advanced(verbs)


def _values(args: argparse.Namespace) -> Values:
    values: dict[str, Any] = {"mode": "venv"}
    if args.command == "advanced":
        return values
    if args.requirements_file:
        values["requirements_file"] = args.requirements_file
    if args.nocache or args.command == "new":
        values["pipcache"] = not args.nocache
    if args.command != "new":
        return values
    values["use_uv"] = args.uv
    if args.system_site_packages:
        values["enable_site_packages"] = True
    if args.slim:
        version = args.pyver or ""
        tag = version if re.search(r"(^|-)slim", version) else f"{version}-slim".lstrip("-")
        values |= {"pyver": tag, "container_src": f"docker://python:{tag}", "isolate": True}
    elif args.uv:
        values["pyver"] = args.pyver or "3"
    elif args.pyver:
        warn("--pyver has no effect without --uv or --slim")
    return values

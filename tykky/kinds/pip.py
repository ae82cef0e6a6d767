"""``PipStack``: a stack of Python packages from a package index.

A virtual environment is made at the prefix by uv, from wheels whose digests are in the lock.
Since the prefix is the same path inside and outside of the image, its scripts have plain
shebangs that are valid everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases import StackBase
from tykky.bases.reference import resolve
from tykky.bases.stacks import stack_base
from tykky.contents import Installed, of_environment
from tykky.errors import Exit, LockError, RecipeError, StepError, Where
from tykky.kinds import bytecode
from tykky.kinds.changing import added, change
from tykky.kinds.python import PythonStack, check_prefix, seal
from tykky.lock import canonical
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place
from tykky.text import entries, read_text
from tykky.tools import uv

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.lock import Package


class PipStack(PythonStack):
    """Python packages from a package index, in a virtual environment.

    ``python`` is a version of the base's Python; ``packages`` are requirements as pip writes
    them, ``requirements`` names a file of them beside the recipe, ``constraints`` a file of what
    counts for packages that others need. ``source`` names the few packages that may be built from
    source: all others are taken as wheels.
    """

    python: str = "3.11"
    packages: tuple[str, ...] = ()
    requirements: str = ""
    constraints: str = ""
    source: tuple[str, ...] = ()
    commands = ("*",)
    layers = True

    def _required(self) -> list[str]:
        lines = requirements(self, "packages")
        if self.requirements:
            lines += from_file(self, "requirements")
        if not lines:
            remedy = "set 'packages', or 'requirements' to a file beside the recipe"
            raise self._wrong("names no packages", remedy)
        # Users add to a stack with 'pip install --user' and in virtual environments.
        return sorted({*lines, "pip"}, key=str.lower)

    def _constrained(self) -> list[str]:
        return from_file(self, "constraints") if self.constraints else []

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from."""
        present = self._present(config, arch)
        return {
            "requirements": self._required(),
            "python": self.python,
            "platform": uv.platform(config, arch),
            "source": list(self.source),
            **({"constraints": constrained} if (constrained := self._constrained()) else {}),
            **({"on": [f"{n}=={v}" for n, v in present.items()]} if present else {}),
        }

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The packages for the lock, from the package index."""
        required, constrained = self._required(), self._constrained()
        found = uv.resolve(
            required,
            python=self.python,
            arch=arch,
            source=self.source,
            config=config,
            present=self._present(config, arch),
            held=held or (),
            constraints=constrained,
        )
        check_digests(self, [*required, *constrained], found)
        return found

    def _present(self, config: Config, arch: str) -> Mapping[str, str]:
        """What is there already, if the stack is built on top of another one."""
        named = self._named_base(config, arch)
        reference = resolve(named, config.bases, self.directory)
        if reference.scheme != "stack":
            return {}
        return dict(sorted(stack_base(named, reference.target, config).packages.items()))

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse a prefix that no script could name, and a base without the right Python."""
        check_prefix(prefix, "bin/python3")
        self._interpreter(base)

    def _interpreter(self, base: Base) -> Path:
        found = base.pythons()
        if self.python in found:
            return found[self.python]
        there = ", ".join(sorted(found, key=lambda v: int(v.split(".")[1]))) or "none"
        raise StepError(
            f"the base '{base.name}' ({base.id}) has no Python {self.python}; it has {there}",
            remedy=f"install python{self.python} there, or set another 'python' in the recipe "
            f"'{self.name}' and lock it again",
            code=Exit.BASE,
        )

    def assemble(self, box: Box) -> None:
        """Make the virtual environment and install exactly what the lock says."""
        what = f"a virtual environment with Python {self.python}"
        if box.before is not None:
            change(box, box.prefix / "bin/python", self.source, self.python, what)
            return
        line: list[str | Path] = [uv.program(), "venv", "--quiet", "--allow-existing"]
        line += ["--python", self._interpreter(box.base), box.prefix]
        box.run(line, env=uv.offline(box.config), say=what)
        uv.install(box, box.lock.packages, self.source, self.python, what)

    def seal(self, box: Box) -> None:
        """Compile the byte code, be a base for those on top, and see that the packages agree."""
        words: list[str | Path] = []
        if isinstance(box.base, StackBase):
            words.append("on-stack")
        else:
            packages, python = added(box), self._interpreter(box.base)
            box.do(
                "have the byte code of the packages compiled, unless it was before",
                lambda real: words.extend(bytecode.provide(real, packages, python)),
            )
        seal(box, "venv", *words)
        # Through its path, since a recipe need not offer Python as a command.
        check = ("-m", "pip", "--disable-pip-version-check", "check")
        box.run([str(box.prefix / "bin/python"), *check], say="whether the packages agree")

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The packages of the virtual environment."""
        return sorted(of_environment(box.real(".")), key=lambda package: package.name.lower())


def from_file(recipe: Stack, field: str) -> list[str]:
    """The requirements in the file that a field names. Raises ``RecipeError``."""
    path, where = recipe.beside(guarded(recipe, field)), attribute_place(type(recipe), field)
    text = read_text(path, f"{field} file", RecipeError, where=where, any_bytes=True)
    lines = []
    # What goes on in the next line, without changing the numbers of those after it.
    text = re.sub(r"(?:[^#\n]*\\\n)+.*", _joined, text)
    for number, wanted in entries(text, path, RecipeError):
        check_requirement(wanted, Where(path, number))
        lines.append(wanted)
    return lines


def check_digests(recipe: Stack, lines: Sequence[str], found: Sequence[Package]) -> None:
    """Raise ``LockError`` for a file that is none of those of its requirement's ``--hash``."""
    wanted = {
        canonical(name[0]): digests
        for line in lines
        if (digests := re.findall("--hash[= ]sha256:([0-9a-fA-F]{64})", line))
        and (name := re.match("[A-Za-z0-9._-]+", line))
    }
    for each in found:
        if each.sha256 not in map(str.lower, wanted.get(each.name, [each.sha256])):
            raise LockError(
                f"the package index has {each.file} with the sha256 {each.sha256}, which is "
                f"none of those that '{recipe.name}' asks for",
                remedy="if that file is trusted, correct or remove '--hash'; else ask who "
                "wrote the requirement, or take another index",
            )


def _joined(lines: re.Match[str]) -> str:
    return re.sub(r"\s*\\\n\s*", " ", lines[0]) + "\n" * lines[0].count("\\\n")


def requirements(recipe: Stack, field: str) -> list[str]:
    """The requirements in a field of a recipe. Raises ``RecipeError`` for what is none."""
    found = [line.strip() for line in guarded(recipe, field)]
    for index, text in enumerate(found):
        check_requirement(text, attribute_place(type(recipe), field, (index,)))
    return found


def check_requirement(text: str, where: Where) -> None:
    """Raise ``RecipeError`` for what no resolver could read; addresses and paths are left to it."""
    from packaging.requirements import InvalidRequirement, Requirement

    cause, remedy = "", "write it as pip does, for example 'numpy>=2,<3'"
    if text.startswith("-"):
        cause = f"'{text}' is an option, and a recipe has requirements only"
        remedy = "set indexes in the configuration ('pip.index_url')"
    elif not re.match(r"[./]|\S+://", text):
        try:
            Requirement(text.partition(" --")[0])
        except InvalidRequirement as error:
            cause = f"'{text}' is no requirement: {str(error).splitlines()[0]}"
    if cause:
        raise RecipeError(cause, remedy=remedy, where=where)

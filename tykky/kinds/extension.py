"""``Extension``: Python packages on top of another stack, of which nothing is replaced.

``tykky extend`` writes recipes of this kind. Its virtual environment is based on the stack's own
Python, finds the packages of both, and offers the stack's commands as well, run by its own Python:
``jupyter`` of the stack sees what was added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases.stacks import StackBase, stack_base
from tykky.contents import COMMAND
from tykky.errors import Exit, StepError, TykkyError
from tykky.kinds.pip import PipStack
from tykky.lock import Package, canonical
from tykky.runtime.base import EnvAction, EnvChange

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config


class Extension(PipStack):
    """Python packages on top of another stack, whose commands it offers as well.

    ``base`` names the stack. Its packages stay what they are, or nothing is installed: unless
    ``shadows`` allows others of the same name, which hide those of the stack.
    """

    shadows: bool = False
    layers = False  # it is small, and commands of the stack go and come with its own

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The packages that the stack lacks. Raises ``StepError`` if one of its own had to go."""
        base = self._stack(config, arch)
        self._interpreter(base)
        found = super().resolve(config, arch, held)
        if (lost := shadowed(found, base.packages)) and not self.shadows:
            has = ", ".join(f"{name} {old}" for name, old, _ in lost)
            wanted = ", ".join(f"{name} {new}" for name, _, new in lost)
            raise StepError(
                f"{base.title} has {has}, and what is asked for would bring {wanted}",
                remedy="ask for a version that goes with what is there; '--allow-shadow' of 'tykky "
                "extend' (in the recipe: shadows = True) hides what the stack has",
                code=Exit.RESOLVE,
            )
        return found

    def _stack(self, config: Config, arch: str) -> StackBase:
        named = self._named_stack(config, arch)
        return stack_base(named, named.removeprefix("stack:"), config)

    def _present(self, config: Config, arch: str) -> Mapping[str, str]:
        return dict(sorted(self._stack(config, arch).packages.items()))

    def _interpreter(self, base: Base) -> Path:
        try:
            return super()._interpreter(base)
        except TykkyError as error:
            spec = base.name.removeprefix("stack:")
            error.remedy = (
                f"what was compiled for {self.python} has to come anew: 'tykky extend {spec} "
                f"--name {self.name}' takes the Python that there is"
            )
            raise

    def equip(self, box: Box) -> None:
        """Offer the commands of the stack, and what programs look for in its ``share``."""
        if isinstance(base := box.base, StackBase):
            names = [name for name in base.commands if name != COMMAND]
            text = Path(__file__).with_name("take.py").read_text(encoding="utf-8")
            script = box.write(".tykky-take.py", text)
            line: list[str | Path] = [box.prefix / "bin/python", "-I", script, base.prefix, *names]
            box.run(line, say=f"the commands of {base.title}")

    def activation(self, box: RealBox) -> Sequence[EnvChange]:
        """Its own directory before that of a conda stack: Python looks itself up there."""
        activates = isinstance(box.base, StackBase) and box.base.activates
        return [EnvChange(EnvAction.PREPEND, "PATH", f"{box.prefix}/bin")] if activates else []


def shadowed(packages: Sequence[Package], present: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Which of the packages hide one that is there: name, version there, version instead."""
    there = {canonical(name): version for name, version in present.items()}
    found = ((p.name, there.get(canonical(p.name)), p.version) for p in packages)
    return [(name, old, new) for name, old, new in found if old is not None]

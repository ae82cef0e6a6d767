"""``Stack``: what the pipeline asks of every kind of stack.

A kind answers these questions for all its recipes; a recipe itself usually has no more than
``finish`` and ``test``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tykky import bases
from tykky.errors import RecipeError
from tykky.recipe import Recipe, guarded
from tykky.recipe.source import attribute_place

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config
    from tykky.contents import Installed
    from tykky.lock import Lock, Package
    from tykky.runtime.base import EnvChange


class Stack(Recipe):
    """A recipe that the pipeline can build; the order of the methods is that of their calls."""

    wraps_base: ClassVar[bool] = False
    """Whether its commands are programs of the base."""

    layers: ClassVar[bool] = False
    """Whether ``assemble`` can change what was built by another lock: see ``Box.before``."""

    on_base: ClassVar[bool] = False
    """Whether it is one layer on the images of its base, which is a stack, at the path of that."""

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from: strings and lists of strings by name."""
        return {}

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The exact packages for the lock. Raises ``TykkyError``.

        With ``held``, it is an update of an install: what names mean is asked anew, and those
        packages of it are not changed.
        """
        return ()

    def find_base(self, config: Config, arch: str, lock: Lock) -> Base:
        """What the recipe's base is on this machine. Raises ``TykkyError``."""
        return bases.find(self._named_base(config, arch), config, folder=self.directory)

    def knows_base(self, config: Config, arch: str) -> bool:
        """Whether ``find_base`` can tell without asking a registry."""
        return self.wraps_base or bases.is_known(
            self._named_base(config, arch), config, folder=self.directory
        )

    def _named_base(self, config: Config, arch: str) -> str:
        named = guarded(self, "base") or config.base
        if isinstance(named, Mapping):
            if arch not in named:
                remedy = "add one: base = {" + repr(arch) + ": ...}"
                raise self._wrong(f"names no base for {arch}", remedy, "base")
            named = named[arch]
        return str(named)

    def _named_stack(self, config: Config, arch: str) -> str:
        named = self._named_base(config, arch)
        if not named.startswith("stack:"):
            remedy = 'name a stack: base = "stack:python-data@26.11"'
            raise self._wrong(f"extends '{named}', which is no stack", remedy, "base")
        return named

    def _wrong(self, problem: str, remedy: str, field: str = "") -> RecipeError:
        """The error for what this recipe does, at the line of a field or else of the class."""
        where = attribute_place(type(self), field)
        return RecipeError(f"the recipe '{self.name}' {problem}", remedy=remedy, where=where)

    def check(self, prefix: Path, base: Base) -> None:
        """Find out early what would fail late. Raises ``TykkyError``."""

    def assemble(self, box: Box) -> None:
        """Step *build*: put the contents of the stack below the prefix."""

    def equip(self, box: Box) -> None:
        """Step *finish*, before the recipe's: what its commands may count on."""

    def finish(self, box: Box) -> None:
        """Step *finish*, for the recipe: what remains to be done by hand."""

    def seal(self, box: Box) -> None:
        """Step *finish*, for the kind: the last touch before nothing changes any more."""

    def variables(self, box: RealBox) -> Mapping[str, str]:
        """Step *finish*: variables that scripts of the base set for its programs."""
        return {}

    def shields(self, config: Config) -> Sequence[EnvChange]:
        """What must not come in from the environment of whoever calls a command."""
        return ()

    def defaults(self, box: RealBox) -> Sequence[EnvChange]:
        """Step *finish*: variables that programs need for an image, unless their user sets them.

        ``{image}`` in a value stands for what is different for each content of the stack.
        """
        return ()

    def mount_at(self) -> Path | None:
        """Where the image is mounted if not over the prefix."""
        return None

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """Step *finish*: the packages that the finished stack has, if its kind knows such."""
        return ()

    def activation(self, box: RealBox) -> Sequence[EnvChange]:
        """Step *finish*: what activating the finished stack changes in the environment."""
        return ()

    def prove(self, box: Box) -> None:
        """Step *test*, for the kind: what must hold for every stack of this kind."""

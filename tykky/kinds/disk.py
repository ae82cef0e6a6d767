"""``DiskStack``: a stack of what is on disk already, or of what a recipe compiles.

An existing directory is copied below the prefix, or the recipe's ``build`` puts something there;
either becomes one image. The original is not needed any more, and not changed. With ``mask``, the
image lies over the original's own path, for software that has its path built in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.conda.channels import name_of
from tykky.contents import Installed, of_environment
from tykky.errors import Exit, StepError
from tykky.kinds import libraries, tree
from tykky.kinds.stack import Stack
from tykky.lock import Package
from tykky.recipe import guarded

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config


class DiskStack(Stack):
    """An installation on disk, or one that ``build`` makes; or the first, changed by the second.

    ``source`` is an existing directory. ``commands`` are names or globs in ``bin``, or paths from
    the top of the installation (``tools/*``). ``libraries`` are directories in it whose libraries
    programs load by name while they run; those that programs are linked with are found anyway.
    """

    source: str = ""
    mask: bool = False
    libraries: tuple[str, ...] = ()

    def build(self, box: Box) -> None:
        """Step *build*: make the installation below ``box.prefix``, or change the copied one."""

    def _source(self) -> Path | None:
        """The original directory. Raises ``RecipeError`` if there is nothing to make a stack of."""
        source = guarded(self, "source")
        if not source and type(self).build is DiskStack.build:
            remedy = "set 'source' to a directory, or write 'def build(self, box):'"
            raise self._wrong("says neither what to copy nor how to build it", remedy)
        if not source and self.mask:
            remedy = "take 'mask' out, or set 'source' to the directory to lie over"
            raise self._wrong("masks nothing: it has no 'source'", remedy, "mask")
        if source and not Path(source).is_absolute():
            problem = f"has a source '{source}' that is not an absolute path"
            raise self._wrong(problem, "write the path from / on", "source")
        return Path(os.path.normpath(source)) if source else None

    def _existing(self) -> Path | None:
        source = self._source()
        if source is not None and not source.is_dir():
            raise StepError(
                f"the directory {source} that the recipe '{self.name}' copies is not there",
                remedy="correct 'source' in the recipe, or install on a node that has it",
                code=Exit.NOT_FOUND,
            )
        return source

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from."""
        source = self._source()
        return {"source": str(source)} if source else {}

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The directory as one package: its digest, how many files, and their bytes."""
        source = self._existing()
        if source is None:
            return ()
        found = tree.digest(source)
        return (Package("source", str(found.files), str(source), found.sha256, found.bytes),)

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse a source that is not there, before anything is built."""
        self._existing()

    def assemble(self, box: Box) -> None:
        """Copy the source, see that it is what was locked, and let the recipe build."""
        source = self._source()
        if source is not None:
            box.copy(source)
            self._compare(source, box)
        self.build(box)

    def _compare(self, source: Path, box: Box) -> None:
        copied = box.real(box.prefix)
        locked = next((p for p in box.lock.packages if p.name == "source"), None)
        if copied is None or locked is None:
            return
        found = tree.digest(copied)
        if found.sha256 != locked.sha256:
            raise StepError(
                f"{source} has changed since '{self.spec}' was locked: its digest is "
                f"{found.sha256} instead of {locked.sha256}",
                remedy=f"if it should have, lock it again: tykky lock {self.spec}",
                code=Exit.DAMAGED,
            )
        if not self.mask:
            tree.relink(copied, source, box.prefix)

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The packages of an environment that it is, of Python, conda or R."""
        found = of_environment(box.real("."), lambda url: name_of(url, box.config))
        return sorted(found, key=lambda package: package.name.lower())

    def mount_at(self) -> Path | None:
        """The source itself, if it is masked."""
        return self._source() if self.mask else None

    def seal(self, box: Box) -> None:
        """Let programs find the libraries beside them, without a variable that others see."""
        libraries.settle(box, self.libraries)
        source, top = self._source(), box.real(".")
        if source and top and not self.mask:
            remedy = "'mask = True' lets the stack lie over the original for its own commands"
            box.remarks += filter(None, [tree.left_behind(top, source, remedy)])

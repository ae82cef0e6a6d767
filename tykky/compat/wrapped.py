"""``wrap-container`` and ``wrap-install``: programs that are there already as ordinary commands."""

from __future__ import annotations

from pathlib import Path

from tykky.build.box import Box, OpenBox
from tykky.compat.classic import Classic, warn
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError
from tykky.host import real
from tykky.kinds import libraries, tree
from tykky.kinds.container import python_libraries


class Container(Classic):
    """Programs of an existing container: nothing is added, there are only links to them."""

    kind = "wrapcont"
    title = "wrapped container"
    has_image = False
    example = "-w /opt/tool/bin,/usr/bin/samtools"

    @classmethod
    def meant(cls, values: Values, verb: str) -> Values:
        """It is isolated."""
        return {**values, "isolate": True}

    def examine(self) -> None:
        """Only what is in the container can be wrapped."""
        super().examine()
        for path in self.values["wrapper_paths"]:
            if not path.startswith("/"):
                cause = f"'{path}' is not an absolute path in the container"
                remedy = f"write paths from / on: {self.example}"
                raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)

    def library(self, box: OpenBox) -> str:
        """The library of a wrapped Python, at its path in the container."""
        found = map(str, python_libraries(box.base, self.values["wrapper_paths"]))
        return next(found, "")


class Disk(Classic):
    """An installation on disk, copied into an image."""

    kind = "wrapdisk"
    title = "wrapped installation"
    creates = True

    @classmethod
    def meant(cls, values: Values, verb: str) -> Values:
        """What is wrapped, and where it appears; ``-w`` is of that, wherever it appears."""
        source = real(Path(values["wrap_src"]))
        found = {**values, "wrap_src": str(source), "isolate": False}
        if found.get("mask_wrap_install"):
            found["installation_path"] = str(source)
        if paths := found.get("wrapper_paths"):
            found["wrapper_paths"] = [_within(path, source) for path in paths]
        return found

    def examine(self) -> None:
        """See that the directory is there, and does not hold what is to be made."""
        source = Path(self.values["wrap_src"])
        if not source.is_dir():
            cause = f"there is no directory {source} to wrap"
            remedy = "give the directory of the installation"
            raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
        super().examine()
        if self.prefix == source or source in self.prefix.parents:
            cause = f"the prefix {self.prefix} is in the directory that is wrapped"
            remedy = "give another directory: --prefix DIR"
            raise TykkyError(cause, remedy=remedy, code=Exit.CONFLICT)

    def create(self, box: OpenBox) -> None:
        """Copy the directory."""
        source = Path(self.values["wrap_src"])
        box.copy(source)
        if not self.values.get("mask_wrap_install"):
            tree.relink(box.real("."), source, box.prefix)

    def seal(self, box: Box) -> None:
        """Let programs find the libraries beside them, without a variable that others see."""
        top = box.real(".") or Path()
        if self.values.get("add_ld"):
            libraries.settle(box, [f for f in ("lib", "lib64") if (top / f).is_dir()])
        if not self.values.get("mask_wrap_install"):
            remedy = "--mask lets the installation lie over the original for its own commands"
            if said := tree.left_behind(top, Path(self.values["wrap_src"]), remedy):
                warn(said)


def _within(path: str, source: Path) -> str:
    try:
        return str(real(Path(path)).relative_to(source)) if path.startswith("/") else path
    except ValueError:
        return path

"""``wrap-install``: an installation on disk as one image, with ordinary commands.

Public names: ``main``, ``Disk``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.compat import front
from tykky.compat.classic import Classic
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.build.box import Box, OpenBox


class Disk(Classic):
    """What is in a directory, copied into an image."""

    kind = "wrapdisk"
    title = "wrapped installation"
    creates = True

    @property
    def _source(self) -> Path:
        return Path(self.job.values["wrap_src"])

    def examine(self) -> None:
        """See that the directory is there, and does not hold what is to be made."""
        source = self._source
        if not source.is_dir():
            raise TykkyError(
                f"there is no directory {source} to wrap",
                remedy="give the directory of the installation",
                code=Exit.NOT_FOUND,
            )
        if not self.job.values.get("wrapper_paths"):
            raise TykkyError(
                "nothing says which programs of the installation to wrap",
                remedy="name directories or files in it: -w bin",
                code=Exit.USAGE,
            )
        if self.job.prefix == source or source in self.job.prefix.parents:
            raise TykkyError(
                f"the prefix {self.job.prefix} is in the directory that is wrapped",
                remedy="give another directory: --prefix DIR",
                code=Exit.CONFLICT,
            )

    def create(self, box: OpenBox) -> None:
        """Copy the directory."""
        from tykky.kinds import tree

        box.copy(self._source)
        if not self.job.values.get("mask_wrap_install"):
            tree.relink(box.real("."), self._source, box.prefix)

    def seal(self, box: Box) -> None:
        """Let programs find the libraries beside them, without a variable that others see."""
        from tykky.kinds import libraries

        if self.job.values.get("add_ld"):
            top = box.real(".") or Path()
            libraries.settle(box, [f for f in ("lib", "lib64") if (top / f).is_dir()])


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return front.main("wrap-install", __doc__, _arguments, _values, Disk, argv)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", help="the installation")
    parser.add_argument("-y", "--yaml", metavar="FILE", help="a YAML file with further settings")
    help = "let it appear at its own path, over what is there"
    parser.add_argument("--mask", action="store_true", help=help)
    front.add_scripts(parser)
    front.add_prefix(parser)


def _values(args: argparse.Namespace) -> Values:
    source = Path(args.dir).resolve()
    values: dict[str, Any] = {"mode": "wrapdisk", "wrap_src": str(source), "isolate": False}
    if args.mask:
        values |= {"installation_path": str(source), "mask_wrap_install": True}
    if args.wrapper_paths:
        # Of the installation, wherever that appears.
        values["wrapper_paths"] = [_within(path, source) for path in args.wrapper_paths.split(",")]
    return values


def _within(path: str, source: Path) -> str:
    try:
        return str(Path(path).resolve().relative_to(source)) if path.startswith("/") else path
    except ValueError:
        return path

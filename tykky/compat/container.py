"""``wrap-container``: programs of an existing container as ordinary commands.

Public names: ``main``, ``Container``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tykky.bases import ImageBase
from tykky.compat import front
from tykky.compat.classic import Classic
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.build.box import OpenBox


class Container(Classic):
    """Nothing is added to the container: there are only links to its programs."""

    kind = "wrapcont"
    title = "wrapped container"
    has_image = False

    def examine(self) -> None:
        """Only what is in the container can be wrapped."""
        paths = self.job.values.get("wrapper_paths", [])
        if not paths:
            raise TykkyError(
                "nothing says which programs of the container to wrap",
                remedy="name them, or directories of them: -w /opt/tool/bin,/usr/bin/samtools",
                code=Exit.USAGE,
            )
        for path in paths:
            if not path.startswith("/"):
                raise TykkyError(
                    f"'{path}' is not an absolute path in the container",
                    remedy="write paths from / on: -w /opt/tool/bin",
                    code=Exit.USAGE,
                )

    def library(self, box: OpenBox) -> str:
        """The library of a wrapped Python, at its path in the container."""
        base = box.base
        if not isinstance(base, ImageBase):
            return ""
        for path in self.job.values["wrapper_paths"]:
            for program in base.programs(path):
                real = PurePosixPath(base.listing.resolve(program))
                library = real.parent.parent / "lib" / real.name
                if re.fullmatch(r"python3\.\d+", real.name) and base.listing.resolve(str(library)):
                    return str(library)
        return ""


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return front.main("wrap-container", __doc__, _arguments, _values, Container, argv)


def _arguments(parser: argparse.ArgumentParser) -> None:
    help = "a file, a directory, or a reference such as docker://debian:12"
    parser.add_argument("container", metavar="CONTAINER", help=help)
    parser.add_argument("-y", "--yaml", metavar="FILE", help="a YAML file with further settings")
    front.add_scripts(parser, scripts=False)
    front.add_prefix(parser)


def _values(args: argparse.Namespace) -> Values:
    values: dict[str, Any] = {"mode": "wrapcont", "container_src": args.container}
    return {**values, "isolate": True}

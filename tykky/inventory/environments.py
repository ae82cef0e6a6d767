"""The packages of Python, conda and R in an image: read from it, without mounting or running it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tykky.bases import ImageBase
from tykky.bases.image import Listing
from tykky.contents import Installed, of_environment
from tykky.errors import StepError

#: What describes packages, below an environment that its first part is.
_FILE = re.compile(
    r"(?!.*/pkgs/[^/]+/lib/)"  # what conda has unpacked is no environment
    r"(.*)/(?:"
    r"conda-meta/[^/]+\.json"
    r"|lib/python3[^/]*/(?:site|dist)-packages/[^/]+"
    r"\.(?:dist-info/(?:METADATA|RECORD|direct_url\.json)|egg-info/PKG-INFO)"
    r"|lib\d*/R/(?:site-)?library/[^/]+/DESCRIPTION"
    r")"
)


def found(
    image: ImageBase, name_of: Callable[[str], str] = str
) -> Iterator[tuple[str, tuple[Installed, ...]]]:
    """Each environment in an image, by its path from ``/`` on (the top is empty), and what it has.

    Raises ``TykkyError`` for an image that cannot be read.
    """
    described = _described(image.listing)
    with image.holding([path for paths in described.values() for path in paths]) as root:
        for prefix in sorted(described):
            try:
                rows = [*of_environment(Path(root, prefix.lstrip("/")), name_of)]
            except StepError:
                rows = []  # what it says of its packages cannot be read
            # Of what R has, the other files are not here.
            yield prefix, tuple(replace(r, size=0) if r.type == "cran" else r for r in rows)


def _described(listing: Listing) -> dict[str, list[str]]:
    """The files that describe packages, by the environment that these are in."""
    described: dict[str, list[str]] = {}
    for path, kind in listing.kinds.items():
        if kind == "-" and (match := _FILE.fullmatch(path)):
            described.setdefault(match[1], []).append(path)
    return described

"""The folders that come with Tykky: recipes, builds, configurations, shared files.

In a checkout they stand beside the package, where people edit them; a wheel carries them
inside it, as ``tykky/data/<name>``. Everything else asks :func:`resource` and need not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tykky.errors import TykkyError

Name = Literal["repo", "builds", "configs", "share"]


def resource(name: Name) -> Path:
    """The folder ``name`` as an absolute path.

    Raises :class:`TykkyError` when this copy of Tykky lacks it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "data" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise TykkyError(
        f"this copy of Tykky lacks its folder '{name}' (looked in {package / 'data'} "
        f"and {package.parent})",
        remedy="install Tykky again, from a wheel or a complete checkout",
    )

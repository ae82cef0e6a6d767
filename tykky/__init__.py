"""Tykky: software stacks for HPC systems, one squashfs image each.

Recipes import their vocabulary from here::

    from tykky import PipStack, variant

The names are looked up on first use, so that ``import tykky`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "1.0.0.dev0"

if TYPE_CHECKING:
    from tykky.kinds.conda import CondaStack as CondaStack
    from tykky.kinds.conda_extension import CondaExtension as CondaExtension
    from tykky.kinds.container import ContainerStack as ContainerStack
    from tykky.kinds.disk import DiskStack as DiskStack
    from tykky.kinds.extension import Extension as Extension
    from tykky.kinds.pip import PipStack as PipStack
    from tykky.kinds.r import RStack as RStack
    from tykky.recipe import Recipe as Recipe
    from tykky.recipe import Version as Version
    from tykky.recipe import variant as variant

_HOMES = {
    "CondaExtension": "tykky.kinds.conda_extension",
    "CondaStack": "tykky.kinds.conda",
    "ContainerStack": "tykky.kinds.container",
    "DiskStack": "tykky.kinds.disk",
    "Extension": "tykky.kinds.extension",
    "PipStack": "tykky.kinds.pip",
    "RStack": "tykky.kinds.r",
    "Recipe": "tykky.recipe",
    "Version": "tykky.recipe",
    "variant": "tykky.recipe",
}
__all__ = ("__version__", *_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tykky' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)

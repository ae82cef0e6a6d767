"""The recipes that come with Tykky, for overlays to extend.

``from tykky.repos.builtin import PythonData as Upstream`` loads ``repo/python-data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tykky.recipe import Recipe


def __getattr__(name: str) -> type[Recipe]:
    from tykky.repos.namespaces import recipe_named
    from tykky.resources import resource

    return recipe_named(__name__, resource("repo"), name)

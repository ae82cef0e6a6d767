"""Several specs in one call: what would stop any of them is found before the first is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from tykky import bases
from tykky.bases.reference import resolve
from tykky.build import plan as plans
from tykky.recipe import guarded, read_all
from tykky.spec import parse_one

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.repos import Repos
    from tykky.spec import Spec
    from tykky.store import Store


def check(
    specs: Sequence[Spec], config: Config, repos: Repos, store: Store, say: Callable[[str], None]
) -> None:
    """Select, resolve and plan each. Raises ``TykkyError`` for the first that cannot be.

    What counts on another one, which is installed before it, is only read.
    """
    recipes = [cast("Stack", repos.select(spec)) for spec in specs]
    for recipe in recipes:
        read_all(recipe)
    for number, recipe in enumerate(recipes):
        say(str(recipe.spec))
        names = {needed.name for needed in counts_on(recipe, config)}
        if not names & {before.name for before in recipes[:number]}:
            plans.make(recipe.spec, config, repos, store, say)


def counts_on(recipe: Stack, config: Config) -> list[Spec]:
    """The stacks that a recipe needs, or that are its base. Raises ``TykkyError``."""
    found = [*guarded(recipe, "needs")]
    named = guarded(recipe, "base") or config.base
    named = named.get(bases.arch(), "") if isinstance(named, Mapping) else named
    base = resolve(str(named), config.bases, recipe.directory)
    return [*found, parse_one(base.target)] if base.scheme == "stack" else found

"""The language recipes are written in.

A *recipe* is one class in ``repo/<name>/recipe.py``. Its class attributes are a data sheet,
whatever depends on a choice is a property, and steps are methods that take a ``box``.

For recipes: ``Recipe`` (the base of all kinds), ``variant``, ``Version``.
For the pipeline: ``recipe_code`` surrounds a step, ``guarded`` reads what is not a field, so
that a mistake in a recipe is answered with its file and line (fields see to that themselves);
``selections`` visits everything that a recipe offers; ``source_digest`` says whether two
recipes are the same code.
For kinds: an annotated, public class attribute is a field, a public method is a step.
"""

from tykky.recipe.choices import Variant, Version, variant
from tykky.recipe.reading import guarded, read_all, recipe_code
from tykky.recipe.recipe import Recipe, selections
from tykky.recipe.source import source_digest

__all__ = [
    "Recipe",
    "Variant",
    "Version",
    "guarded",
    "read_all",
    "recipe_code",
    "selections",
    "source_digest",
    "variant",
]

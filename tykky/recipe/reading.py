"""Reading a selected recipe: every mistake in its code becomes an error with its line."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import tykky
from tykky.errors import OF_DISKS, RecipeError, TykkyError, did_you_mean, from_os_error
from tykky.recipe.fields import WrongValue, convert, fields
from tykky.recipe.source import attribute_place, failing_place

if TYPE_CHECKING:
    from tykky.recipe.recipe import Recipe


def recipe_code(recipe: Recipe, what: str) -> AbstractContextManager[None]:
    """Surround a step of a recipe, ``what`` being its name; see :func:`explained`."""
    return explained(f"{recipe.name}: '{what}'")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Surround code of a recipe.

    An exception that leaves a line of a recipe file becomes a :class:`RecipeError` with that
    line. A :class:`TykkyError` passes, and learns the line if it named none. What was raised
    outside recipe files is Tykky's own mistake and passes as it is.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        place = failing_place(error.__traceback__)
        if isinstance(error, TykkyError):
            error.where = error.where or place
        if isinstance(error, TykkyError) or place is None:
            raise
        if isinstance(error, OSError) and error.errno in OF_DISKS:
            raise from_os_error(error, f"do what {what} wants", "build_dir") from error
        text = str(error).strip().splitlines()[:1] or ["no reason given"]
        raise RecipeError(
            f"{what} failed: {type(error).__name__}: {text[0]}",
            remedy=_remedy(error) or "correct this line of the recipe",
            where=place,
        ) from error


def guarded(recipe: Recipe, name: str) -> Any:
    """An attribute that the recipe may compute in its own code.

    Fields look after themselves (see ``checked_property``); this is for whatever else a kind
    lets its recipes replace. Raises :class:`RecipeError` with the line that failed.
    """
    with recipe_code(recipe, name):
        value = getattr(recipe, name)
        return tuple(value) if isinstance(value, Iterator) else value


def checked_property(
    cls: type[Recipe], field: str, read: Callable[[Any], object], annotation: Any
) -> property:
    """The property ``read`` of a recipe class as one that always gives what the field promises.

    Generators are used up, values converted and checked; whatever goes wrong, whoever reads
    the field gets a :class:`RecipeError` with the line.
    """

    def get(recipe: Recipe) -> Any:
        with recipe_code(recipe, field):
            try:
                return convert(field, read(recipe), annotation)
            except WrongValue as wrong:
                raise RecipeError(
                    f"{recipe.name}: {wrong.cause}",
                    remedy=wrong.remedy,
                    where=attribute_place(cls, field),
                ) from None

    return property(get, doc=read.__doc__)


def read_all(recipe: Recipe) -> None:
    """Read every field once, so that a wrong one is found before anything is done with it."""
    for field in fields(type(recipe)):
        guarded(recipe, field)


def _remedy(error: BaseException) -> str:
    name = getattr(error, "name", None)
    if isinstance(error, AttributeError) and name:
        known = [known for known in dir(error.obj) if not known.startswith("_")]
        return did_you_mean(name, known)
    if isinstance(error, NameError) and name:
        *_, (frame, _) = walk_tb(error.__traceback__)
        return did_you_mean(name, [*frame.f_locals, *frame.f_globals, *dir(builtins)])
    if isinstance(error, ImportError):
        wanted = re.search(r"cannot import name '(\w+)'", str(error))
        if error.name == "tykky" and wanted:
            kinds = sorted(name for name in tykky.__all__ if not name.startswith("_"))
            return did_you_mean(wanted[1], kinds) or f"tykky offers {', '.join(kinds)}"
        return "a recipe imports from tykky and Python's standard library only"
    if isinstance(error, SystemExit):
        return "a recipe does not exit: raise an exception to refuse"
    return ""

"""The check of a recipe class, made once when its file is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from tykky.errors import RecipeError, Where, did_you_mean
from tykky.recipe.choices import Variant, declared
from tykky.recipe.fields import WrongValue, convert, fields, no_text
from tykky.recipe.reading import checked_property
from tykky.recipe.source import attribute_place, class_place, is_recipe, kind_of

if TYPE_CHECKING:
    from tykky.recipe.recipe import Recipe

#: Fields that a recipe may leave to the user's choice: ``gpu = variant("none", "cuda12")``.
CHOOSABLE = frozenset({"gpu", "mpi"})

#: What Python writes into every class.
_OF_PYTHON = frozenset(
    {"__module__", "__qualname__", "__doc__", "__annotations__", "__dict__", "__weakref__"}
    | {"__firstlineno__", "__static_attributes__", "__parameters__", "__orig_bases__"}
    | {"__annotate__", "__annotate_func__", "__annotations_cache__", "__classcell__"}
)
#: What every recipe says, and what to do about one that does not.
_REQUIRED = {
    "versions": ("'versions'", 'add, for example: versions = "26.11", "26.05"'),
    "homepage": ("'homepage'", 'add, for example: homepage = "https://..."'),
    "license": ("'license'", 'add, for example: license = "MIT"'),
    "description": ("docstring", "say in one line below the class what the stack is for"),
}


def check_class(cls: type[Recipe], written: Mapping[str, object], reserved: frozenset[str]) -> None:
    """Check what the class itself says, and put converted values in place.

    ``written`` are the public attributes as the recipe gives them, ``reserved`` are the names
    that Tykky gives a selected recipe.
    """
    _check_private(cls)
    known = fields(cls)
    offered = _offered(cls, reserved)
    variants = declared(cls.__mro__[1:])
    for name, value in written.items():
        if name in reserved:
            _refuse(cls, name, f"'{name}' is set by Tykky", "choose another name")
        elif isinstance(value, Variant):
            if (name in known and name not in CHOOSABLE) or name in offered:
                what = "field" if name in known else "step"
                _refuse(cls, name, f"'{name}' is already a {what}", "choose another name")
        elif name in variants:
            _check_pinned(cls, variants[name], value)
        elif name in known:
            _check_field(cls, name, value, known[name])
        elif name in offered:
            _check_step(cls, name, value, offered[name])
        else:
            remedy = did_you_mean(name, [*known, *offered, *variants])
            remedy = remedy or f"a helper begins with an underscore: '_{name}'"
            _refuse(cls, name, f"a {kind_of(cls).__name__} has no field '{name}'", remedy)
    if not cls.__name__.startswith("_"):
        _check_complete(cls)


def _check_private(cls: type[Recipe]) -> None:
    """A helper's name is its own: not one of Python's methods, nor of the kind's helpers."""
    own = {name for base in cls.__mro__ if not is_recipe(base) for name in vars(base)}
    for name in vars(cls):
        private = name.startswith("_") and name not in _OF_PYTHON
        if private and (name.startswith("__") or name in own):
            _refuse(cls, name, f"'{name}' is not a recipe's to set", "choose another name")


def _refuse(
    cls: type[Recipe], name: str, cause: str, remedy: str, where: Where | None = None
) -> NoReturn:
    raise RecipeError(
        f"{cls.name}: {cause}", remedy=remedy, where=where or attribute_place(cls, name)
    )


def _offered(cls: type, reserved: frozenset[str]) -> Mapping[str, Any]:
    """The public methods and properties of the kind, which a recipe may replace."""
    return {
        name: value
        for base in reversed(cls.__mro__)
        if not is_recipe(base) and base is not object
        for name, value in vars(base).items()
        if not name.startswith("_")
        and name not in reserved
        and isinstance(value, FunctionType | property | cached_property)
    }


def _check_field(cls: type[Recipe], name: str, value: object, annotation: Any) -> None:
    if isinstance(value, property | cached_property):
        if name == "versions":
            cause = "'versions' cannot depend on a choice, because it is one"
            _refuse(cls, name, cause, "write it as a class attribute")
        setattr(cls, name, checked_property(cls, name, _read(cls, name, value), annotation))
        return
    if isinstance(value, FunctionType | classmethod | staticmethod):
        cause = f"'{name}' is a field, and here it is a method"
        _refuse(cls, name, cause, "put @property on the line above")
    try:
        setattr(cls, name, convert(name, value, annotation))
    except WrongValue as wrong:
        _refuse(cls, name, wrong.cause, wrong.remedy, attribute_place(cls, name, wrong.path))


def _read(cls: type[Recipe], name: str, value: property | cached_property[Any]) -> Any:
    """The function behind a property, which takes one argument."""
    read = value.func if isinstance(value, cached_property) else value.fget
    try:
        inspect.signature(read).bind(cls)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        cause = f"the property '{name}' takes self, and nothing else"
        _refuse(cls, name, cause, f"write def {name}(self):")
    return read


def _check_step(cls: type[Recipe], name: str, value: object, original: Any) -> None:
    if not isinstance(original, FunctionType):
        if isinstance(value, property | cached_property):
            _read(cls, name, value)
        return
    wanted = original.__code__.co_varnames[: original.__code__.co_argcount]
    signature = f"def {name}({', '.join(wanted)}):"
    if not isinstance(value, FunctionType):
        _refuse(cls, name, f"'{name}' is a step, and steps are methods", f"write {signature}")
    try:
        inspect.signature(value).bind(*wanted)
    except TypeError:
        _refuse(cls, name, f"the step '{name}' takes {' and '.join(wanted)}", f"write {signature}")


def _check_pinned(cls: type[Recipe], variant: Variant, value: object) -> None:
    """An overlay may settle a variant of the recipe it extends, with a value or a property."""
    if isinstance(value, property | cached_property):
        _read(cls, variant.name, value)
        return
    if type(value) is not type(variant.default) or value not in variant.values:
        cause = f"the variant '{variant.name}' has no value {value!r}"
        remedy = did_you_mean(str(value), list(map(str, variant.values)))
        remedy = remedy or f"its values are {', '.join(map(repr, variant.values))}"
        _refuse(cls, variant.name, cause, remedy, attribute_place(cls, variant.name, ()))


def _check_complete(cls: type[Recipe]) -> None:
    if strange := no_text(f"{cls.description}{cls.long_description}"):
        cause, remedy = f"the docstring has {strange} in it", "write it in plain text"
        _refuse(cls, "description", cause, remedy, class_place(cls))
    for name, (what, remedy) in _REQUIRED.items():
        if not getattr(cls, name):
            _refuse(cls, name, f"the recipe has no {what}", remedy, class_place(cls))
    # Two choices that add the same to a module's name could not be told apart.
    owners: dict[str, Variant] = {}
    for variant in cls.variants().values():
        for value in variant.values:
            suffix = variant.suffix(value)
            if suffix and suffix in owners:
                names = f"'{owners[suffix].name}' and '{variant.name}'"
                cause = f"the variants {names} both add '{suffix}' to the module's name"
                _refuse(cls, variant.name, cause, "rename one of the two values")
            owners[suffix] = variant

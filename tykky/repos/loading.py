"""Loading one recipe file: from a path to a checked class, or an error with file and line.

The file is compiled and run here rather than imported, so that nothing is written beside it,
nothing around it can be imported by accident, and two repositories may have the same name.

Public names: ``load_folder``, ``read_description``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tykky.errors import RecipeError, Where
from tykky.repos.folders import RECIPE_FILE, is_name, misnamed, refuse_writable

if TYPE_CHECKING:
    from tykky.recipe import Recipe

# What was loaded, by the file and its state: one class however a recipe is reached.
_loaded: dict[tuple[Path, int, int, int], type[Recipe]] = {}
_loading: list[Path] = []


def load_folder(folder: Path) -> type[Recipe]:
    """The recipe class in ``folder``; loaded once. Raises :class:`RecipeError`."""
    file = folder / RECIPE_FILE
    if not is_name(folder.name):
        raise misnamed(folder)
    refuse_writable(folder)
    try:
        state = file.stat()
        source = file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None
    key = (file, state.st_ino, state.st_mtime_ns, state.st_size)
    if key not in _loaded:
        _loaded[key] = _load(file, source)
    return _loaded[key]


def read_description(folder: Path) -> str:
    """The first line of the docstring of a recipe, from its text; empty if it has none."""
    import ast

    file = folder / RECIPE_FILE
    try:
        tree = ast.parse(file.read_bytes())
    except OSError as error:
        raise _unreadable(file, error) from None
    except (SyntaxError, ValueError) as error:
        raise _syntax(file, error) from None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            docstring = ast.get_docstring(node) or ""
            return docstring.strip().partition("\n")[0].strip()
    return ""


def _load(file: Path, source: bytes) -> type[Recipe]:
    if file in _loading:
        chain = " -> ".join(str(path) for path in [*_loading, file])
        raise RecipeError(
            f"the recipe '{file.parent.name}' extends itself: {chain}",
            remedy="an overlay extends the recipe of another repository",
        )
    _loading.append(file)
    try:
        return _only_recipe(file, _run(file, source))
    finally:
        _loading.pop()


def _run(file: Path, source: bytes) -> ModuleType:
    import hashlib

    from tykky.recipe.reading import explained
    from tykky.recipe.source import MARK

    repository = hashlib.sha256(bytes(file.parent.parent)).hexdigest()[:8]
    module = ModuleType(f"tykky_recipes.{repository}.{file.parent.name}")
    module.__file__ = str(file)
    setattr(module, MARK, source)
    try:
        code = compile(source, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise _syntax(file, error) from None
    sys.modules[module.__name__] = module  # classes look their module up by name
    try:
        with explained(f"{file.parent.name}: the recipe"):
            exec(code, vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _only_recipe(file: Path, module: ModuleType) -> type[Recipe]:
    from tykky.recipe import Recipe
    from tykky.recipe.source import class_place

    name = file.parent.name
    classes = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and key == value.__name__
        and not key.startswith("_")
    ]
    recipes = [cls for cls in classes if issubclass(cls, Recipe)]
    if len(recipes) == 1:
        return recipes[0]
    if recipes:
        listed = " and ".join(cls.__name__ for cls in recipes)
        raise RecipeError(
            f"{name}: there are {len(recipes)} recipes in one file, {listed}",
            remedy="give each its own folder, or begin a shared base with an underscore: "
            f"_{recipes[0].__name__}",
            where=class_place(recipes[1]),
        )
    if classes:
        raise RecipeError(
            f"{name}: the class {classes[0].__name__} is not a recipe",
            remedy=f"derive it from a kind: class {classes[0].__name__}(PipStack):",
            where=class_place(classes[0]),
        )
    raise RecipeError(
        f"{name}: there is no recipe in the file",
        remedy="write one class derived from a kind: class MyStack(PipStack):",
        where=Where(file),
    )


def _unreadable(file: Path, error: OSError) -> RecipeError:
    return RecipeError(
        f"the recipe {file} cannot be read: {error.strerror}",
        remedy="ask whoever owns it for read permission",
    )


def _syntax(file: Path, error: SyntaxError | ValueError) -> RecipeError:
    name = file.parent.name
    if not isinstance(error, SyntaxError):
        return RecipeError(
            f"{name}: the recipe is not text: {error}",
            remedy="save it again as UTF-8",
            where=Where(file),
        )
    column = error.offset - 1 if error.offset else None
    width = 1
    if error.end_lineno == error.lineno and error.end_offset and error.offset:
        width = error.end_offset - error.offset
    return RecipeError(
        f"{name}: the recipe is not valid Python: {error.msg}",
        remedy="correct this line, or the one before it",
        where=Where(file, error.lineno or 0, column, width, error.text),
    )

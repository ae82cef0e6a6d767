"""Recipes in a repository: its folders, each file as a checked class, all as a module.

The file is compiled and run here rather than imported, so that nothing is written beside it,
nothing around it can be imported by accident, and two repositories may have the same name.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import re
import stat
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tykky import trust
from tykky.errors import RecipeError, Where, did_you_mean
from tykky.host import real
from tykky.resources import resource
from tykky.spec import NAME_PATTERN
from tykky.text import load_yaml, read_text

if TYPE_CHECKING:
    from tykky.recipe import Recipe

#: What Python's parser raises for what is no program, or one that it cannot hold.
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
#: How many expressions and statements there may be within each other.
_DEPTH = 150
RECIPE_FILE = "recipe.py"
REPOSITORY_FILE = "repo.yaml"
#: The namespace of the recipes that come with Tykky.
BUILTIN = "builtin"


def is_name(name: str) -> bool:
    """Whether a folder of this name can be named in a spec."""
    return re.fullmatch(NAME_PATTERN, name) is not None


def recipe_folders(repository: Path) -> dict[str, Path]:
    """The folders of a repository that hold a recipe, by name; whatever else is there is not."""
    try:
        with os.scandir(repository) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise RecipeError(
            f"the recipe repository {repository} cannot be read: {error.strerror}",
            remedy="'tykky config why repos' says where it is configured",
        ) from None
    return {
        name: repository / name for name in names if (repository / name / RECIPE_FILE).is_file()
    }


def is_own(repository: Path) -> bool:
    """Whether recipes may be put there: not what comes with Tykky, nor what git has fetched.

    The latter nobody may write to, which holds for root as well.
    """
    try:
        is_open = repository.stat().st_mode & 0o222
    except OSError:
        return False
    is_writable = is_open and os.access(repository, os.W_OK | os.X_OK)
    return bool(is_writable) and real(repository) != real(resource("repo"))


def misnamed(folder: Path) -> RecipeError:
    """The error for a recipe's folder whose name no spec can say."""
    better = re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-_")
    return RecipeError(
        f"the folder '{folder.name}' cannot be the name of a recipe",
        remedy=f"rename it, for example to '{better or 'my-stack'}': lower case letters, "
        "digits, '-' and '_'",
        where=Where(folder / RECIPE_FILE),
    )


def check_trusted(file: Path, what: str = "the recipe") -> None:
    """Raise :class:`RecipeError` if somebody could have written a file that a repository has.

    Whoever names a repository trusts its owner, and where its group may write, that group: so
    sites share the work.
    """
    folder = file.parent
    owners: list[int] | None = []
    for each in (folder.parent, folder):
        with contextlib.suppress(OSError):  # reading the file will say it better
            shared = each.stat().st_mode & stat.S_IWGRP
            owners = None if owners is None or shared else [*owners, *trust.owner(each)]
    trust.check(file, what, partial(RecipeError, where=Where(file)), owners)


# What was loaded, by the file and its text: one class however a recipe is reached.
_loaded: dict[tuple[Path, bytes], type[Recipe]] = {}
_loading: list[Path] = []


def load_folder(folder: Path) -> type[Recipe]:
    """The recipe class in ``folder``; loaded once. Raises :class:`RecipeError`."""
    file = folder / RECIPE_FILE
    if not is_name(folder.name):
        raise misnamed(folder)
    check_trusted(file)
    source = _source(file)
    if (file, source) not in _loaded:
        _loaded[file, source] = _load(file, source)
    return _loaded[file, source]


def read_description(folder: Path) -> str:
    """The first line of the docstring of a recipe, from its text; empty if it has none."""
    file = folder / RECIPE_FILE
    try:
        tree = ast.parse(_source(file))
    except _NO_PYTHON as error:
        raise _syntax(file, error) from None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            return (ast.get_docstring(node) or "").partition("\n")[0].strip()
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
    from tykky.recipe.reading import explained  # costs what listing does without
    from tykky.recipe.source import MARK

    digest = hashlib.sha256(bytes(file) + source).hexdigest()[:8]
    module = ModuleType(f"tykky_recipes.{digest}.{file.parent.name}")
    module.__file__ = str(file)
    setattr(module, MARK, source)
    try:
        tree = ast.parse(source, str(file))
        _check_tree(file, tree)
        code = compile(tree, str(file), "exec", dont_inherit=True)
    except _NO_PYTHON as error:
        raise _syntax(file, error) from None
    sys.modules[module.__name__] = module  # classes look their module up by name
    try:
        with explained(f"{file.parent.name}: the recipe"):
            exec(code, vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _check_tree(file: Path, tree: ast.AST) -> None:
    """Refuse imports of what only some machines have: a recipe works wherever Tykky does.

    And what is nested deeper than can be compared with another version of it: ``RecursionError``.
    """
    nodes = [(tree, 0)]
    for node, depth in nodes:
        nodes += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
        if depth > _DEPTH:
            raise RecursionError(f"there are {_DEPTH} expressions within each other")
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = ["" if node.level else str(node.module)]
        for name in names:
            if name.partition(".")[0] not in (*sys.stdlib_module_names, "tykky"):
                what = f"imports '{name}'" if name else "imports what is beside it"
                raise RecipeError(
                    f"{file.parent.name}: the recipe {what}",
                    remedy="a recipe imports from tykky and Python's standard library only",
                    where=Where(file, node.lineno),
                )


def _only_recipe(file: Path, module: ModuleType) -> type[Recipe]:
    from tykky.recipe import Recipe
    from tykky.recipe.source import class_place

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
    cause, where = "there is no recipe in the file", Where(file)
    remedy = "write one class derived from a kind: class MyStack(PipStack):"
    if recipes:
        listed = " and ".join(cls.__name__ for cls in recipes)
        cause = f"there are {len(recipes)} recipes in one file, {listed}"
        remedy = "give each its own folder, or begin a shared base with an underscore: "
        remedy += f"_{recipes[0].__name__}"
        where = class_place(recipes[1])
    elif classes:
        cause = f"the class {classes[0].__name__} is not a recipe"
        remedy = f"derive it from a kind: class {classes[0].__name__}(PipStack):"
        where = class_place(classes[0])
    raise RecipeError(f"{file.parent.name}: {cause}", remedy=remedy, where=where)


def _source(file: Path) -> bytes:
    return read_text(file, "recipe", RecipeError).encode()


def _syntax(file: Path, error: Exception) -> RecipeError:
    cause, remedy, where = f"nested too deep: {error}", "give parts of it names", Where(file)
    if isinstance(error, SyntaxError):
        cause, remedy = f"not valid Python: {error.msg}", "correct this line, or the one before it"
        start, end = error.offset or 0, error.end_offset or 0
        width = end - start if error.end_lineno == error.lineno and start and end else 1
        where = Where(file, error.lineno or 0, start - 1 if start else None, width, error.text)
    return RecipeError(f"{file.parent.name}: the recipe is {cause}", remedy=remedy, where=where)


def _recipe_named(module: str, repository: Path, name: str) -> type[Recipe]:
    """The recipe whose folder is the class name in lower case, '-' and '_' aside.

    ``AttributeError`` for names that are no class's; :class:`RecipeError` if there is no such
    folder.
    """
    if not name[:1].isupper():
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    folders = recipe_folders(repository)
    for folder_name, folder in folders.items():
        if re.sub("[-_]", "", folder_name) == name.lower():
            return load_folder(folder)
    classes = ["".join(map(str.capitalize, re.split("[-_]", known))) for known in folders]
    raise RecipeError(
        f"the repository {repository} has no recipe for '{name}'",
        remedy=did_you_mean(name, classes) or "'tykky list' shows the recipes there are",
    )


def register(repository: Path) -> None:
    """Make a repository importable if its ``repo.yaml`` gives it a namespace."""
    file = repository / REPOSITORY_FILE
    if not file.is_file():
        return
    check_trusted(file, "the repository")
    text = read_text(file, "description of a repository", RecipeError)
    content = load_yaml(text, file, RecipeError)
    if not isinstance(content, dict) or "namespace" not in content:
        return
    namespace, why = content["namespace"], ""
    if not isinstance(namespace, str) or not re.fullmatch("[a-z][a-z0-9_]*", namespace):
        why = "is not a word of small letters, digits and '_'"
    elif namespace == BUILTIN or Path(__file__).with_name(f"{namespace}.py").exists():
        why = "is the name of a part of Tykky"
    if why:
        lines = enumerate(text.splitlines(), 1)
        raise RecipeError(
            f"the namespace {namespace!r} {why}",
            remedy="choose another, such as the name of the site",
            where=Where(file, next((n for n, line in lines if line.startswith("namespace")), 1)),
        )
    publish(namespace, repository)


def publish(namespace: str, repository: Path) -> None:
    """Make a repository importable; the attributes of its module are its recipes."""
    doc = f"The recipes of {repository}, for overlays to extend."
    module = ModuleType(f"tykky.repos.{namespace}", doc)
    vars(module)["__getattr__"] = partial(_recipe_named, module.__name__, repository)
    sys.modules[module.__name__] = module
    setattr(sys.modules["tykky.repos"], namespace, module)

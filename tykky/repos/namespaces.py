"""Repositories as modules, so that a recipe can extend one of another repository.

Public names: ``publish`` makes a repository importable as ``tykky.repos.<namespace>``,
``register`` one that has a namespace; ``BUILTIN``.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tykky.errors import RecipeError, Where, did_you_mean
from tykky.repos.loading import load_folder, recipe_folders

if TYPE_CHECKING:
    from tykky.recipe import Recipe

REPOSITORY_FILE = "repo.yaml"
#: The namespace of the recipes that come with Tykky.
BUILTIN = "builtin"


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
    namespace = _namespace(file) if file.is_file() else None
    if namespace is None:
        return
    if namespace == BUILTIN or Path(__file__).with_name(f"{namespace}.py").exists():
        raise _refused(file, namespace, "is the name of a part of Tykky")
    publish(namespace, repository)


def publish(namespace: str, repository: Path) -> None:
    """Make a repository importable; the attributes of its module are its recipes."""
    doc = f"The recipes of {repository}, for overlays to extend."
    module = ModuleType(f"tykky.repos.{namespace}", doc)
    vars(module)["__getattr__"] = partial(_recipe_named, module.__name__, repository)
    sys.modules[module.__name__] = module
    setattr(sys.modules["tykky.repos"], namespace, module)


def _namespace(file: Path) -> str | None:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise RecipeError(
            f"{file} cannot be read as YAML",
            remedy="write, for example: 'namespace: mysite'",
            where=Where(file, mark.line + 1, mark.column) if mark else Where(file),
        ) from None
    if not isinstance(content, dict) or "namespace" not in content:
        return None
    namespace = content["namespace"]
    if not isinstance(namespace, str) or not re.fullmatch("[a-z][a-z0-9_]*", namespace):
        raise _refused(file, namespace, "is not a word of small letters, digits and '_'")
    return namespace


def _refused(file: Path, namespace: object, why: str) -> RecipeError:
    lines = file.read_text(encoding="utf-8").splitlines()
    line = next((n for n, text in enumerate(lines, 1) if text.startswith("namespace")), 1)
    return RecipeError(
        f"the namespace {namespace!r} {why}",
        remedy="choose another, such as the name of the site",
        where=Where(file, line),
    )

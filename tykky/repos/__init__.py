"""Recipe repositories, in order: the first that has a recipe wins.

A repository is a directory with one folder per recipe, each with a ``recipe.py``, and perhaps
a ``repo.yaml`` that gives the repository a namespace. A site puts its own repository first and
extends what comes after: ``from tykky.repos.builtin import PythonData as Upstream``, or
``from tykky.repos.<namespace> import ...`` for a repository with a namespace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import SpecError, did_you_mean
from tykky.repos import loading
from tykky.resources import resource
from tykky.spec import Spec, marked

if TYPE_CHECKING:
    from tykky.recipe import Recipe, Variant, Version

__all__ = ["Repos"]

_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")


class Repos:
    """Repositories, the ones that win first. Listing reads directories and runs no recipe."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._folders: dict[Path, dict[str, Path]] = {}
        self._namespaces_known = False

    def names(self) -> list[str]:
        """The names of all recipes, sorted."""
        return sorted({name for path in self.paths for name in self._recipes(path)})

    def misnamed(self) -> list[Path]:
        """Folders that hold a recipe, and have a name that no spec can say."""
        return [
            folder
            for path in self.paths
            for name, folder in sorted(self._all(path).items())
            if not loading.is_name(name)
        ]

    def find(self, name: str) -> Path:
        """The folder of the recipe that wins; :class:`SpecError` if there is none."""
        return self._find(Spec(name))

    def description(self, name: str) -> str:
        """The first line of the recipe's docstring, without running the recipe.

        Only a recipe that leaves its docstring to the one it extends has to be loaded.
        """
        return loading.read_description(self.find(name)) or self.load(name).description

    def load(self, name: str) -> type[Recipe]:
        """The recipe's class; :class:`RecipeError` with file and line for any mistake in it."""
        return self._load(self.find(name))

    def select(self, spec: Spec) -> Recipe:
        """The recipe with version and choices settled.

        Raises :class:`SpecError` for what the recipe does not offer, with a suggestion.
        """
        cls = self._load(self._find(spec))
        variants = cls.variants()
        choices = {
            name: _choice(spec, name, value, variants) for name, value in spec.choices.items()
        }
        return cls(_version(spec, cls), choices)

    def _load(self, folder: Path) -> type[Recipe]:
        if not self._namespaces_known:
            for path in reversed(self.paths):  # of two with one namespace, the first counts
                loading.register(path)
            self._namespaces_known = True
        return loading.load_folder(folder)

    def _find(self, spec: Spec) -> Path:
        for path in self.paths:
            folder = self._recipes(path).get(spec.name)
            if folder is not None:
                return folder
        for path in self.paths:
            if spec.name in self._all(path):
                raise loading.misnamed(self._all(path)[spec.name])
        names = self.names()
        hint = did_you_mean(spec.name, names)
        raise SpecError(
            f"there is no recipe '{spec.name}'",
            remedy=hint or "'tykky list' shows the recipes there are",
            details=marked(str(spec), 0, len(spec.name)),
        )

    def _all(self, path: Path) -> dict[str, Path]:
        if path not in self._folders:
            self._folders[path] = loading.recipe_folders(path)
        return self._folders[path]

    def _recipes(self, path: Path) -> dict[str, Path]:
        return {n: folder for n, folder in self._all(path).items() if loading.is_name(n)}


def _version(spec: Spec, cls: type[Recipe]) -> Version:
    versions = cls.versions
    if spec.version is None:
        return versions[0]
    matching = [version for version in versions if version.matches(spec.version)]
    for version in matching:
        if version == spec.version or len(matching) == 1:
            return version
    if matching:
        cause = f"'{spec.name}' has {len(matching)} versions that begin with {spec.version}"
        remedy = f"choose one of {', '.join(matching)}"
    else:
        cause = f"'{spec.name}' has no version {spec.version}"
        hint = _as_spec(cls, spec.version) or did_you_mean(spec.version, list(versions))
        remedy = f"{hint} there is {', '.join(versions)}".lstrip()
    place = marked(str(spec), len(spec.name) + 1, len(spec.version))
    raise SpecError(cause, remedy=remedy, details=place)


def _as_spec(cls: type[Recipe], version: str) -> str:
    """What to say of a version that is one of a module: choices are behind it."""
    from tykky.recipe.recipe import selections

    for recipe in islice(selections(cls), 1000):
        if f"{recipe.version}{recipe.suffix}" == version:
            return f"that is the name of a module, and as a spec '{recipe.spec}';"
    return ""


def _choice(spec: Spec, name: str, value: bool | str, variants: dict[str, Variant]) -> bool | str:
    variant = variants.get(name)
    if variant is None:
        cause = f"'{spec.name}' has no variant '{name}'"
        known = ", ".join(variants)
        remedy = did_you_mean(name, list(variants)) or (
            f"its variants are {known}" if known else "it has no variants at all"
        )
    elif value in variant.values:
        return value
    elif variant.is_flag:
        if str(value).lower() in (*_YES, *_NO):
            return str(value).lower() in _YES
        cause = f"the variant '{name}' of '{spec.name}' is on or off, and takes no value"
        remedy = f"write +{name} or ~{name}"
    elif isinstance(value, bool):
        cause = f"the variant '{name}' of '{spec.name}' takes a value"
        remedy = "write " + " or ".join(f"{name}={known}" for known in variant.values)
    else:
        values = [str(known) for known in variant.values]
        cause = f"the variant '{name}' of '{spec.name}' has no value '{value}'"
        remedy = did_you_mean(value, values) or f"its values are {', '.join(values)}"
    # The carets are below the choice, which is there as +x, ~x or x=y.
    text, choice = str(spec), f"{name}={value}" if isinstance(value, str) else name
    found = re.search(rf"(?<=[+~ ]){re.escape(choice)}(?!\S)", text)
    place = marked(text, found.start() if found else 0, len(choice))
    raise SpecError(cause, remedy=remedy, details=place)


loading.publish(loading.BUILTIN, resource("repo"))

"""What is in a repository, from its directory alone, and whether it may be trusted.

Public names: ``RECIPE_FILE``, ``is_name``, ``recipe_folders``, ``misnamed``, ``refuse_writable``.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from tykky.errors import RecipeError, Where
from tykky.spec import NAME_PATTERN

RECIPE_FILE = "recipe.py"


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


def misnamed(folder: Path) -> RecipeError:
    """The error for a recipe's folder whose name no spec can say."""
    better = re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-_")
    return RecipeError(
        f"the folder '{folder.name}' cannot be the name of a recipe",
        remedy=f"rename it, for example to '{better or 'my-stack'}': lower case letters, "
        "digits, '-' and '_'",
        where=Where(folder / RECIPE_FILE),
    )


def refuse_writable(folder: Path) -> None:
    """Refuse a recipe that everybody on the machine could have written.

    Group-writable repositories are how sites share the work, so they are fine.
    """
    for path in (folder.parent, folder, folder / RECIPE_FILE):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # reading the file will say it better
        if mode & stat.S_IWOTH:
            raise RecipeError(
                f"{path} can be written by everybody, so the recipe cannot be trusted",
                remedy=f"if its content is right: chmod o-w '{path}'",
                where=Where(folder / RECIPE_FILE),
            )

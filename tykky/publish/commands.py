"""The commands of an install: which there are, and the launcher under each of their names.

Public names: ``choose``, ``make``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import RecipeError, Where, did_you_mean, from_os_error
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place
from tykky.runtime.base import LaunchPlan, render
from tykky.runtime.native import launcher_program
from tykky.store import HIDDEN
from tykky.store.files import Permissions, make_folder, write_file

if TYPE_CHECKING:
    from tykky.recipe import Recipe


def choose(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """The names in ``folder`` (the tree's ``bin``) that the recipe offers as commands.

    A mapping gives programs other names: they become links beside the programs. Raises
    ``RecipeError`` for a pattern that nothing matches: a command that users rely on must not
    vanish silently.
    """
    wanted = guarded(recipe, "commands")
    there = programs(folder)
    if isinstance(wanted, Mapping):
        for name, program in wanted.items():
            _matching(recipe, program, there)
            if name not in there:
                (folder / name).symlink_to(program)
        return tuple(sorted(wanted))
    chosen = {name for pattern in wanted for name in _matching(recipe, pattern, there)}
    return tuple(sorted(chosen))


def _matching(recipe: Recipe, pattern: str, there: list[str]) -> list[str]:
    if found := [name for name in there if fnmatchcase(name, pattern)]:
        return found
    raise RecipeError(
        f"the recipe '{recipe.name}' offers the command '{pattern}', and the stack has "
        "no such program",
        remedy=did_you_mean(pattern.rstrip("*"), there)
        or f"it has {', '.join(there[:8]) or 'none at all'}",
        where=attribute_place(type(recipe), "commands") or Where(recipe.file),
    )


def programs(folder: Path) -> list[str]:
    """The executable files and links in a folder, sorted."""
    if not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_symlink() or (path.is_file() and os.access(path, os.X_OK))
    )


def make(plan: LaunchPlan, commands: tuple[str, ...], permissions: Permissions) -> None:
    """Write ``launch.conf`` and put the launcher under every command's name.

    The commands are hard links to one file; where the file system has none, copies.
    """
    hidden = plan.prefix / HIDDEN
    launcher = hidden / "launch"
    write_file(hidden / "launch.conf", render(plan).encode(), permissions)
    try:
        temporary = hidden / ".launch.new"
        shutil.copyfile(launcher_program(), temporary)
        permissions.apply(temporary, executable=True)
        temporary.replace(launcher)
        make_folder(plan.prefix / "bin", permissions)
        for name in commands:
            _link(launcher, plan.prefix / "bin" / name)
    except OSError as error:
        raise from_os_error(error, "make the commands") from error


def _link(launcher: Path, command: Path) -> None:
    try:
        os.link(launcher, command)
    except OSError:
        shutil.copy2(launcher, command)

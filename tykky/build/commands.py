"""The commands of an install: which there are, and the launcher under each of their names.

Public names: ``ALL``, ``choose``, ``make``, ``name_host``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import RecipeError, Where, did_you_mean, from_os_error
from tykky.files import Permissions, make_folder, write_file
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place
from tykky.runtime.base import LaunchPlan, render
from tykky.runtime.native import launcher_program
from tykky.store import HIDDEN

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.kinds.stack import Stack


#: The pattern that means all programs in ``bin``.
ALL = "*"


def choose(recipe: Stack, root: Path, base: Base) -> tuple[str, ...]:
    """The names in the ``bin`` of the tree ``root`` that the recipe offers as commands.

    A pattern without a slash is a glob of names there (and, if the recipe wraps what its base
    has, along the base's PATH); one with a slash is a path or directory in the tree; one that
    begins with a slash, in the base. What is not in ``bin`` is linked there; a mapping gives
    programs other names the same way.

    Raises ``RecipeError`` for a pattern that nothing matches, since a command that users rely on
    must not vanish silently (but ``*`` is all that there are, and may be none), and for two
    programs that would get one name.
    """
    wanted = guarded(recipe, "commands")
    chosen: dict[str, str] = {}
    if isinstance(wanted, Mapping):
        for name, pattern in wanted.items():
            chosen[name] = _only(recipe, pattern, _matching(recipe, pattern, root, base))
    else:
        for pattern in wanted:
            for program in _matching(recipe, pattern, root, base):
                name = Path(program).name
                if chosen.setdefault(name, program) != program:
                    raise _refused(
                        recipe,
                        f"offers two programs as '{name}': {chosen[name]} and {program}",
                        "give one of them another name: commands = {'NAME': 'PATH'}",
                    )
    for name, program in chosen.items():
        _link_to(program, root / "bin" / name)
    return tuple(sorted(chosen))


def _link_to(program: str, link: Path) -> None:
    """Let a name in ``bin`` lead to a program: a name there, a path from above, or in the base."""
    if os.path.normpath(program) in (link.name, f"bin/{link.name}"):
        return  # it has that name already
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    if "/" in program and not program.startswith("/"):
        program = f"../{program}"
    link.symlink_to(program)


def _matching(recipe: Stack, pattern: str, root: Path, base: Base) -> list[str]:
    """The programs that a pattern means: names in ``bin``, or paths."""
    there: list[str] = []
    if pattern.startswith("/"):
        found = base.programs(pattern)
    elif "/" in pattern:
        paths = [path for path in sorted(root.glob(pattern.rstrip("/"))) if path.exists()]
        inside = [p / name for p in paths if p.is_dir() for name in programs(p)]
        files = [p for p in paths if p.is_file() and os.access(p, os.X_OK)]
        found = [str(p.relative_to(root)) for p in (*files, *inside)]
    else:
        there = programs(root / "bin")
        found = [name for name in there if fnmatchcase(name, pattern)]
        if recipe.wraps_base:
            found = found or base.programs(pattern)
    if found or pattern == ALL:
        return found
    raise _refused(
        recipe,
        f"offers the command '{pattern}', and the stack has no such program",
        did_you_mean(pattern, there)
        or "where a choice decides, make 'commands' a property: if self.jupyter: yield 'jupyter*'",
    )


def _only(recipe: Stack, pattern: str, found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    raise _refused(
        recipe,
        f"gives one name to {len(found)} programs: '{pattern}' means {', '.join(found[:4])}",
        "write the full name of one program",
    )


def _refused(recipe: Stack, what: str, remedy: str) -> RecipeError:
    where = attribute_place(type(recipe), "commands") or Where(recipe.file)
    return RecipeError(f"the recipe '{recipe.name}' {what}", remedy=remedy, where=where)


def programs(folder: Path) -> list[str]:
    """The executable files and links in a folder, sorted; not what a shell would hide."""
    # A link could lead out of what was built.
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and (path.is_symlink() or (path.is_file() and os.access(path, os.X_OK)))
    )


def make(
    plan: LaunchPlan,
    commands: tuple[str, ...],
    permissions: Permissions,
    *,
    at: Path | None = None,
) -> None:
    """Write ``launch.conf`` and put the launcher under every command's name.

    ``at`` is a folder other than the prefix that will be put in its place.

    The commands are hard links to one file; where the file system has none, copies.
    """
    prefix = at or plan.prefix
    hidden = prefix / HIDDEN
    launcher = hidden / "launch"
    own = (plan.prefix / HIDDEN, Path("$PREFIX", HIDDEN))
    if plan.root is not None and plan.root.path.parent in own:
        make_folder(hidden / plan.root.path.name, permissions)  # a root that consists of binds
    if plan.container is not None and plan.container in [folder / "host" for folder in own]:
        name_host(hidden / "host", permissions)
    write_file(hidden / "launch.conf", render(plan).encode(), permissions)
    try:
        temporary = hidden / ".launch.new"
        shutil.copyfile(launcher_program(), temporary)
        permissions.apply(temporary, executable=True)
        temporary.replace(launcher)
        make_folder(prefix / "bin", permissions)
        for name in commands:
            _link(launcher, prefix / "bin" / name)
    except OSError as error:
        raise from_os_error(error, "make the commands") from error


def name_host(folder: Path, permissions: Permissions) -> None:
    """Make a root directory that has the names of the host's, on which all of it is bound.

    Apptainer enters it where a stack has no image for a root. Raises ``OSError``.
    """
    make_folder(folder, permissions)
    for entry in sorted(Path("/").iterdir()):
        name = folder / entry.name
        if entry.is_symlink():
            name.unlink(missing_ok=True)
            name.symlink_to(entry.readlink())
        elif entry.is_dir():
            make_folder(name, permissions)


def _link(launcher: Path, command: Path) -> None:
    """Give a command its name, in place of what had it: who runs that is not disturbed."""
    new = command.with_name(f".{command.name}.new")
    new.unlink(missing_ok=True)
    try:
        os.link(launcher, new)
    except OSError:
        shutil.copy2(launcher, new)
    new.replace(command)

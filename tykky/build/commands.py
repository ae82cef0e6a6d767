"""The commands of a generation: which there are, and the launcher under each of their names."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import Base
from tykky.build.entering import OWN
from tykky.errors import RecipeError, Where, did_you_mean, explained
from tykky.files import Permissions, make_folder, write_file
from tykky.recipe import guarded
from tykky.recipe.fields import no_text
from tykky.recipe.source import attribute_place
from tykky.runtime import native
from tykky.runtime.base import CONF_NAME, LaunchPlan, render
from tykky.store import Place
from tykky.tools.scratch import contained

if TYPE_CHECKING:
    from tykky.kinds.stack import Stack


#: The pattern that means all programs in ``bin``.
ALL = "*"


def are_plain(recipe: Stack) -> bool:
    """Whether the commands are chosen among the names in ``bin``, so that they change no image."""
    wanted = guarded(recipe, "commands")
    named = isinstance(wanted, Mapping)
    return not (named or recipe.wraps_base or any("/" in pattern for pattern in wanted))


def choose_again(recipe: Stack, there: Sequence[str]) -> tuple[str, ...]:
    """The commands of a recipe whose patterns ``are_plain``, by the names in its ``bin``."""
    patterns = guarded(recipe, "commands")
    return tuple(sorted({name for each in patterns for name in _named(recipe, each, there)}))


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
    named = isinstance(wanted, Mapping)
    for given, pattern in wanted.items() if named else (("", each) for each in wanted):
        found = _matching(recipe, pattern, root, base)
        if named and len(found) != 1:
            means = f"'{pattern}' means {', '.join(found[:4])}"
            what = f"gives one name to {len(found)} programs: {means}"
            raise _refused(recipe, what, "write the full name of one program")
        for program in found:
            name = given if named else Path(program).name
            if chosen.setdefault(name, program) != program:
                what = f"offers two programs as '{name}': {chosen[name]} and {program}"
                remedy = "give one of them another name: commands = {'NAME': 'PATH'}"
                raise _refused(recipe, what, remedy)
    for name, program in chosen.items():
        link_to(program, root, name)
    return tuple(sorted(chosen))


def link_to(program: str, root: Path, name: str) -> None:
    """Let a name in the ``bin`` of a tree lead to a program: a name there, a path in it, or in the
    base. Raises ``StepError`` if that folder leads out of the tree.
    """
    if os.path.normpath(program) in (name, f"bin/{name}"):
        return  # it has that name already
    link = contained(root, Path("bin", name))
    link.unlink(missing_ok=True)
    if "/" in program and not program.startswith("/"):
        program = f"../{program}"
    link.symlink_to(program)


def _matching(recipe: Stack, pattern: str, root: Path, base: Base) -> list[str]:
    """The programs that a pattern means: names in ``bin``, or paths."""
    if pattern.startswith("/"):
        return _some(recipe, pattern, base.programs(pattern))
    if "/" in pattern:
        paths = [path for path in sorted(root.glob(pattern.rstrip("/"))) if path.exists()]
        inside = [p / name for p in paths if p.is_dir() for name in programs(p)]
        files = filter(_is_program, paths)
        return _some(recipe, pattern, [str(p.relative_to(root)) for p in (*files, *inside)])
    there = programs(root / "bin")
    if recipe.wraps_base and not any(fnmatchcase(name, pattern) for name in there):
        return _some(recipe, pattern, base.programs(pattern))
    return _named(recipe, pattern, there)


def _named(recipe: Stack, pattern: str, there: Sequence[str]) -> list[str]:
    """The names that a glob matches. Raises ``RecipeError`` if there are none."""
    return _some(recipe, pattern, [name for name in there if fnmatchcase(name, pattern)], there)


def _some(recipe: Stack, pattern: str, found: list[str], there: Sequence[str] = ()) -> list[str]:
    """What was found. Raises ``RecipeError`` if that is nothing of what is ``there``."""
    if found or pattern == ALL:
        return found
    raise _refused(
        recipe,
        f"offers the command '{pattern}', and the stack has no such program",
        did_you_mean(pattern, [*there])
        or "where a choice decides, make 'commands' a property: if self.jupyter: yield 'jupyter*'",
    )


def _refused(recipe: Stack, what: str, remedy: str) -> RecipeError:
    where = attribute_place(type(recipe), "commands") or Where(recipe.file)
    return RecipeError(f"the recipe '{recipe.name}' {what}", remedy=remedy, where=where)


def programs(folder: Path) -> list[str]:
    """The executable files and links in a folder, sorted; not what a shell would hide.

    Nor those whose names no modulefile could hold, because they are no text.
    """
    # A link could lead out of what was built.
    if folder.is_symlink() or not folder.is_dir():
        return []
    names = (path for path in folder.iterdir() if not no_text(path.name))
    shown = [path for path in names if not path.name.startswith(".")]
    return sorted(p.name for p in shown if p.is_symlink() or _is_program(p))


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def lay_launch(plan: LaunchPlan, folder: Path, permissions: Permissions) -> None:
    """Write ``launch.conf`` into the folder of a generation, with the roots that it names."""
    if plan.root is not None and plan.root.path == Path(OWN, "root"):
        make_folder(folder / "root", permissions)  # a root that consists of binds
    if plan.container == Path(OWN, "host"):
        name_host(folder / "host", permissions)
    write_file(folder / CONF_NAME, render(plan).encode(), permissions)


def lay_commands(
    place: Place, names: Iterable[str], folder: Path, permissions: Permissions
) -> None:
    """Put the launcher under every one of the names into a folder of the place.

    Names that are there already get it too, if it is not this Tykky's, but no more are removed.
    The commands are hard links to one file; where the file system has none, copies.
    Raises ``TykkyError``.
    """
    program = native.program("launch")
    with explained("make the commands"):
        make_folder(folder, permissions)
        if not (place.launcher.exists() and filecmp.cmp(program, place.launcher, shallow=False)):
            # Its own: without locks, another build may be under way here.
            temporary = place.hidden / f".{place.launcher.name}.{secrets.token_hex(4)}.new"
            shutil.copyfile(program, temporary)
            permissions.apply(temporary, executable=True, instead=place.launcher)
            temporary.replace(place.launcher)
        new = place.launcher.stat()
        for name in names:
            path = folder / name
            # A copy where there are no hard links; else whatever had the name.
            if not (path.is_file() and not path.is_symlink() and _same(path.stat(), new)):
                _link(place.launcher, path, permissions)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two files are one, or copies with the times of one."""
    return os.path.samestat(one, other) or (
        one.st_nlink == 1 and (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    )


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


def _link(launcher: Path, command: Path, permissions: Permissions) -> None:
    """Give a command its name, in place of what had it: who runs that is not disturbed."""
    new = command.with_name(f".{command.name}.new")
    new.unlink(missing_ok=True)
    try:
        try:
            os.link(launcher, new)
        except OSError:  # there are none, or it is somebody else's
            shutil.copy2(launcher, new)
            permissions.apply(new, executable=True, instead=launcher)
        if command.is_dir() and not command.is_symlink():  # kept until the next change
            command.rename(launcher.with_name(f".replaced-{secrets.token_hex(4)}"))
        new.replace(command)
    finally:
        new.unlink(missing_ok=True)

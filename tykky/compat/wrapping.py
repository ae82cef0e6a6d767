"""The commands of a classic install: which programs they are, and what stands for them inside.

Outside, a command is the launcher. Inside, a directory of links lies over that of the commands: a
link to its program for each, so that a command's path is the program's path there.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from tykky.bases import Base, ImageBase
from tykky.build.commands import link_to
from tykky.build.layout import Offer
from tykky.compat.classic import Classic, read, warn
from tykky.compat.settings import TEXT
from tykky.errors import Exit, TykkyError
from tykky.files import Permissions, make_folder
from tykky.store import Place
from tykky.tools.scratch import contained

#: What is run before each command, in the folder of a generation: an update goes on with that.
ENVIRON = "environ.sh"
#: What ends the part of the common.sh of an earlier Tykky that is not the user's.
_BEFORE_ENVIRON = re.compile(r"^export (?:env_root|install_root)=.*\n", re.MULTILINE)

#: The ways in that every install has, and what they run.
DEBUG = {
    "_debug_exec": 'exec "$@"\n',
    "_debug_shell": '[ -x /bin/bash ] && exec /bin/bash "$@"\nexec /bin/sh "$@"\n',
}


def choose(recipe: Classic, top: Path, base: Base) -> Offer:
    """The programs that are wrapped; ``top`` has the contents. Raises ``TykkyError``."""
    chosen: dict[str, str] = {}
    libraries: list[str] = []
    inherited = (recipe.old or {}).get("wrapper_paths", ())
    own = [f"{recipe.root}/bin"] if recipe.is_environment else []
    for path in [*recipe.values.get("wrapper_paths", ()), *own]:
        whole = os.path.normpath(recipe.inside / path)
        found = _programs(recipe, whole, top, base)
        if not found and path in inherited:
            warn(f"{path} has no programs any more; it is left out")
        elif not found and path not in own:
            remedy = "correct -w: a program, or a directory of programs; relative paths count from"
            remedy = f"{remedy} {recipe.inside}"
            cause = f"there are no programs at {whole}"
            raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
        for program in found:
            first = chosen.setdefault(Path(program).name, program)
            if first != program:
                warn(f"there are two programs '{Path(program).name}': {first} is used")
        # The programs of the contents have been told where their libraries are.
        if recipe.values.get("add_ld") and _below(recipe, whole) is None:
            libraries += _libraries(whole, base)
    names = tuple(sorted({*chosen, *DEBUG}))
    return Offer(names, dict(sorted(chosen.items())), tuple(dict.fromkeys(libraries)))


def _below(recipe: Classic, path: str) -> str | None:
    """A path in the contents, from their top on; ``None`` for one elsewhere."""
    inside = str(recipe.inside)
    within = path == inside or path.startswith(f"{inside}/")
    return path[len(inside) :].lstrip("/") if within else None


def _programs(recipe: Classic, path: str, top: Path, base: Base) -> list[str]:
    """The programs that a path means: itself, or what is in a directory."""
    every = bool(recipe.values.get("wrap_all"))
    below = _below(recipe, path)
    if below is None:
        found = base.programs(path, every=every)
        return [program for program in found if not Path(program).name.startswith(".")]
    place = top / below
    if not place.is_dir():
        return [path] if place.is_file() else []
    names = (entry.name for entry in sorted(place.iterdir()) if _is_program(entry, every))
    return [f"{path}/{name}" for name in names]


def _is_program(entry: Path, every: bool) -> bool:
    if entry.name.startswith(".") or entry.is_dir():
        return False
    # A link may lead to what is only there inside.
    return entry.is_symlink() or (entry.is_file() and (every or os.access(entry, os.X_OK)))


def _libraries(path: str, base: Base) -> Iterator[str]:
    """The directories of libraries beside one of programs."""
    for name in ("lib", "lib64"):
        beside = os.path.normpath(f"{path}/../{name}")
        if isinstance(base, ImageBase):
            if base.listing.kinds.get(base.listing.resolve(beside)) == "d":
                yield beside
        elif Path(beside).is_dir() and not beside.startswith(("/usr/", "/lib")):
            yield beside


def fixed_environment(recipe: Classic) -> list[tuple[str, str, str]]:
    """Of ``extra_envs``, what is the same whoever calls: triples of action, name, value."""
    found = filter(is_fixed, recipe.values.get("extra_envs", ()))
    # An update may be told by the site what the installation knows already.
    return list(dict.fromkeys((item["type"], item["name"], item["value"]) for item in found))


def is_fixed(item: Mapping[str, str]) -> bool:
    """Whether an item of ``extra_envs`` needs no shell."""
    value = item.get("value")
    return bool(value) and not re.search(r'[$`\\"\n]', str(value))


def environ_text(recipe: Classic) -> str:
    """Of ``extra_envs``, what has to be run before each command; that of the old install first."""
    parts = [_environ_of(recipe.prefix)] if recipe.old else []
    for item in recipe.values.get("extra_envs", ()):
        if "file" in item:
            parts.append(read(recipe.given(item["file"])))
        elif not is_fixed(item):
            form = {"set": "{1}", "append": "${0}:{1}", "prepend": "{1}:${0}"}[item["type"]]
            value = form.format(item["name"], item["value"])
            parts.append(f'export {item["name"]}="{value}"\n')
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part.strip())


def _environ_of(prefix: Path) -> str:
    """What an installation runs before each command, of ours or of an earlier Tykky.

    The commands of that source a file, at whose end it is.
    """
    place = Place(prefix)
    file = place.generation() / ENVIRON if place.current else prefix / "common.sh"
    text = read(file) if file.exists() else ""
    ends = [match.end() for match in _BEFORE_ENVIRON.finditer(text)]
    return text if place.current else text[ends[-1] :] if ends else ""


def lay_links(
    folder: Path,
    programs: Mapping[str, str],
    recipe: Classic,
    base: Base,
    permissions: Permissions,
) -> None:
    """Fill a directory that lies over that of the commands: links, and the ways in.

    Where something has to be run before each command, each is a script that does.
    """
    environ = environ_text(recipe)
    shell, start = ("bash", 'exec -a "$0"') if base.which("/bin/bash") else ("sh", "exec")
    make_folder(folder, permissions)
    for name, program in programs.items():
        if environ:
            text = f'{environ}{start} {shlex.quote(program)} "$@"\n'
            _script(folder / name, shell, text, permissions)
        else:
            (folder / name).symlink_to(program)
    for name, text in DEBUG.items():
        _script(folder / name, "sh", environ + text, permissions)


def lay_inside(top: Path, programs: Mapping[str, str], recipe: Classic) -> None:
    """Fill ``bin`` of contents that lie over the prefix itself: links, where there is none yet."""
    for name, program in programs.items():
        link_to(program.removeprefix(f"{recipe.inside}/"), top, name)
    for name, text in DEBUG.items():
        _script(contained(top, Path("bin", name)), "sh", text, Permissions())


def _script(path: Path, shell: str, text: str, permissions: Permissions) -> None:
    path.write_text(f"#!/bin/{shell}\n{text}", **TEXT)
    permissions.apply(path, executable=True)

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
DEBUG = {"_debug_exec": 'exec "$@"\n', "_debug_shell": 'exec {} "$@"\n'}
#: The shells that an image may have, the best first.
_SHELLS = (
    *("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/dash", "/usr/bin/dash"),
    *("/bin/busybox sh", "/usr/bin/busybox sh"),
)


def shell_of(base: Base) -> str:
    """The shell for scripts in a base, as their first line has it; empty if there is none."""
    return next((shell for shell in _SHELLS if base.which(shell.partition(" ")[0])), "")


def choose(recipe: Classic, top: Path, base: Base) -> Offer:
    """The programs that are wrapped; ``top`` has the contents. Raises ``TykkyError``."""
    chosen: dict[str, str] = {}
    libraries: list[str] = []
    missing: list[str] = []
    own = [f"{recipe.root}/bin"] if recipe.is_environment else []
    for path in [*recipe.values.get("wrapper_paths", ()), *own]:
        whole = os.path.normpath(recipe.inside / path)
        found = _programs(recipe, whole, top, base)
        if not found and path not in own:
            missing.append(whole)
        for program in found:
            first = chosen.setdefault(Path(program).name, program)
            if first != program:
                warn(f"there are two programs '{Path(program).name}': {first} is used")
        if found and recipe.values.get("add_ld") and path not in own:
            libraries += _libraries(recipe, whole, top, base)
    remedy = "correct -w: a program, or a directory of programs that may be executed; relative "
    remedy += f"paths count from {recipe.inside}"
    if missing and not chosen and not own:
        cause = f"there are no programs at {', '.join(missing)}"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    for whole in missing:
        warn(f"there are no programs at {whole}, which is left out; {remedy}")
    if environ_text(recipe) and not shell_of(base):
        cause = "the container has no shell that could run what --environ gives"
        remedy = "give variables with fixed values: 'extra_envs: [{type: set, name: N, value: V}]'"
        raise TykkyError(cause, remedy=remedy, code=Exit.CONFIG)
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


def _libraries(recipe: Classic, path: str, top: Path, base: Base) -> Iterator[str]:
    """The directories of libraries beside one of programs.

    What is linked with those of the contents has been told where they are; this is for what loads
    them by name: scripts, and the modules of an interpreter.
    """
    for name in ("lib", "lib64"):
        beside = os.path.normpath(f"{path}/../{name}")
        if (below := _below(recipe, beside)) is not None:
            if next((top / below).glob("*.so*"), None):
                yield beside
        elif isinstance(base, ImageBase):
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
    shell = shell_of(base) or "/bin/sh"
    start = 'exec -a "$0"' if shell.endswith("bash") else "exec"
    make_folder(folder, permissions)
    for name, program in programs.items():
        if environ:
            text = f'{environ}{start} {shlex.quote(program)} "$@"\n'
            _script(folder / name, shell, text, permissions)
        else:
            (folder / name).symlink_to(program)
    for name, text in DEBUG.items():
        _script(folder / name, shell, environ + text.format(shell), permissions)


def lay_inside(top: Path, programs: Mapping[str, str], recipe: Classic, base: Base) -> None:
    """Fill ``bin`` of contents that lie over the prefix itself, or may do so once it is moved.

    What masks an installation changes nothing that is there. Raises ``StepError``.
    """
    if not recipe.is_bound and (top / "bin").is_symlink():
        return
    folder = contained(top, Path("bin", next(iter(DEBUG)))).parent
    for name, program in programs.items():
        if recipe.is_bound or not os.path.lexists(folder / name):
            link_to(program.removeprefix(f"{recipe.inside}/"), top, name)
    shell = shell_of(base) or "/bin/sh"
    for name, text in DEBUG.items():
        _script(contained(top, Path("bin", name)), shell, text.format(shell), Permissions())


def _script(path: Path, shell: str, text: str, permissions: Permissions) -> None:
    path.write_text(f"#!{shell}\n{text}", **TEXT)
    permissions.apply(path, executable=True)

"""The commands of a classic install: which programs they are, and what stands for them inside.

Outside, a command is the launcher. Inside, a directory of links lies over that of the commands: a
link to its program for each, so that a command's path is the program's path there.

Public names: ``choose``, ``lay_links``, ``lay_inside``, ``environ_text``, ``fixed_environment``,
``is_fixed``.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import ImageBase
from tykky.build.layout import Offer
from tykky.compat.classic import Classic
from tykky.compat.job import Job, existing, read, warn
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.bases import Base

#: The ways in that every install has, and what they run.
DEBUG = {
    "_debug_exec": '#!/bin/sh\nexec "$@"\n',
    "_debug_shell": '#!/bin/sh\n[ -x /bin/bash ] && exec /bin/bash "$@"\nexec /bin/sh "$@"\n',
}


def choose(job: Job, kind: Classic, top: Path, base: Base) -> Offer:
    """The programs that are wrapped; ``top`` has the contents. Raises ``TykkyError``."""
    chosen: dict[str, str] = {}
    libraries: list[str] = []
    own = kind.wrapped()
    inherited = set(job.old.values.get("wrapper_paths", ())) if job.old else set()
    for path in [*job.values.get("wrapper_paths", ()), *own]:
        whole = path if path.startswith("/") else f"{job.inside}/{path}"
        whole = os.path.normpath(whole)
        found = _programs(job, whole, top, base)
        if found is None or (not found and path not in own):
            if path in inherited:
                warn(f"{path} has no programs any more; it is left out")
                continue
            raise TykkyError(
                f"there are no programs at {whole}",
                remedy="correct -w: a program, or a directory of programs; relative paths count "
                f"from {job.inside}",
                code=Exit.NOT_FOUND,
            )
        for program in found:
            name = Path(program).name
            if name in chosen and chosen[name] != program:
                warn(f"there are two programs '{name}': {chosen[name]} is used")
            chosen.setdefault(name, program)
        if path not in own and job.values.get("add_ld"):
            libraries += _libraries(job, whole, top, base)
    names = tuple(sorted({*chosen, *DEBUG}))
    return Offer(names, dict(sorted(chosen.items())), tuple(dict.fromkeys(libraries)))


def _below(job: Job, path: str) -> str | None:
    """A path in the contents, from their top on; ``None`` for one elsewhere."""
    inside = str(job.inside)
    if path != inside and not path.startswith(f"{inside}/"):
        return None
    return path[len(inside) :].lstrip("/")


def _programs(job: Job, path: str, top: Path, base: Base) -> list[str] | None:
    """The programs that a path means; ``None`` if there is nothing at all."""
    wrap_all = bool(job.values.get("wrap_all"))
    below = _below(job, path)
    if below is None:
        if isinstance(base, ImageBase):
            return _in_image(base, path, wrap_all)
        place = Path(path)
    else:
        place = top / below
    if place.is_file():
        return [path]
    if not place.is_dir():
        return None
    names = (entry for entry in sorted(place.iterdir()) if entry.name[0] != ".")
    return [f"{path}/{entry.name}" for entry in names if _is_program(entry, wrap_all)]


def _is_program(entry: Path, wrap_all: bool) -> bool:
    # A link may lead to what is only there inside.
    if entry.is_symlink():
        return not entry.is_dir()
    return entry.is_file() and (wrap_all or os.access(entry, os.X_OK))


def _in_image(base: ImageBase, path: str, wrap_all: bool) -> list[str] | None:
    listing = base.listing
    real = listing.resolve(path)
    if not real:
        return None
    if listing.kinds.get(real) != "d":
        return [path]
    inside = sorted(listing.inside(path))
    if wrap_all:
        return [p for p in inside if listing.kinds.get(listing.resolve(p)) == "-"]
    return [p for p in inside if listing.is_program(p)]


def _libraries(job: Job, path: str, top: Path, base: Base) -> Iterator[str]:
    """The directories of libraries beside one of programs."""
    below = _below(job, path)
    for name in ("lib", "lib64"):
        beside = os.path.normpath(f"{path}/../{name}")
        if below is not None:
            continue  # the programs have been told where their libraries are
        if isinstance(base, ImageBase):
            if base.listing.kinds.get(base.listing.resolve(beside)) == "d":
                yield beside
        elif Path(beside).is_dir() and not beside.startswith(("/usr/", "/lib")):
            yield beside


# -- variables ----------------------------------------------------------------------------


def fixed_environment(job: Job) -> list[tuple[str, str, str]]:
    """Of ``extra_envs``, what is the same whoever calls: triples of action, name, value."""
    found = filter(is_fixed, job.values.get("extra_envs", ()))
    # An update may be told by the site what the installation knows already.
    return list(dict.fromkeys((item["type"], item["name"], item["value"]) for item in found))


def is_fixed(item: Mapping[str, str]) -> bool:
    """Whether an item of ``extra_envs`` needs no shell."""
    value = item.get("value")
    return bool(value) and not re.search(r'[$`\\"\n]', str(value))


def environ_text(job: Job) -> str:
    """Of ``extra_envs``, what has to be run before each command; that of the old install first."""
    parts = [job.old.environ] if job.old else []
    for item in job.values.get("extra_envs", ()):
        if "file" in item:
            parts.append(read(existing(item["file"], job.workdir)))
        elif not is_fixed(item):
            form = {"set": "{1}", "append": "${0}:{1}", "prepend": "{1}:${0}"}[item["type"]]
            value = form.format(item["name"], item["value"])
            parts.append(f'export {item["name"]}="{value}"\n')
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part.strip())


# -- what stands for the commands inside -----------------------------------------------------


def lay_links(folder: Path, programs: Mapping[str, str], job: Job, bash: bool) -> None:
    """Fill a directory that lies over that of the commands: links, and the ways in.

    Where something has to be run before each command, each is a script that does.
    """
    environ = environ_text(job)
    folder.mkdir()
    for name, program in programs.items():
        if environ:
            start = f'exec -a "$0" {shlex.quote(program)} "$@"'
            line = start if bash else f'exec {shlex.quote(program)} "$@"'
            _script(folder / name, f"#!/bin/{'bash' if bash else 'sh'}\n{environ}{line}\n")
        else:
            (folder / name).symlink_to(program)
    for name, text in DEBUG.items():
        first, _, rest = text.partition("\n")
        _script(folder / name, f"{first}\n{environ}{rest}")


def _script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o755)


def lay_inside(folder: Path, job: Job, programs: Mapping[str, str]) -> None:
    """Fill ``bin`` of contents that lie over the prefix itself: links, where there is none yet."""
    folder.mkdir(exist_ok=True)
    for name, program in programs.items():
        path = folder / name
        if program != f"{job.inside}/bin/{name}":
            path.unlink(missing_ok=True)
            path.symlink_to(program)
    for name, text in DEBUG.items():
        _script(folder / name, text)

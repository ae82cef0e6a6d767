"""The kernels of stacks, as Jupyter finds them, and files of courses.

A kernelspec of ours has a name of its own, never that of a kernel which others have too. It names
a command at the path of the install, which never changes, and the variables that its module sets;
so it follows updates, and works wherever Jupyter itself comes from. ``metadata`` says whose it is.
A place notes what was made of it, for who takes that away with it::

    <prefix>/.tykky/kernels.json    paths of kernelspecs and course files, and what is in them
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tykky.errors import Exit, StepError, StoreError, explained
from tykky.files import Permissions, discard, make_folder, read_json, text_at, write_file
from tykky.inventory import files
from tykky.publish import session
from tykky.store import Place, Record
from tykky.store.place import KERNELS

FILE = "kernel.json"
_SPECS = "share/jupyter/kernels"
_PATH = re.compile(rf"(?!.*/site-packages/)(?:.*/)?{_SPECS}/([^/]+)/{re.escape(FILE)}")
_FOLDS = ("env", "metadata")
_LOGOS = ("logo-32x32.png", "logo-64x64.png", "logo-svg.svg")
#: What Python's own kernel is called, and its command.
_PYTHON = ("python3", "python", "python2")
#: What there is where a package is, but no kernelspec: how to find out, and to start it.
_KNOWN: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str, str], ...] = (
    (
        "python",
        ("-I", "-c", "import ipykernel"),
        ("-m", "ipykernel_launcher", "-f", "{connection_file}"),
        "python3",
        "python",
    ),
    (
        "R",
        ("--no-echo", "-e", "library(IRkernel)"),
        ("--no-echo", "-e", "IRkernel::main()", "--args", "{connection_file}"),
        "ir",
        "R",
    ),
)
#: What a module system tells itself by variables.
_OF_MODULES = re.compile(r"_ModuleTable|__?LM|LMOD_|MODULE|__MODULES|LOADEDMODULES|_=?$|SHLVL|PWD")
_OWNER = re.compile(r"# Made by Tykky for (.+); do not edit")


@dataclass(frozen=True)
class Kernel:
    """A kernelspec: its name, what is in its file, and pictures by their names."""

    name: str
    spec: Mapping[str, Any]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Found:
    """A kernelspec of ours, or a course's file, in a folder: ``gone`` if its install is not there.

    ``shadowed`` is the one of the same name that Jupyter takes instead, or nothing.
    """

    path: Path
    name: str
    module: str
    prefix: str
    gone: bool
    shadowed: str = ""


# -- what a stack has ----------------------------------------------------------------------------


def offered(record: Record) -> list[Kernel]:
    """The kernels of an install, as they are offered outside of it. Raises ``TykkyError``."""
    variables = _variables(record)
    specs = dict(_own_specs(record))
    for command, question, words, kernel, language in _KNOWN:
        known = {str(spec.get("language", "")).lower() for spec, _ in specs.values()}
        is_open = command in record.commands and language.lower() not in known
        if is_open and _ask(record, [command, *question]) is not None:
            spec = {"argv": [command, *words], "language": language, "display_name": language}
            specs[kernel] = spec, {}
    if not specs:
        cause = f"{record.title} has no kernel"
        remedy = f"add 'ipykernel' to its packages, or put it on top: tykky extend {record.name} "
        raise StoreError(cause, remedy=remedy + "ipykernel")
    return [
        _named(record, name, spec, pictures, variables)
        for name, (spec, pictures) in sorted(specs.items())
    ]


def _own_specs(record: Record) -> Iterator[tuple[str, tuple[dict[str, Any], dict[str, bytes]]]]:
    """The kernelspecs that are in an install, by their names; with its pictures each."""
    folder = Place(Path(record.prefix)).generation(record.generation)
    listed = files.read(folder)
    paths = (*files.of_images(record),) if listed is None else listed.split("\n")
    top = str(record.launch.get("mount_at") or record.prefix)
    there = {*paths}
    for path in sorted(paths):
        if found := _PATH.fullmatch(path):
            data = _ask(record, ["cat", os.path.join(top, path)])  # noqa: PTH118 - may be absolute
            try:
                spec = json.loads(data or b"")
                spec["argv"] = [str(word) for word in spec["argv"]]
            except (ValueError, LookupError, TypeError):
                continue
            if not spec["argv"] or not all(isinstance(spec.get(k) or {}, dict) for k in _FOLDS):
                continue
            near = {name: f"{path.rpartition('/')[0]}/{name}" for name in _LOGOS}
            pictures = {
                name: _ask(record, ["cat", os.path.join(top, near[name])]) or b""  # noqa: PTH118
                for name in _LOGOS
                if near[name] in there
            }
            yield found[1], (spec, pictures)


def _ask(record: Record, words: Sequence[str]) -> bytes | None:
    """What a program of an install says; ``None`` if it fails. Raises ``TykkyError``."""
    variables = session.variables(replace(record, loads=()), os.environ)
    line = session.line(record, words)
    done = subprocess.run(
        line, env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/"
    )
    if done.returncode in (125, 26):  # it cannot be entered
        told = tuple(done.stderr.decode(errors="replace").splitlines()[:4])
        cause = f"{record.title} cannot be entered on this machine"
        raise StepError(cause, remedy="'tykky doctor' tells why", code=Exit.NODE, details=told)
    return done.stdout if done.returncode == 0 else None


def _named(
    record: Record,
    kernel: str,
    spec: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    variables: Mapping[str, str],
) -> Kernel:
    """A kernel of an install under a name of its own, with a command that is there outside."""
    title = f"{record.name}-{record.version}{record.suffix}" if record.has_module else record.name
    shown = record.module if record.has_module else record.name
    if kernel not in _PYTHON:
        title, shown = f"{title}-{kernel}", f"{shown}: {spec.get('display_name') or kernel}"
    own = dict(spec.get("env") or {})
    ours = {
        "prefix": record.prefix,
        "module": record.module,
        "kernel": kernel,
        "env": own,
    }
    found = {
        **spec,
        "argv": _outside(record, spec["argv"]),
        "display_name": shown,
        "env": {**variables, **own},
        "metadata": {**(spec.get("metadata") or {}), "tykky": ours},
    }
    return Kernel(re.sub(r"[^a-z0-9._-]+", "-", title.lower()), found, pictures)


def _outside(record: Record, argv: Sequence[str]) -> list[str]:
    """A command line for the outside: a command, or the launcher with a program of the inside."""
    program, commands = argv[0], {*record.commands}
    name = program.rpartition("/")[2]
    top = str(record.launch.get("mount_at") or record.prefix)
    is_own = "/" not in program or program.startswith((f"{record.prefix}/", f"{top}/"))
    if is_own and name not in commands:
        name = (
            next((each for each in (*_PYTHON, name) if each in commands), "")
            if (name.startswith("python"))
            else ""
        )
    if is_own and name:
        return [f"{record.prefix}/bin/{name}", *argv[1:]]
    return [*session.line(record, [program])[:1], *argv]


def _variables(record: Record) -> dict[str, str]:
    """What ``module load`` sets, as a kernelspec says it: ``${NAME}`` is what Jupyter has.

    Raises ``ToolError``.
    """
    # What a login has, and what module systems need; all else is of whoever happens to ask.
    kept = re.compile(
        r"HOME|USER|LOGNAME|SHELL|TERM|LANG|PATH|MODULE.*|_*LMOD.*|_*MODULES.*|BASH.*"
    )
    plain = {name: value for name, value in os.environ.items() if kept.fullmatch(name)}
    plain["PATH"] = "\0" if not record.loads else plain.get("PATH", os.defpath)
    found = {}
    for name, value in session.variables(record, plain, pinned=False).items():
        before = plain.get(name, "")
        if value == before or _OF_MODULES.match(name):
            continue
        rest = ""
        if before and value.endswith(f":{before}"):
            value, rest = value.removesuffix(f":{before}"), f":${{{name}}}"
        found[name] = value.replace("$", "$$") + rest
    return found


# -- where they are ------------------------------------------------------------------------------


def own_folder(environ: Mapping[str, str]) -> Path:
    """Where the kernelspecs of a user are."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("JUPYTER_DATA_DIR") or home / ".local/share/jupyter") / "kernels"


def searched(environ: Mapping[str, str]) -> list[Path]:
    """The folders in which any Jupyter of a user looks for kernelspecs, the first first."""
    wished = [item for item in environ.get("JUPYTER_PATH", "").split(":") if item]
    system = [Path("/usr/local/share/jupyter/kernels"), Path("/usr/share/jupyter/kernels")]
    own = [*(Path(item) / "kernels" for item in wished), own_folder(environ), *system]
    return list(dict.fromkeys(own))


def owner_of(path: Path) -> tuple[str, str]:
    """The prefix and the module that a kernelspec or a course's file is of, if it is ours."""
    if path.suffix in (".yaml", ".yml"):
        found = _OWNER.match(text_at(path))
        return (found[1], _module_in(path)) if found else ("", "")
    try:
        ours = read_json(path / FILE)["metadata"]["tykky"]
        return str(ours["prefix"]), str(ours["module"])
    except (OSError, ValueError, LookupError, TypeError):
        return "", ""


def _module_in(path: Path) -> str:
    try:
        return str(yaml.safe_load(text_at(path))["title"])
    except (yaml.YAMLError, LookupError, TypeError):
        return ""


def present(folders: Sequence[Path], more: Sequence[Path]) -> Iterator[Found]:
    """The kernelspecs of ours in folders, and ``more`` paths that places have noted."""
    paths = []
    for folder in folders:
        try:
            paths += sorted(path for path in folder.iterdir() if path.is_dir())
        except OSError:
            continue
    first: dict[str, Path] = {}
    for path in dict.fromkeys((*paths, *more)):
        winner = first.setdefault(path.name, path) if path.parent in folders else path
        prefix, module = owner_of(path)
        if prefix:
            gone = not Place(Path(prefix)).current and not Place(Path(prefix)).is_closed
            shadowed = "" if winner == path else str(winner)
            yield Found(path, path.name, module, prefix, gone, shadowed)


# -- writing and removing ------------------------------------------------------------------------


def check_free(path: Path, record: Record) -> None:
    """Raise ``StoreError`` if something that is not of this install has the path."""
    is_empty = path.is_dir() and not any(path.iterdir())  # of one who was killed
    if os.path.lexists(path) and not is_empty:
        prefix, module = owner_of(path)
        if prefix != record.prefix and (not prefix or Place(Path(prefix)).current):
            whose = f"belongs to {module}, {prefix}" if prefix else "was not made by Tykky"
            remedy = "remove it, or choose another folder"
            raise StoreError(f"{path} {whose}", remedy=remedy, code=Exit.CONFLICT)


def write(kernel: Kernel, folder: Path, permissions: Permissions) -> Path:
    """Put a kernelspec into a folder, instead of an earlier one. Raises ``TykkyError``."""
    # Jupyter takes whatever is in the folder for a kernel, so drafts are beside that.
    path = folder / kernel.name
    new, old = (folder.parent / f".{kernel.name}.{secrets.token_hex(4)}" for _ in range(2))
    try:
        with explained(f"write {path}"):
            folder.mkdir(parents=True, exist_ok=True)
            make_folder(new, permissions)
            data = json.dumps(kernel.spec, indent=1).encode() + b"\n"
            write_file(new / FILE, data, permissions)
            for name, picture in kernel.pictures.items():
                write_file(new / name, picture, permissions)
            if os.path.lexists(path):
                path.rename(old)
            new.rename(path)
    finally:
        discard(new)
        discard(old)
    return path


def course(record: Record, kernels: Sequence[Kernel], module_path: Path) -> str:
    """The text of a file for the course pages of a JupyterHub or of Open OnDemand."""
    facts = {
        "title": record.module,
        "description": record.description,
        "attributes": {"modules": record.module, "modulepath": str(module_path)},
        "prefix": record.prefix,
        "path": f"{record.prefix}/bin",
        "environment": dict(record.shown.get("setenv", {})),
        "kernels": [{"name": kernel.name, **_for_course(kernel)} for kernel in kernels],
    }
    head = f"# Made by Tykky for {record.prefix}; do not edit: 'tykky kernel add' makes it anew.\n"
    return head + yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)


def _for_course(kernel: Kernel) -> dict[str, Any]:
    keys = ("display_name", "language", "argv", "env")
    return {key: kernel.spec[key] for key in keys if key in kernel.spec}


def write_course(path: Path, text: str, permissions: Permissions) -> None:
    """Write the file of a course. Raises ``TykkyError``."""
    with explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode(), permissions)


def remove(path: Path) -> None:
    """Remove a kernelspec or a course's file. Raises ``TykkyError``."""
    with explained(f"remove {path}"):
        _away(path)


def _away(path: Path) -> None:
    """Discard all of it, or nothing. Raises ``OSError``."""
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    discard(path)


# -- what a place has noted ----------------------------------------------------------------------


def noted(place: Place) -> dict[Path, Any]:
    """The kernelspecs and files that were made of a place, with what is in them."""
    try:
        found = read_json(place.hidden / KERNELS)
        return {Path(path): told for path, told in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def note(place: Place, made: Mapping[Path, Any], permissions: Permissions) -> None:
    """Note what a place has now, besides what it had; nothing (``None``) for what it has no more.

    Hold its claim. Raises ``TykkyError``.
    """
    every = {**noted(place), **made}
    kept = {str(path): told for path, told in sorted(every.items()) if told is not None}
    data = json.dumps(kept, indent=1).encode() + b"\n"
    write_file(place.hidden / KERNELS, data, permissions)


def withdraw(place: Place) -> Iterator[str]:
    """Remove what was made of a place, and is still its own; a sentence for what cannot be."""
    for path in noted(place):
        if owner_of(path)[0] == str(place.prefix):
            try:
                _away(path)
            except OSError as error:
                yield f"{path}, a kernel of it, cannot be removed: {error.strerror}"


def follow(record: Record, permissions: Permissions) -> Iterator[str]:
    """Make again what was made of a place, with the variables that its module sets now.

    A sentence for what cannot be.
    """
    place = Place(Path(record.prefix))
    if not (kept := noted(place)):
        return
    try:
        variables = _variables(record)
    except StoreError as error:
        yield f"its kernels stay as they are: {error.cause}"
        return
    for path, told in kept.items():
        try:
            check_free(path, record)
            if isinstance(told, str):
                if text_at(path) != told:
                    write_course(path, told, permissions)
                continue
            spec = {**told, "env": {**variables, **told["metadata"]["tykky"]["env"]}}
            if not path.exists() or read_json(path / FILE) != spec:
                pictures = {n: (path / n).read_bytes() for n in _LOGOS if (path / n).is_file()}
                write(Kernel(path.name, spec, pictures), path.parent, permissions)
        except (StoreError, OSError, ValueError, LookupError, TypeError) as error:
            cause = error.cause if isinstance(error, StoreError) else str(error)
            yield f"{path}, a kernel of it, is not made again: {cause}"

"""What of a user's own comes before what a stack has: packages, kernels, libraries.

The contents are those of the image; nothing is started. So it is told also where the stack cannot
be entered, and when a package in the home is what keeps its Python from starting.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from fnmatch import fnmatch
from pathlib import Path

from tykky import contents
from tykky.bases.layers import listing_of
from tykky.build.entering import Entering
from tykky.publish import kernels
from tykky.runtime.base import image_path
from tykky.store import Place, Record

_MODULE = re.compile(
    r"(.*)/lib/(python3\.\d+)/(site-packages/)?(\w+)(/__init__\.py|\.py|\.[^/]*so)"
)
_KERNEL = re.compile(r".*/share/jupyter/kernels/([^/]+)/kernel\.json")
_R_PACKAGE = re.compile(r".*/lib/R/library/([^/]+)/DESCRIPTION")
_LIBRARY = re.compile(r".*/lib(?:64)?/([^/]+\.so(?:\.[^/]+)?)")
_METADATA = re.compile(r"([^-]+)-([^-]+)(?:-py3\.\d+)?\.(?:dist|egg)-info")
#: So many names of one directory are told.
_TOLD = 4


@dataclass(frozen=True)
class Shadow:
    """Something at ``where`` that programs of a stack take instead of what the stack has.

    ``kind`` is ``package``, ``module`` (of Python's own library), ``kernel``, ``library`` or
    ``variable``; versions are empty where they are not known.
    """

    kind: str
    name: str
    theirs: str
    ours: str
    where: str
    remedy: str


@dataclass(frozen=True)
class _Stack:
    """What a stack has, by the names under which something of the user's would hide it."""

    prefix: Path
    python: str  # "python3.11", or nothing
    modules: frozenset[str]  # of its site-packages
    library: frozenset[str]  # of Python's own
    is_venv: bool
    kernels: frozenset[str]
    of_r: frozenset[str]
    libraries: frozenset[str]
    versions: Mapping[str, str]


def shadows(record: Record, environ: Mapping[str, str]) -> tuple[Shadow, ...]:
    """What hides something of an install from whoever has this environment. ``TykkyError``."""
    entering = Entering.read(record.launch)
    settled = {name for _, name, _ in (*entering.of_image, *entering.environment)}
    # What commands are given anyway does not count.
    user = {name: value for _, name, value in entering.defaults}
    user |= {name: value for name, value in environ.items() if name not in settled}
    user |= {name: value for _, name, value in entering.environment if value}
    return tuple(_found(_look(record), user, is_closed=entering.isolation == "closed"))


def _found(stack: _Stack, user: Mapping[str, str], *, is_closed: bool) -> Iterator[Shadow]:
    if stack.python and user.get("PYTHONHOME"):
        yield _variable("PYTHONHOME", user, "its Python takes another one's library")
    if is_closed:  # where nothing of the user's can be seen
        return
    for folder in _folders(user, "PYTHONPATH"):
        remedy = f"take {folder} out of PYTHONPATH, or 'unset PYTHONPATH'"
        yield from _of_python(stack, folder, remedy)
    if stack.python and not stack.is_venv and not user.get("PYTHONNOUSERSITE"):
        base = Path(user.get("PYTHONUSERBASE") or _home(user) / ".local")
        remedy = "'export PYTHONNOUSERSITE=1', or remove it: 'pip uninstall NAME'"
        packages = base / "lib" / stack.python / "site-packages"
        yield from _of_python(stack, packages, remedy)
    yield from _kernels(stack, user)
    yield from _r_packages(stack, user)
    for folder in _folders(user, "LD_LIBRARY_PATH"):
        if names := sorted(stack.libraries & _names(folder)):
            more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
            remedy = "unload the module that sets LD_LIBRARY_PATH, or 'unset LD_LIBRARY_PATH'"
            name = ", ".join(names[:_TOLD]) + more
            yield Shadow("library", name, "", "", str(folder), remedy)


def _variable(name: str, user: Mapping[str, str], what: str) -> Shadow:
    return Shadow("variable", name, "", "", user[name], f"{what}: 'unset {name}'")


def _home(user: Mapping[str, str]) -> Path:
    return Path(user.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never an error


def _folders(user: Mapping[str, str], variable: str) -> list[Path]:
    return [Path(item) for item in dict.fromkeys(user.get(variable, "").split(":")) if item]


def _names(folder: Path) -> set[str]:
    """What is in a folder; nothing if that cannot be read."""
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names only, of thousands of files
    except OSError:
        return set()


# -- the stack -----------------------------------------------------------------------------------


def _look(record: Record) -> _Stack:
    place = Place(Path(record.prefix))
    images = [image_path(place.prefix, each["file"]) for each in record.images]
    paths = {*listing_of(images).kinds} if images else set()
    modules = [found for path in paths if (found := _MODULE.fullmatch(path))]
    # Its own Python is the one that is nearest to the top.
    root, python = min(
        ((m[1], m[2]) for m in modules), key=lambda pair: len(pair[0]), default=("", "")
    )
    own = [m for m in modules if (m[1], m[2]) == (root, python)]
    installed = contents.own(contents.of_install(place.generation(record.generation)))

    def named(pattern: re.Pattern[str]) -> frozenset[str]:
        return frozenset(found[1] for path in paths if (found := pattern.fullmatch(path)))

    return _Stack(
        place.prefix,
        python,
        modules=frozenset(m[4] for m in own if m[3]),
        library=frozenset(m[4] for m in own if not m[3]) & sys.stdlib_module_names,
        is_venv=f"{root}/pyvenv.cfg" in paths,
        kernels=named(_KERNEL),
        of_r=named(_R_PACKAGE),
        libraries=named(_LIBRARY),
        versions={_plain(package.name): package.version for package in installed},
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# -- what is the user's --------------------------------------------------------------------------


def _of_python(stack: _Stack, folder: Path, remedy: str) -> Iterator[Shadow]:
    known: dict[str, tuple[str, str]] = {}
    for entry in sorted(_names(folder)):
        if found := _METADATA.fullmatch(entry):
            for module in (*_text(folder / entry / "top_level.txt").split(), found[1]):
                known.setdefault(_plain(module), (found[1], found[2]))
    for module in sorted(_modules(folder) & {*stack.modules, *stack.library}):
        name, theirs = known.get(_plain(module), (module, ""))
        kind = "package" if module in stack.modules else "module"
        ours = stack.versions.get(_plain(name), stack.versions.get(_plain(module), ""))
        ours = ours if kind == "package" else f"of {stack.python}"
        where = str(folder / module)
        yield Shadow(kind, name, theirs, ours, where, remedy.replace("NAME", name))


def _modules(folder: Path) -> set[str]:
    """The modules that a folder gives: files, and folders that are packages."""
    found = set()
    for name in _names(folder):
        module, _, ending = name.partition(".")
        is_file = ending == "py" or ending.endswith("so")
        if module.isidentifier() and (is_file or (folder / name / "__init__.py").is_file()):
            found.add(module)
    return found


def _kernels(stack: _Stack, user: Mapping[str, str]) -> Iterator[Shadow]:
    wish = user.get("JUPYTER_PREFER_ENV_PATH", "0").lower()
    own = Path(user.get("JUPYTER_DATA_DIR") or _home(user) / ".local/share/jupyter")
    after = [own] if wish in ("0", "n", "no", "off", "false") else []
    for folder in (*_folders(user, "JUPYTER_PATH"), *after):
        for name in sorted(stack.kernels & _names(folder / "kernels")):
            file = folder / "kernels" / name / "kernel.json"
            try:
                program = str(json.loads(file.read_text(encoding="utf-8"))["argv"][0])
            except (OSError, ValueError, LookupError, TypeError):
                program = ""
            if Path(program).is_relative_to(stack.prefix):
                continue
            where, ours = str(file.parent), f"{stack.python} of the stack"
            remedy = f"'unset JUPYTER_PATH JUPYTER_PREFER_ENV_PATH', or 'rm -r {where}'"
            yield Shadow("kernel", name, program, ours, where, remedy)
    yield from _offered(stack.prefix, user)


def _offered(prefix: Path, user: Mapping[str, str]) -> Iterator[Shadow]:
    """What Jupyter takes instead of the kernels that were made of a stack."""
    folders = kernels.searched(user)
    for path in kernels.noted(Place(prefix)):
        before = folders[: folders.index(path.parent)] if path.parent in folders else []
        for other in (folder / path.name for folder in before):
            if other.is_dir() and kernels.owner_of(other)[0] != str(prefix):
                remedy = f"'rm -r {other}'"
                yield Shadow("kernel", path.name, "", str(path), str(other), remedy)


def _r_packages(stack: _Stack, user: Mapping[str, str]) -> Iterator[Shadow]:
    if not stack.of_r:
        return
    minor = ".".join(stack.versions.get("r-base", "").split(".")[:2])
    usual = [
        folder for folder in (_home(user) / "R").glob("*") if fnmatch(folder.name, "*-library")
    ]
    own = _folders(user, "R_LIBS_USER") or [folder / minor for folder in usual]
    for folder in (*_folders(user, "R_LIBS"), *own):
        for name in sorted(stack.of_r & _names(folder)):
            theirs = _described(folder / name / "DESCRIPTION")
            ours = stack.versions.get(f"r-{name.lower()}", "")
            remedy = f"'export R_LIBS_USER=NULL R_LIBS=', or 'rm -r {folder / name}'"
            yield Shadow("package", name, theirs, ours, str(folder / name), remedy)


def _described(path: Path) -> str:
    return str(HeaderParser().parsestr(_text(path))["Version"] or "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

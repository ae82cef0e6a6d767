"""Finishes a Python environment before it goes into an image; run by its own Python.

It stands alone, since it runs inside the box, where Tykky is not installed. Takes how many
processes may compile, and what to do:

- ``all`` compiles all byte code of the library. What came with packages is compiled anew: it
  names the times of its sources, which an image does not keep, so that every start would compile
  it again; what is compiled here is never checked.
- ``new FOLDER...`` leaves alone what is there already and was made so for the source as it is; so
  an update compiles only what is new. Virtual environments on top may have others on top.
- ``base FOLDER...`` does that, links the base's standard library into a virtual environment, so
  that one made *on top* finds it there, and lets that be based on this one.
- ``venv [on-stack] [FILE...]`` finishes a virtual environment of a recipe; the files, of
  ``compiling.py``, have byte code that need not be compiled any more. It does the same for those on
  top, which find this stack's packages as well with ``--system-site-packages``; it lets
  ``pip install --user`` work (which a virtual environment refuses) without letting the base's own
  packages in, and modules load without needless questions; it compiles, and removes what only a
  writable environment needs. With ``on-stack``, the packages of the base, which is another stack,
  are found as well.
"""

from __future__ import annotations

import compileall
import importlib.util
import json
import marshal
import os
import py_compile
import sys
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

# A .pth file and not a module, which would cost each start a listing and two more files; and byte
# code, since its source would be compiled by each start. That is for another Python, if the host's
# has changed so much. `sitedir` is the folder it lies in, for environments on top read it as well.
HOOK = """\
# Makes this environment the base of what its users put on top of it: the byte code of {source}.
import sys, marshal, _frozen_importlib_external as ours; sys._base_executable == sys.executable \
or exec(marshal.loads({code!r}) if ours.MAGIC_NUMBER == {magic!r} \
else open(sitedir + '/{source}').read())
"""
SOURCE = "_tykky_stack.txt"
CODE = """\
if sitedir == sys.prefix + {tail!r}:
    import site, _frozen_importlib_external, _io
    {forget}
    sys._base_executable = sys.executable  # "python -m venv" links here
    # Reads a module as Python reads one without source: not asking whether it is a terminal, which
    # in a mounted image is a question to another process. Python 3.14 does not ask either.
    def get_data(self, path, open=_io.FileIO):
        with open(path) as file:
            return file.read()
    _frozen_importlib_external.SourceFileLoader.get_data = get_data
elif sitedir == sys.base_prefix + {tail!r}:
    import os
    # What is made in an environment on top is based on this one, not on what this is based on.
    link = sys.executable
    while link.startswith(sys.prefix + "/") and os.path.islink(link):
        link = os.path.join(os.path.dirname(link), os.readlink(link))
    sys._base_executable = link
"""


# At the end of the module `venv`.
VENV = """
# Of Tykky: the base of a virtual environment is what that itself is linked to.
if getattr(sys, '_home', None) and sys.prefix != sys.base_prefix:
    _base = os.path.join(sys._home, os.path.basename(sys._base_executable))
    if os.path.exists(_base):
        sys._base_executable = _base
"""

# Byte code in a file: which, offset and size there; the offset and length of the path in it.
Ready = tuple[str, int, int, int, int]

#: The sources that alone may have no byte code, a path a line; if it is there.
CHANGED = ".tykky-changed"

KEEP = "# The packages of the base belong to it."
FORGET = """\
site.PREFIXES.clear()  # not the packages of the base
    # Nor this folder a second time, for which Python takes it to be one of the base as well.
    def addsitepackages(known_paths, prefixes=None, site=site, usual=site.addsitepackages):
        site.addsitepackages = usual
        return known_paths
    site.addsitepackages = addsitepackages"""


def link_library(prefix: Path, library: Path) -> None:
    """Show the base's standard library below the prefix, entry by entry."""
    here = prefix / "lib" / library.name
    for entry in sorted(library.iterdir()):
        link = here / entry.name
        if entry.name not in ("site-packages", "dist-packages") and not link.exists():
            link.symlink_to(entry)


def allow_user_packages(prefix: Path) -> None:
    """Switch on the user's own packages, and those of the base, which the hook keeps out."""
    settings = prefix / "pyvenv.cfg"
    text = settings.read_text(encoding="utf-8")
    text = text.replace(
        "include-system-site-packages = false", "include-system-site-packages = true"
    )
    settings.write_text(text, encoding="utf-8")


def hook(prefix: Path, packages: Path, forget: str) -> None:
    """Make an environment the base of what is put on top of it."""
    code = CODE.format(tail=f"/{packages.relative_to(prefix)}", forget=forget)
    (packages / SOURCE).write_text(code, encoding="utf-8")
    # Format 2 has no references, whose number would differ from one run to the next.
    compiled = marshal.dumps(compile(code, SOURCE, "exec"), 2)
    line = HOOK.format(source=SOURCE, code=compiled, magic=importlib.util.MAGIC_NUMBER)
    (packages / "_tykky_stack.pth").write_text(line, encoding="utf-8")


def show_below(prefix: Path, packages: Path) -> None:
    """Let environments on top of this one find the packages of what this one is on top of."""
    below = Path(sys.base_prefix) / packages.relative_to(prefix)
    line = f"import sys, site; sys.prefix == {str(prefix)!r} or site.addsitedir({str(below)!r})\n"
    (packages / "_tykky_below.pth").write_text(line, encoding="utf-8")


def teach_venv() -> None:
    """Let ``python -m venv`` in an environment on top link to what the outer one is linked to.

    Python takes the end of all links for its base, which is a path that there is inside only.
    """
    module = Path(os.__file__).with_name("venv") / "__init__.py"
    text = module.read_text(encoding="utf-8") if module.is_file() else VENV
    if VENV not in text:
        module.unlink()  # a name of what may be elsewhere as well
        module.write_text(f"{text}{VENV}", encoding="utf-8")


def clean(prefix: Path) -> None:
    """Remove lock files, activation scripts (a stack needs none) and our own helper."""
    names = [".gitignore", ".lock", "CACHEDIR.TAG", ".tykky-requirements.txt"]
    unwanted = [prefix / name for name in names]
    unwanted += [*(prefix / "bin").glob("activate*"), *(prefix / "bin").glob("*.bat")]
    for path in unwanted:
        path.unlink(missing_ok=True)


def forget_files(packages: Path) -> None:
    """Remove what uv has noted of the files that it installed: when each last changed, here."""
    for path in packages.glob("*.dist-info/uv_cache.json"):
        path.unlink()
        record = path.with_name("RECORD")
        lines = record.read_bytes().splitlines(keepends=True)
        own = f"{path.parent.name}/{path.name},".encode()
        record.write_bytes(b"".join(line for line in lines if not line.startswith(own)))


def is_good(source: str) -> bool:
    """Whether there is byte code for exactly this source that is never checked."""
    try:
        # An image of ours has no times: what was in it is byte code for what was in it.
        if os.stat(source).st_mtime == 0:  # noqa: PTH116 - thousands of them
            return os.path.exists(importlib.util.cache_from_source(source))  # noqa: PTH110
        with Path(importlib.util.cache_from_source(source)).open("rb") as stream:
            head = stream.read(16)
        if head[:4] != importlib.util.MAGIC_NUMBER or head[4:8] != b"\1\0\0\0":
            return False
        return head[8:] == importlib.util.source_hash(Path(source).read_bytes())
    except OSError:
        return False


def is_put(source: str, ready: Ready | None) -> bool:
    """Whether there is byte code ready for exactly this source; then it is where it belongs."""
    if ready is None or not (source.isascii() and len(source) < 256):
        return False
    import zlib
    from importlib import _bootstrap_external

    ours: Any = _bootstrap_external  # what py_compile uses
    file, offset, size, at, length = ready
    try:
        with Path(file).open("rb") as stream:
            code = zlib.decompress(os.pread(stream.fileno(), size, offset))
        if code[8:16] != importlib.util.source_hash(Path(source).read_bytes()):
            return False
        # As if it had been compiled here: the path of the source is in it once.
        code = b"%b%c%b%b" % (code[:at], len(source), source.encode(), code[at + 1 + length :])
        target = Path(importlib.util.cache_from_source(source))
        target.parent.mkdir(exist_ok=True)
        ours._write_atomic(str(target), code, ours._calc_mode(source))
    except (OSError, zlib.error):
        return False
    return True


def all_ready(files: list[str], packages: Path) -> dict[str, Ready]:
    """What files of ``compiling.py`` have for this Python, by the paths of the sources."""
    found: dict[str, Ready] = {}
    for file in files:
        with Path(file).open("rb") as stream:
            head = json.loads(stream.readline())
            start = stream.tell()
        if head["magic"] == importlib.util.MAGIC_NUMBER.hex():
            for name, (offset, *more) in head["modules"].items():
                found[f"{packages}/{name}"] = (file, start + offset, *more)
    return found


def compile_one(source: str, ready: Ready | None, *, new: bool) -> None:
    """Make the byte code of one source, if that can be done, with a hash that is never checked."""
    if not (new and is_good(source)) and not is_put(source, ready):
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_file(source, quiet=2, force=True, invalidation_mode=mode)


def compile_all(
    folders: list[str], jobs: int, ready: dict[str, Ready] | None = None, *, new: bool = True
) -> None:
    """Compile the sources below folders; with ``new``, only those without good byte code."""
    changed = Path(__file__).with_name(CHANGED)
    if changed.exists():
        lines = changed.read_text(encoding="utf-8").splitlines()
        there = [line for line in lines if line.startswith(tuple(f"{f}/" for f in folders))]
        sources = [line for line in there if os.path.isfile(line)]  # noqa: PTH113
        changed.unlink()
    else:
        sources = [
            str(Path(where, name))
            for folder in folders
            for where, _, names in os.walk(folder)
            for name in names
            if name.endswith(".py")
        ]
    # The base's own files are linked here, and are none of ours.
    sources = [source for source in sources if not os.path.islink(source)]  # noqa: PTH114
    with ProcessPoolExecutor(jobs) as pool:
        known = map((ready or {}).get, sources)
        list(pool.map(partial(compile_one, new=new), sources, known, chunksize=32))


def finish_venv(jobs: int) -> None:
    """Do all of it for the virtual environment whose Python this is."""
    prefix = Path(sys.prefix)
    packages = Path(sysconfig.get_path("purelib"))
    forget_files(packages)
    allow_user_packages(prefix)
    hook(prefix, packages, KEEP if "on-stack" in sys.argv else FORGET)
    if "on-stack" in sys.argv:
        show_below(prefix, packages)
    files = [word for word in sys.argv[3:] if word.startswith("/")]
    compile_all([str(packages)], jobs, all_ready(files, packages))
    link_library(prefix, Path(os.__file__).parent)
    clean(prefix)


def main() -> None:
    """Do what the words say, and leave nothing of this file."""
    jobs, what = int(sys.argv[1]), sys.argv[2]
    if what == "venv":
        finish_venv(jobs)
    elif what == "all":
        forget_files(Path(sysconfig.get_path("purelib")))
        compile_all([str(Path(os.__file__).parent)], jobs, new=False)
    else:
        if what == "new":
            teach_venv()
        compile_all(sys.argv[3:], jobs)
    if what == "base":
        hook(Path(sys.prefix), Path(sysconfig.get_path("purelib")), KEEP)
        link_library(Path(sys.prefix), Path(os.__file__).parent)
    Path(__file__).unlink()


if __name__ == "__main__":
    main()

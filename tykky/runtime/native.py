"""The C programs of the native runtime: ``launch``, ``box``, ``ask`` and ``runnable``.

The sources of each are in a folder of its name below ``launcher``, and what they share is in
``common``. A wheel brings the programs, in ``launcher/bin/<machine>/``. Where it does not, they
are compiled once from the sources beside it and kept in the user's cache, in a directory that is
named after the digest of the sources.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tykky.errors import ToolError

SOURCES = Path(__file__).parent / "launcher"

PROGRAMS = ("launch", "box", "ask", "runnable")

# What a program has of another one, but for the main function of that.
_OF_OTHERS = {"runnable": "launch"}

_FLAGS = (
    "-std=gnu11",
    "-O2",
    "-fstack-protector-strong",
    "-fPIE",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=2",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
    "-s",
)
# The first that works is taken. musl makes the smallest program with the fastest start (its
# gcc wrapper knows no static-pie); a static program needs no library of the node; some
# distributions have no static libc at all.
_ATTEMPTS = (
    ("musl-gcc", "-static"),
    ("cc", "-static-pie"),
    ("cc", "-static"),
    ("cc", "-pie"),
    ("gcc", "-static-pie"),
    ("gcc", "-pie"),
    ("clang", "-pie"),
)


def program(name: str) -> Path:
    """Return one of ``PROGRAMS`` for this machine; the launcher is ready to be copied to a prefix.

    Raises ``ToolError`` if it did not come with tykky and cannot be compiled.
    """
    shipped = SOURCES / "bin" / platform.machine() / name
    if os.access(shipped, os.X_OK):
        return shipped
    cached = _cache() / f"{platform.machine()}-{_digest()}"
    if not _is_safe(cached / name):
        _fill(cached)
    return cached / name


def sources(name: str) -> tuple[Path, ...]:
    """What a program is made of; ``tests/launcher/Makefile`` asks for this too."""
    other = _OF_OTHERS.get(name)
    folders = ("common", name, *([other] if other else []))
    found = (path for folder in folders for path in (SOURCES / folder).glob("*.c"))
    return tuple(sorted(path for path in found if path.stem != other))


def build(outdir: Path) -> None:
    """Compile all programs into ``outdir``, which is made if it is missing.

    Raises ``ToolError`` if there is no compiler, or none that can compile them.
    """
    outdir.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_compile, name, outdir / name) for name in PROGRAMS]:
            done.result()


def _cache() -> Path:
    # Beside the cache of downloads, which builds may write to: these run outside of any box.
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tykky-programs"


def _digest() -> str:
    """Of everything that decides what the programs are."""
    digest = hashlib.sha256(repr((PROGRAMS, _FLAGS, _ATTEMPTS)).encode())
    for source in sorted(SOURCES.glob("*/*.[ch]")):
        name = source.relative_to(SOURCES).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _is_safe(program: Path) -> bool:
    """Whether only this user (or root) can have made or changed the file."""
    try:
        status = program.stat(follow_symlinks=False)
        parent = program.parent.stat(follow_symlinks=False)
    except OSError:
        return False
    ours = all(
        s.st_uid in (os.getuid(), 0) and not s.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        for s in (status, parent)
    )
    return ours and stat.S_ISREG(status.st_mode) and os.access(program, os.X_OK)


def _fill(cached: Path) -> None:
    """Compile into a directory beside, and give it the name only when it is complete."""
    cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".new-") as scratch:
        made = Path(scratch) / "programs"
        build(made)
        made.chmod(0o700)
        try:
            made.rename(cached)
        except OSError:
            if all(_is_safe(cached / name) for name in PROGRAMS):
                return  # another process was faster
            shutil.rmtree(cached, ignore_errors=True)
            made.rename(cached)


def _compile(name: str, target: Path) -> None:
    complaint = ""
    for compiler, link in _ATTEMPTS:
        if not shutil.which(compiler):
            continue
        command = [compiler, *_FLAGS, link, "-o", str(target), *map(str, sources(name))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            target.chmod(0o755)
            return
        complaint = complaint or f"{compiler}: {done.stderr.strip()}"
    raise ToolError(
        f"the program {name!r} of the native runtime cannot be compiled"
        + ("" if complaint else ": there is no C compiler"),
        remedy="install a working gcc and libc6-dev, or a wheel of tykky for this kind of machine",
        details=tuple(complaint.splitlines()[:10]),
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]) / platform.machine())

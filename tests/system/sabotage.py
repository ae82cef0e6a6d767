"""Stop the real program, or spoil its disk, at any one of its operations on files."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.stacks import Site
from tests.support import DOWNLOADS

#: What is preloaded; what the settings mean is said in it.
SOURCE = Path(__file__).with_name("saboteur.c")
#: What changes the names that others see. A file is written under a temporary name first, so
#: that a stop before its renaming is one with a temporary file left.
NAMES = "mkdir rename unlink rmdir link symlink"
#: All that asks something of the disk.
WRITES = f"{NAMES} open write pwrite64 writev fsync ftruncate64 chmod fchmod"


@functools.cache
def saboteur() -> Path:
    """The library, compiled once."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = DOWNLOADS / f"saboteur-{digest}.so"
    if not library.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        new = library.with_suffix(f".{os.getpid()}")
        compiler = shutil.which("gcc") or "cc"
        line = [compiler, "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", new, SOURCE, "-ldl"]
        subprocess.run(line, check=True)
        new.replace(library)
    return library


def settings(below: Path | str, **how: str | int) -> dict[str, str]:
    """The environment in which an operation below a directory, or several, is spoilt.

    ``at`` gives its number, ``match`` a regular expression for it, ``ops`` which kinds count.
    """
    number, counter = tempfile.mkstemp()
    os.ftruncate(number, 8)
    os.close(number)
    atexit.register(Path(counter).unlink)
    words = {"ops": NAMES, **how}
    return {
        "LD_PRELOAD": str(saboteur()),
        "SABOTAGE_BELOW": str(below),
        "SABOTAGE_COUNTER": counter,
        **{f"SABOTAGE_{key.upper()}": str(value) for key, value in words.items()},
        "SABOTAGE_OPS": f" {words['ops']} ",
    }


def sabotaged(site: Site, number: signal.Signals | int = 0, **how: str | int) -> Site:
    """The program, which is sent a signal before one of its operations in its store.

    Without a signal, it fails with ``errno``, or waits, or finds no locks; see ``settings``.
    """
    below = how.pop("below", site.root)
    return site.with_env(**settings(str(below), signal=int(number), **how))

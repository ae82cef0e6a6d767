"""A real conda channel on local disk, made of what PyPI and this machine offer.

No conda channel can be reached from everywhere that the tests run, so they bring their own: a
relocatable CPython (this machine's, repackaged), wheels turned into packages, and small packages
for what else packages do: activation scripts, prefixes in text and in programs, link scripts,
links, conflicts. Built once and kept among the downloads, under a digest of its builder.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.channel import files, python, small, wheels
from tests.support import DOWNLOADS

#: What indexes a channel and leaves without running what rattler does when Python ends.
_INDEX = """
import asyncio, os, sys
from pathlib import Path
from rattler import index
asyncio.run(index.index_fs(Path(sys.argv[1])))
os._exit(0)
"""


def channel() -> Path:
    """The directory of the channel, built if it is not there."""
    ready = DOWNLOADS / f"channel-{_digest()}"
    if ready.is_dir():
        return ready
    from filelock import FileLock

    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{ready}.lock"):
        if not ready.is_dir():
            place = Path(tempfile.mkdtemp(dir=DOWNLOADS, prefix=".channel-"))
            build(place)
            place.chmod(0o755)
            place.rename(ready)
    return ready


def build(place: Path) -> None:
    """Write all packages into ``place`` and index it."""
    (place / "noarch").mkdir(parents=True)
    for package in (python.package(), *wheels.packages(), *small.packages()):
        files.write(package, place)
    index(place)


def index(place: Path) -> None:
    """Write the repodata of a channel."""
    subprocess.run([sys.executable, "-c", _INDEX, str(place)], check=True, capture_output=True)


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]

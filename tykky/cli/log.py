"""Show the build log of a stack: of its install, or of the last build that failed."""

from __future__ import annotations

import errno
import gzip
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, flag, place_of, positional
from tykky.errors import Exit, StoreError, from_os_error
from tykky.files import read_small
from tykky.tools.scratch import own_folder

EXAMPLES = """\
  tykky log python-data           the log of the install; if there is none, of the last failure
  tykky log python-data#6         the log of an earlier generation
  tykky log --failed snakemake    the log of the last build of it that failed
  tykky log python-data --path    where it is, not what it says
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION]"),
    flag("--failed", help="the last build that failed"),
    flag("--path", help="print the path of the log only"),
)

#: What colours a terminal, or moves about on it.
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run(call: Call) -> Result:
    """Print a log, or its path."""
    path = _failed(call) if call.args.failed else _any(call)
    if call.args.path:
        return Result(path, lambda: console.say(str(path)))
    try:
        data = read_small(path)
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise from_os_error(error, "read the log") from error
        what = getattr(error, "strerror", None) or "it is damaged"
        raise StoreError(f"the log {path} cannot be shown: {what}", code=Exit.DAMAGED) from None
    text = _STEERING.sub("", text.replace("\r\n", "\n"))
    return Result(text, lambda: console.say(text.rstrip("\n")))


def _any(call: Call) -> Path:
    try:
        record = call.having(call.args.install).store.generation(call.args.install)
        return place_of(record).generation(record.generation) / "build.log.gz"
    except StoreError as missing:
        if missing.code == Exit.CONFLICT:
            raise
        with suppress(StoreError):
            return _failed(call)
        raise


def _is_of(title: str, stack: str, version: str) -> bool:
    return title.startswith(f"{stack}@") and version in ("", title.partition("@")[2])


def _failed(call: Call) -> Path:
    name, logs = str(call.args.install), call.config.build_dir / "logs"
    stack, _, version = name.replace("@", "/").partition("/")
    if os.path.lexists(logs.parent):
        own_folder(logs.parent)  # else anybody could have written what is in it
    every = [] if "/" in version or ".." in stack else (logs / stack).glob("*.log")
    begins = f"{version}-" if version else ""
    found = [path for path in every if path.name.startswith(begins) and path.exists()]
    # Of a stack list: on whichever node it was built.
    kept = call.config.builds_dir / "failed"
    found += [path for path in kept.glob("*.log") if _is_of(path.stem, stack, version)]
    if not found:
        raise StoreError(f"no failed build of '{name}' has left a log in {logs} or {kept}")
    return max(found, key=lambda path: path.stat().st_mtime)

"""Show the build log of a stack: of its install, or of the last build that failed."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from tykky import console
from tykky.cli.common import Result, flag, place_of, positional
from tykky.config import Config
from tykky.errors import Exit, StoreError, from_os_error
from tykky.store import Store

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


def run(args: argparse.Namespace, config: Config) -> Result:
    """Print a log, or its path."""
    path = _failed(args.install, config) if args.failed else _any(args.install, config)
    if args.path:
        return Result(path, lambda: console.say(str(path)))
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
    except (OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise from_os_error(error, "read the log") from error
        raise StoreError(f"the log {path} is damaged", code=Exit.DAMAGED) from None
    return Result(text, lambda: console.say(text.rstrip("\n")))


def _any(name: str, config: Config) -> Path:
    try:
        record = Store.of(config).generation(name)
        return place_of(record).generation(record.generation) / "build.log.gz"
    except StoreError as missing:
        if missing.code == Exit.CONFLICT:
            raise
        try:
            return _failed(name, config)
        except StoreError:
            raise missing from None


def _failed(name: str, config: Config) -> Path:
    stack, _, version = name.replace("@", "/").partition("/")
    folder = config.build_dir / "logs" / stack
    every = [] if "/" in version or ".." in stack else folder.glob("*.log")
    logs = [path for path in every if path.name.startswith(f"{version}-" if version else "")]
    if not logs:
        raise StoreError(f"no failed build of '{name}' has left a log in {config.build_dir}/logs")
    return max(logs, key=lambda path: path.stat().st_mtime)

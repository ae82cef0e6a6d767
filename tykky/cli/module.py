"""Tell where the modulefiles are."""

from __future__ import annotations

import argparse

from tykky import console
from tykky.cli.common import Result
from tykky.config import Config
from tykky.publish import modules
from tykky.store import Store

EXAMPLES = """\
  module use "$(tykky module path)"      make the modules known to Lmod
  tykky module file python-data          the modulefile of an install
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``path`` or ``file``."""
    actions = parser.add_subparsers(dest="action", metavar="path | file", required=True)
    actions.add_parser("path", help="print the directory for 'module use'")
    file = actions.add_parser("file", help="print the modulefile of an install")
    file.add_argument("install", metavar="INSTALL", help="NAME[/VERSION]")


def run(args: argparse.Namespace, config: Config) -> Result:
    """Print one path."""
    path = config.module_path
    if args.action == "file":
        path = modules.path_of(config, Store.of(config).one(args.install).module)
    return Result(path, lambda: console.say(str(path)))

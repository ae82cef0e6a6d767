"""Tell where the modulefiles are."""

from __future__ import annotations

import argparse

from tykky import console
from tykky.cli.common import Action, Result, positional
from tykky.config import Config
from tykky.publish import modules
from tykky.store import Store

EXAMPLES = """\
  module use "$(tykky module path)"      make the modules known to Lmod
  tykky module file python-data          the modulefile of an install
"""


def _path(args: argparse.Namespace, config: Config) -> Result:
    return Result(config.module_path, lambda: console.say(str(config.module_path)))


def _file(args: argparse.Namespace, config: Config) -> Result:
    path = modules.path_of(config, Store.of(config).one(args.install).module)
    return Result(path, lambda: console.say(str(path)))


ACTIONS = {
    "path": Action(_path, "print the directory for 'module use'"),
    "file": Action(
        _file, "print the modulefile of an install", [positional("INSTALL", "NAME[/VERSION]")]
    ),
}

"""Tell where the modulefiles are."""

from __future__ import annotations

from tykky.cli.common import Action, Call, Result, positional, said
from tykky.publish import modules

EXAMPLES = """\
  module use "$(tykky module path)"      make the modules known to Lmod
  tykky module file python-data          the modulefile of an install
"""


def _path(call: Call) -> Result:
    return Result(call.config.module_path, said([str(call.config.module_path)]))


def _file(call: Call) -> Result:
    path = modules.path_of(call.config, call.store.one(call.args.install).module)
    return Result(path, said([str(path)]))


_INSTALL = positional("INSTALL", "NAME[/VERSION]")
ACTIONS = {
    "path": Action(_path, "print the directory for 'module use'"),
    "file": Action(_file, "print the modulefile of an install", [_INSTALL]),
}

"""Tell where the modulefiles are."""

from __future__ import annotations

from tykky.cli.common import Action, Call, Result, positional, records_of, said
from tykky.publish import modulefile, modules

EXAMPLES = """\
  module use "$(tykky module path)"      make the modules known to Lmod
  tykky module file python-data          the modulefile of an install
  tykky module admin-list >FILE          what to add to Lmod's admin.list
"""


def _path(call: Call) -> Result:
    return Result(call.config.module_path, said([str(call.config.module_path)]))


def _file(call: Call) -> Result:
    there = call.having(call.args.install)
    path = modules.path_of(there.config, there.store.one(call.args.install).module)
    return Result(path, said([str(path)]))


def _admin_list(call: Call) -> Result:
    lines = modulefile.admin_list([*records_of(call.store.entries())])
    call.warn_of_unreadable()
    return Result(lines, said(lines))


_INSTALL = positional("INSTALL", "NAME[/VERSION]")
ACTIONS = {
    "path": Action(_path, "print the directory for 'module use'"),
    "admin-list": Action(_admin_list, "print what is deprecated, for Lmod's admin.list"),
    "file": Action(_file, "print the modulefile of an install", [_INSTALL]),
}

"""Tell which installs have a package, a command or a module of that name.

Names are those of users: "which six" as well as "which 'jupyter*'". Upper case, and whether it is
a dash, a dot or an underscore, make no difference in the names of packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, flag, positional, records_of
from tykky.errors import Exit, StoreError
from tykky.publish.modulefile import plain_name
from tykky.store import Record, roots

EXAMPLES = """\
  tykky which numpy                  with which versions
  tykky which 'jupyter*'
  tykky which --commands samtools    only as a command
"""

ARGUMENTS = (
    positional("NAME", "a package, a command or a module, perhaps with * and ?", "+"),
    flag("--commands", help="only commands"),
    flag("--packages", help="only packages"),
)


def run(call: Call) -> Result:
    """A line for each that is found; exit 6 if a name is nowhere."""
    answers: list[dict[str, Any]] = []
    entries, where = roots.match(call.stores, None)
    call.warn_of_unreadable()
    for record in records_of(entries):
        root = {"root": str(where[record.prefix].root)}
        found = [each for name in call.args.name for each in _found(record, name, call)]
        answers += [{**each, **root} for each in found]
    there = {answer["asked"] for answer in answers}
    lacking = [name for name in call.args.name if name not in there]
    causes = [f"nothing in {call.where} has '{name}'" for name in lacking]
    errors = tuple(StoreError(cause, remedy="'tykky list' shows the recipes") for cause in causes)

    def show() -> None:
        rows = [(a["module"], a["what"], a["name"], a["version"], a["path"]) for a in answers]
        if rows:
            console.table(rows, ("MODULE", "WHAT", "NAME", "VERSION", "PATH"))
        for error in errors:
            console.error(error)

    return Result(answers, show, Exit.NOT_FOUND if errors else Exit.OK, errors)


def _found(record: Record, asked: str, call: Call) -> Iterator[dict[str, Any]]:
    """What of an install has the name."""
    every, args = not (call.args.commands or call.args.packages), call.args
    fact = {"asked": asked, "module": record.module, "version": "", "path": ""}
    if every and (fnmatchcase(record.name, asked) or fnmatchcase(record.module, asked)):
        yield {**fact, "what": "module", "name": record.module}
    for name in record.commands if every or args.commands else ():
        if fnmatchcase(name, asked):
            path = f"{record.prefix}/bin/{name}"
            yield {**fact, "what": "command", "name": name, "path": path}
    for name, version in record.packages if every or args.packages else ():
        if fnmatchcase(plain_name(name), plain_name(asked)):
            yield {**fact, "what": "package", "name": name, "version": version}

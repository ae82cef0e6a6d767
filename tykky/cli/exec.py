"""Run a program inside of a stack, with the variables that its module sets.

Any program: one of the stack's commands or files, or one of the host, which then sees the files of
the stack: an editor, a language server, grep, a debugger. What it starts is inside as well. The
program takes the place of tykky: arguments, signals and the exit code are its own. Whoever has
loaded the module needs this only for programs that are not the stack's.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from tykky import console
from tykky.cli.common import Call, Result, option, positional
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.publish import session
from tykky.store import Place, Record

EXAMPLES = """\
  tykky exec python-data -- python script.py
  tykky exec python-data/26.11 -- pyright src     a program of the host sees the stack's files
  tykky exec python-data#6 -- python -V           an earlier generation
  tykky exec python-data -- code .                an editor, and all that it starts
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path"),
    option(
        "command",
        metavar="-- COMMAND",
        nargs=argparse.REMAINDER,
        help="the program and its arguments",
    ),
)


def run(call: Call) -> Result:
    """Become the program."""
    words = call.args.command
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        remedy = f"tykky exec {call.args.install} -- COMMAND; 'tykky shell' is without one"
        raise TykkyError("nothing says what to run", remedy=remedy, code=Exit.USAGE)
    become(meant(call, call.args.install), words)


def meant(call: Call, words: str) -> Record:
    """The generation that is meant, which can be entered from here. Raises ``StoreError``."""
    store = call.having(words.partition("#")[0]).store
    record = store.generation(words)
    store.check_outside(Path(record.prefix))
    if original := Place(Path(record.prefix)).original(record.generation):
        cause = f"{record.title} is a copy of {original}, and works only there"
        raise StoreError(cause, remedy="install it anew, where it is to be", code=Exit.CONFLICT)
    return record


def become(record: Record, words: list[str], **more: str) -> NoReturn:
    """Go on as a program inside of a stack; ``more`` are variables. Raises ``TykkyError``."""
    variables = session.variables(record, os.environ) | more
    line = session.line(record, words)
    console.flush()
    with explained(f"run {words[0]} in {record.title}"):
        os.execve(line[0], line, variables)

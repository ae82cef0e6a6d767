"""Print the completion script for a shell.

Those for bash and zsh come with Tykky already, in share/completions, and setup-env.sh loads
them; this is for other shells and other places.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from tykky.cli.common import Call, Result, option, said
from tykky.config import KEYS
from tykky.resources import resource

EXAMPLES = """\
  eval "$(tykky completion bash)"                   in ~/.bashrc
  tykky completion zsh > ~/.zfunc/_tykky            in a folder of zsh's fpath
  tykky completion tcsh > ~/.tykky.tcsh             and source that in ~/.tcshrc
"""

ARGUMENTS = (option("shell", choices=("bash", "zsh", "tcsh"), help="for which shell"),)

# What an argument is, by the word that the help shows for it.
_WORDS = {
    "SPEC": "_tykky_recipes",
    "PATTERN": "_tykky_recipes",
    "INSTALL": "_tykky_installs",
    "STACK": "_tykky_stacks",
    "KEY": "_tykky_keys",
}


def run(call: Call) -> Result:
    """Print the script, made from the program's own parser."""
    import shtab

    from tykky.cli import build_parser

    parser, shell = build_parser(), call.args.shell
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    if shell != "tcsh":  # the two verbs of the shell function, see share/setup-env.sh
        activate = verbs.add_parser("activate", help="put a stack's commands first on PATH")
        activate.add_argument("stack", metavar="STACK", help="a name or a path")
        verbs.add_parser("deactivate", help="take them away again")
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):
            # What the program's own help leaves out, because it shows the verbs in groups.
            action.help = action.help if action.help != argparse.SUPPRESS else "what to do"
        elif action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif function := _WORDS.get(str(action.metavar)):
            action.complete = {"bash": function, "zsh": function}  # type: ignore[attr-defined]
    # The functions that complete words: these are compared by the shell's own means.
    preamble: Any = {}
    for name in ("bash", "zsh"):
        path = resource("share") / "completions/functions" / f"tykky.{name}"
        functions = path.read_text(encoding="utf-8").replace("@KEYS@", " ".join(KEYS))
        preamble[name] = f"\n{functions}"
    text = str(shtab.complete(parser, shell, preamble=preamble))
    return Result(text, said([text.rstrip("\n")]))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _actions(child)

"""Print the completion script for a shell.

Those for bash and zsh come with Tykky already, in share/completions, and setup-env.sh loads
them; this is for other shells and other places.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from tykky import console
from tykky.cli.common import Result
from tykky.config import KEYS, Config

EXAMPLES = """\
  eval "$(tykky completion bash)"                   in ~/.bashrc
  tykky completion zsh > ~/.zfunc/_tykky            in a folder of zsh's fpath
  tykky completion tcsh > ~/.tykky.tcsh             and source that in ~/.tcshrc
"""

SHELLS = ("bash", "zsh", "tcsh")

# Words are compared by the shell's own means: `compgen -W` would evaluate what is in them.
_BASH = f"""
_tykky_matching() {{
  local word
  while IFS= read -r word; do [[ $word != "$1"* ]] || printf '%s\\n' "$word"; done
}}
_tykky_recipes() {{
  command tykky list 2>/dev/null | cut -d ' ' -f 1 | _tykky_matching "$1"
}}
_tykky_installs() {{
  command tykky find --format '{{module}}' 2>/dev/null | _tykky_matching "$1"
}}
_tykky_stacks() {{
  local folder install folders
  IFS=: read -r -a folders <<<"${{TYKKY_PATH-}}"
  {{
    _tykky_installs "$1"
    for folder in "${{folders[@]}}"; do
      for install in "$folder"/*/bin; do
        [[ ! -d $install ]] || {{ install=${{install%/bin}}; printf '%s\\n' "${{install##*/}}"; }}
      done
    done | _tykky_matching "$1"
    compgen -d -- "$1"
  }} | sort -u
}}
_tykky_keys() {{
  printf '%s\\n' {" ".join(KEYS)} | _tykky_matching "$1"
}}
"""

_ZSH = f"""
_tykky_recipes() {{
  local -a words
  words=(${{${{(f)"$(command tykky list 2>/dev/null)"}}%% *}})
  compadd -a words
}}
_tykky_installs() {{
  local -a words
  words=(${{(f)"$(command tykky find --format '{{module}}' 2>/dev/null)"}})
  compadd -a words
}}
_tykky_stacks() {{
  local -a words
  words=(${{^${{(s.:.)TYKKY_PATH}}}}/*/bin(N:h:t))
  compadd -a words
  _tykky_installs
  _files -/ -F words
}}
_tykky_keys() {{
  compadd {" ".join(KEYS)}
}}
"""

# What an argument is, by the word that the help shows for it.
_WORDS = {
    "SPEC": "_tykky_recipes",
    "PATTERN": "_tykky_recipes",
    "INSTALL": "_tykky_installs",
    "STACK": "_tykky_stacks",
    "KEY": "_tykky_keys",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument("shell", choices=SHELLS, help="for which shell")


def run(args: argparse.Namespace, config: Config) -> Result:
    """Print the script."""
    return Result(show=lambda: console.say(script(args.shell).rstrip("\n")))


def script(shell: str) -> str:
    """The completion script of ``tykky`` for a shell, made from the program's own parser."""
    import shtab

    from tykky.cli import build_parser

    parser = build_parser()
    if shell != "tcsh":
        _add_shell_verbs(parser)
    for action in _actions(parser):
        _complete(action, shtab.DIRECTORY)
    preamble: Any = {"bash": _BASH, "zsh": _ZSH}
    return str(shtab.complete(parser, shell, preamble=preamble))


def _verbs(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction[Any]]:
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]


def _add_shell_verbs(parser: argparse.ArgumentParser) -> None:
    """The two verbs of the shell function, see share/setup-env.sh."""
    for verbs in _verbs(parser):
        if "activate" not in verbs.choices:
            activate = verbs.add_parser("activate", help="put a stack's commands first on PATH")
            activate.add_argument("stack", metavar="STACK", help="a name or a path")
            verbs.add_parser("deactivate", help="take them away again")


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _actions(child)


def _complete(action: argparse.Action, directory: Any) -> None:
    """Tell shtab how the values of an argument are completed."""
    if isinstance(action, argparse._SubParsersAction):
        # What the program's own help leaves out, because it shows the verbs in groups.
        action.help = action.help if action.help != argparse.SUPPRESS else "what to do"
    elif action.metavar == "DIR":
        action.complete = directory  # type: ignore[attr-defined]
    elif isinstance(action.metavar, str) and action.metavar in _WORDS:
        name = _WORDS[action.metavar]
        action.complete = {"bash": name, "zsh": name}  # type: ignore[attr-defined]

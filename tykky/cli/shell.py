"""Start a shell inside of a stack, with its module loaded and its name in the prompt.

It is your own shell and your own configuration; the programs and files of the host are all there,
and those of the stack as well: look at its sources, start an editor. Leave it with 'exit'.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from pathlib import Path

from tykky.cli.common import Call, Result, positional
from tykky.cli.exec import become, meant
from tykky.store import Record

EXAMPLES = """\
  tykky shell python-data
  tykky shell python-data/26.11#6     in an earlier generation
"""

ARGUMENTS = (positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path"),)

# What a shell reads after its user's own configuration, which may have changed PATH and prompt.
_BASH = """\
[ ! -r ~/.bashrc ] || . ~/.bashrc
PATH={folder}:$PATH
PS1={title}"$PS1"
"""
_ZSH = """\
rm -rf -- {folder_of_this}
{restore}
[[ ! -r ${{ZDOTDIR:-$HOME}}/.zshenv ]] || . ${{ZDOTDIR:-$HOME}}/.zshenv
_tykky_begin() {{
    path=({folder} $path)
    PROMPT={title}"$PROMPT"
    precmd_functions=(${{precmd_functions:#_tykky_begin}})
    unfunction _tykky_begin
}}
precmd_functions+=(_tykky_begin)
"""
_FISH = """\
set -gx PATH {folder} $PATH
functions -c fish_prompt _tykky_prompt
function fish_prompt; echo -n {title}; _tykky_prompt; end
"""


def run(call: Call) -> Result:
    """Become the shell."""
    record = meant(call, call.args.install)
    words, more = _shell(record)
    become(record, words, **more)


def _shell(record: Record) -> tuple[list[str], dict[str, str]]:
    """The command line of a shell, and variables that it needs."""
    # A prompt is evaluated, so only harmless characters go into it.
    title = "(" + re.sub(r"[^A-Za-z0-9._+@/#-]", "_", record.module) + ") "
    folder = shlex.quote(f"{record.prefix}/bin")
    shell = os.environ.get("SHELL") or "/bin/sh"
    name, quoted = Path(shell).name, shlex.quote(title)
    if record.launch.get("root"):  # an image has its own shells, and not always the user's
        shell, name = "bash", "bash"
    if name == "bash":
        text = _BASH.format(folder=folder, title=quoted)
        words = [shell, "--rcfile", _open(text)]
        if record.launch.get("root"):
            or_sh = 'command -v bash >/dev/null && exec "$@"; PS1=$0 exec sh'
            words = ["/bin/sh", "-c", or_sh, f"{title}$ ", *words]
        return words, {}
    if name == "zsh":
        before = os.environ.get("ZDOTDIR")
        restore = f"ZDOTDIR={shlex.quote(before)}" if before is not None else "unset ZDOTDIR"
        own = tempfile.mkdtemp(prefix="tykky-shell-")
        values = {"folder": folder, "title": quoted, "restore": restore}
        text = _ZSH.format(folder_of_this=shlex.quote(own), **values)
        Path(own, ".zshenv").write_text(text, encoding="utf-8")
        return [shell, "-i"], {"ZDOTDIR": own}
    if name == "fish":
        return [shell, "-C", _FISH.format(folder=folder, title=quoted)], {}
    return [shell, "-i"], {"PS1": f"{title}$ "}


def _open(text: str) -> str:
    """A file in memory, which is there in any stack, for the process that this one becomes."""
    number = os.memfd_create("tykky-shell", 0)
    os.write(number, text.encode())
    return f"/proc/self/fd/{number}"

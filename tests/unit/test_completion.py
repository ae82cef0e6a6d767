from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tykky.cli import VERBS
from tykky.resources import resource

FILES = {"bash": "tykky.bash", "zsh": "_tykky", "tcsh": "tykky.tcsh"}
_WORDS = re.compile(r"--[a-z-]+|[a-z]+(?:[._][a-z]+)*")


def script(shell: str) -> str:
    """What the program prints, in a process of its own as always."""
    code = "import sys; from tykky.cli import main; sys.exit(main(['completion', sys.argv[1]]))"
    command = [sys.executable, "-c", code, shell]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("shell", FILES)
def test_shipped_completion_knows_what_the_program_knows(shell: str) -> None:
    path = resource("share") / "completions" / FILES[shell]
    # Words only: the text around them is another with each version of shtab.
    missing = set(_WORDS.findall(script(shell))) - set(_WORDS.findall(path.read_text()))
    verbs = {verb for group in VERBS.values() for verb in group}
    options = {word for word in missing if word.startswith("--")}
    assert not verbs & missing and not options, (
        f"make it anew: tykky completion {shell} > share/completions/{path.name}"
    )


def test_verbs_of_the_shell_function_are_completed_where_there_is_one() -> None:
    assert "activate" in script("bash")
    assert "activate" in script("zsh")
    assert "activate" not in script("tcsh")

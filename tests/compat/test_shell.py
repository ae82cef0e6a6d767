"""``tykky activate`` for installations of the classic commands, in the shells that know it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.classic import Classic
from tykky.resources import resource

OPTIONS = {"bash": ["--noprofile", "--norc"], "zsh": ["-f"], "ksh": []}
PROFILE = resource("share") / "etc/profile.d/tykky.sh"


def lines(somebody: Classic, shell: str, script: str) -> list[str]:
    command = [shell, *OPTIONS[shell], "-c", f". '{PROFILE}'\n{script}"]
    return somebody.user.run(*command).stdout.splitlines()


@pytest.mark.parametrize("shell", OPTIONS)
def test_an_installation_is_activated_by_name_and_by_path(
    settled: Classic, disk: Path, shell: str
) -> None:
    script = (
        f"TYKKY_PATH=/nowhere:{settled.home}; export TYKKY_PATH\n"
        "tykky activate disk; command -v tool; echo $TYKKY_PREFIX; tool 1\n"
        "tykky deactivate; command -v tool || echo none\n"
        f"cd /; tykky activate {disk}/; command -v tool"
    )
    tool = f"{disk}/bin/tool"
    expected = [tool, str(disk), f"tool 1 from {tool}", "none", tool]
    assert lines(settled, shell, script) == expected


@pytest.mark.parametrize("shell", OPTIONS)
def test_an_ambiguous_name_is_said_to_mean_what_is_activated(
    settled: Classic, disk: Path, shell: str
) -> None:
    settled.sh("mkdir -p other; [ -e other/disk ] || cp -a disk other/")
    command = [
        shell,
        *OPTIONS[shell],
        "-c",
        f". '{PROFILE}'\ncd other; tykky activate disk;echo $TYKKY_PREFIX",
    ]
    done = settled.user.run(*command, env={"TYKKY_PATH": str(settled.home)})
    assert done.stdout == f"{disk}\n"
    assert "'disk' of TYKKY_PATH is taken, not the one in this directory" in done.stderr


def test_the_prompt_tells_what_is_active_unless_it_shall_not(settled: Classic, disk: Path) -> None:
    script = f"PS1='> '; tykky activate {disk}; echo \"$PS1\""
    assert lines(settled, "bash", script) == ["(disk) > "]
    assert lines(settled, "bash", f"TYKKY_CHANGE_PS1=0; {script}") == ["> "]


def test_scripts_that_a_shell_starts_can_activate_as_well(settled: Classic, disk: Path) -> None:
    script = f"bash -c 'tykky activate {disk}; command -v tool; tykky --version'"
    found = lines(settled, "bash", script)
    assert found[0] == f"{disk}/bin/tool"
    assert found[1].startswith("tykky ")


@pytest.mark.parametrize("program", ["tykky", "pip-containerize", "wrap-install"])
def test_what_is_sourced_puts_all_programs_on_path(settled: Classic, program: str) -> None:
    script = f"PATH=/usr/bin:/bin; . '{PROFILE}'; type -P {program}; {program} --help"
    found, first, *_ = lines(settled, "bash", script)
    assert found == str(resource("share") / "bin" / program)
    assert first.startswith(f"usage: {program}")


@pytest.mark.parametrize("shell", OPTIONS)
def test_the_functions_have_the_names_that_they_always_had(
    settled: Classic, disk: Path, shell: str
) -> None:
    script = (
        f"TYKKY_PATH={settled.home}; __tykky_get_env_path disk\n"
        "__tykky_activate disk; command -v tool\n"
        "__tykky_deactivate; command -v tool || echo none\n"
        f"unset TYKKY_PATH; cd {settled.home}; __tykky_get_env_path disk\n"
        "__tykky_get_env_path nothing 2>/dev/null || echo failed"
    )
    expected = [str(disk), f"{disk}/bin/tool", "none", str(disk), "failed"]
    assert lines(settled, shell, script) == expected


@pytest.mark.parametrize("shell", ["bash", "ksh"])
def test_scripts_of_a_shell_find_the_functions(settled: Classic, disk: Path, shell: str) -> None:
    script = f"__tykky_activate {disk}; command -v tool; __tykky_deactivate; echo -$TYKKY_PREFIX-"
    found = lines(settled, shell, f"{shell} -c '{script}'")
    assert found == [f"{disk}/bin/tool", "--"]


def test_completion_names_an_installation_once(settled: Classic, disk: Path) -> None:
    script = (
        f"cd {settled.home}; TYKKY_PATH=$PWD:$PWD; . {PROFILE.parents[2]}/completions/tykky.bash\n"
        "_tykky_stacks dis"
    )
    assert lines(settled, "bash", script).count("disk") == 1

"""``share/setup-env.sh`` in real shells, laid out as a wheel lays it out."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stacks import Site
from tests.support import User
from tykky.resources import resource

SHELLS = ("bash", "zsh", "ksh")
# Options that keep a shell from reading files of the system or the user.
OPTIONS = {"bash": ["--noprofile", "--norc"], "zsh": ["-f"], "ksh": []}


@dataclass(frozen=True)
class Shell:
    """A shell in which setup-env.sh can be sourced, and a folder with installs."""

    name: str
    user: User
    setup: Path
    stacks: Path

    def run(self, script: str, *, options: str = "", **env: str) -> list[str]:
        """The lines that a script prints after setup-env.sh was sourced with these options."""
        return self.output(script, options=options, **env).stdout.splitlines()

    def output(
        self,
        script: str,
        *,
        options: str = "",
        status: int = 0,
        cwd: Path | None = None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        start = f"{options}\n. '{self.setup}'\n"
        command = [self.name, *OPTIONS[self.name], "-c", start + script]
        return self.user.run(*command, status=status, env=env, cwd=cwd or self.user.home)

    def install(self, name: str, mark: str = ".tykky/generations/7/launch.conf") -> Path:
        """A folder that looks like an install, with a command that has the same name."""
        prefix = self.stacks / name
        command = prefix / "bin" / Path(name).name
        command.parent.mkdir(parents=True)
        (prefix / mark).parent.mkdir(parents=True, exist_ok=True)
        (prefix / mark).write_text("")
        if mark.startswith(".tykky/generations/"):
            (prefix / ".tykky/current").symlink_to(Path(mark).parent.relative_to(".tykky"))
        command.write_text(f"#!/bin/sh\necho {prefix}\n")
        command.chmod(0o755)
        return prefix


def share_of_a_wheel(place: Path) -> Path:
    """The shared files where a wheel has them, below an environment with the program."""
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    share = place / "venv/lib" / python / "site-packages/tykky/data/share"
    shutil.copytree(resource("share"), share)
    (place / "venv/bin").mkdir()
    (place / "venv/bin/tykky").symlink_to(Path(sys.executable).parent / "tykky")
    return share


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, place: Path, user: User) -> Shell:
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    user.env["PATH"] = "/usr/bin:/bin"
    share = share_of_a_wheel(place)
    (place / "stacks").mkdir()
    return Shell(request.param, user, share / "setup-env.sh", place / "stacks")


STATE = 'printf "%s\\n" "$PATH" "${PS1-none}" "${TYKKY_PREFIX-none}"\n'
PINS = "sh -c 'echo \"${TYKKY_PINS-none}\"'\n"  # as a program sees them


def test_program_comes_on_path_and_its_python_does_not(shell: Shell) -> None:
    program, python = shell.run("command -v -p ls >/dev/null; tykky --version; command -v python3")
    assert re.fullmatch(r"tykky \d\S*", program)
    assert python == "/usr/bin/python3"


def test_sourcing_twice_changes_nothing_more(shell: Shell) -> None:
    once, twice = shell.run(f"echo $PATH; . '{shell.setup}'; echo $PATH")
    assert once == twice


def test_link_to_the_file_can_be_sourced(shell: Shell, place: Path) -> None:
    link = place / "profile.sh"
    link.symlink_to(shell.setup)
    command = [shell.name, *OPTIONS[shell.name], "-c", f". '{link}'; tykky --version"]
    assert shell.user.run(*command).stdout.startswith("tykky ")


@pytest.mark.parametrize("options", ["", "set -eu", "set -u -o pipefail"])
def test_deactivate_restores_the_shell_exactly(shell: Shell, options: str) -> None:
    prefix = shell.install("stack")
    script = (
        f"PS1='$ '\n{STATE} tykky activate '{prefix}'\n{STATE} stack\ntykky deactivate\n{STATE}"
    )
    lines = shell.run(script, options=options)
    before, active, command, after = lines[:3], lines[3:6], lines[6], lines[7:]
    assert active == [f"{prefix}/bin:{before[0]}", "(stack) $ ", str(prefix)]
    assert command == str(prefix)
    assert after == before


@pytest.mark.parametrize("path", ["", ":", "/usr/bin", "/usr/bin:", ":/usr/bin", "/a::/usr/bin"])
def test_path_of_any_form_is_restored(shell: Shell, path: str) -> None:
    prefix = shell.install("stack")
    script = (
        f"old=$PATH; PATH='{path}'\n__tykky_deactivate; TYKKY_PREFIX='{prefix}'\n"
        'PATH="$TYKKY_PREFIX/bin${PATH:+:$PATH}"; __tykky_deactivate; printf "%s\\n" "$PATH"'
    )
    assert shell.run(script) == [path]


def test_what_came_to_path_meanwhile_stays(shell: Shell) -> None:
    prefix = shell.install("stack")
    script = f"tykky activate '{prefix}'; PATH=/new:$PATH:/last; tykky deactivate"
    before, after = shell.run(f"echo $PATH\n{script}\necho $PATH")
    assert after == f"/new:{before}:/last"


def test_prompt_that_was_changed_meanwhile_stays(shell: Shell) -> None:
    prefix = shell.install("stack")
    (prompt,) = shell.run(
        f"PS1='a '; tykky activate '{prefix}'; PS1='b '; tykky deactivate; printf '%s\\n' \"$PS1\""
    )
    assert prompt == "b "


def test_another_stack_takes_the_place_of_the_first(shell: Shell) -> None:
    one, two = shell.install("one"), shell.install("two")
    lines = shell.run(
        f"PS1='$ '\n{STATE} tykky activate '{one}'\ntykky activate '{two}'\n{STATE}"
        f"tykky deactivate\n{STATE}"
    )
    assert lines[3:6] == [f"{two}/bin:{lines[0]}", "(two) $ ", str(two)]
    assert lines[6:] == lines[:3]


def test_failed_activation_keeps_the_stack_that_is_active(shell: Shell) -> None:
    prefix = shell.install("one")
    lines = shell.run(f"tykky activate '{prefix}'; tykky activate ./none || echo $?\n{STATE}")
    assert lines[0] == "6"
    assert lines[3] == str(prefix)


def test_prompt_can_be_left_alone(shell: Shell) -> None:
    prefix = shell.install("stack")
    lines = shell.run(f"PS1='$ '\ntykky activate '{prefix}'\n{STATE}", TYKKY_CHANGE_PS1="0")
    assert lines[1] == "$ "


def test_shell_without_a_prompt_gets_none(shell: Shell) -> None:
    prefix = shell.install("stack")
    lines = shell.run(f"unset PS1\ntykky activate '{prefix}'\n{STATE}tykky deactivate\n{STATE}")
    assert (lines[1], lines[4]) == ("none", "none")


def test_name_of_a_folder_is_not_evaluated_in_the_prompt(shell: Shell, place: Path) -> None:
    prefix = shell.install("$(touch ran)`touch ran` \\h %m 'q'")
    script = f"PS1='$ '\ncd '{shell.stacks}'\ntykky activate ./*/\n{STATE}"
    lines = shell.run(script)
    assert lines[2] == str(prefix)
    assert re.fullmatch(r"\([A-Za-z0-9._+@/-]*\) \$ ", lines[1])


def test_folders_of_tykky_path_are_searched_in_order(shell: Shell) -> None:
    first, second = shell.install("a/x"), shell.install("b/x")
    only = shell.install("b/only", mark="common.sh")
    path = f"{shell.stacks}/none::{shell.stacks}/a:{shell.stacks}/b"
    done = shell.output("tykky activate x; echo $TYKKY_PREFIX", TYKKY_PATH=path)
    assert done.stdout.strip() == str(first)
    assert "the first is taken" in done.stderr
    assert str(second) not in done.stderr
    assert shell.run("tykky activate only; only", TYKKY_PATH=path) == [str(only)]


def test_tykky_path_wins_over_the_working_directory_and_says_so(shell: Shell) -> None:
    first, here = shell.install("a/x"), shell.install("here/x")
    done = shell.output(
        "tykky activate x; echo $TYKKY_PREFIX; tykky activate ./x; echo $TYKKY_PREFIX",
        cwd=here.parent,
        TYKKY_PATH=str(first.parent),
    )
    assert done.stdout.splitlines() == [str(first), str(here)]
    assert "not the one in this directory" in done.stderr


def test_working_directory_is_searched_last(shell: Shell) -> None:
    here = shell.install("x y")
    done = shell.output("tykky activate 'x y'; echo $TYKKY_PREFIX", cwd=here.parent)
    assert done.stdout.strip() == str(here)
    assert done.stderr == ""


def test_link_to_an_install_is_resolved_when_it_is_activated(shell: Shell) -> None:
    prefix = shell.install("v1")
    (shell.stacks / "current").symlink_to("v1")
    assert shell.run(f"tykky activate '{shell.stacks}/current'; echo $TYKKY_PREFIX") == [
        str(prefix)
    ]


@pytest.mark.parametrize("options", ["", "set -eu"])
def test_session_keeps_the_generation_that_it_has_activated(shell: Shell, options: str) -> None:
    prefix = shell.install("stack")
    later = prefix / ".tykky/generations/8"
    script = f"""
        tykky activate '{prefix}'
        {PINS}
        mkdir '{later}'; touch '{later}/launch.conf'
        ln -sfn generations/8 '{prefix}/.tykky/current'
        {PINS}
        tykky activate '{prefix}'
        {PINS}
        tykky deactivate
        {PINS}
    """
    pins = [f"{prefix}=7", f"{prefix}=7", f"{prefix}=8", "none"]
    assert shell.run(script, options=options) == pins


def test_pins_of_other_stacks_stay_and_those_of_the_same_do_not(shell: Shell) -> None:
    prefix = shell.install("a=b")
    others = f"/x={prefix.name}=1:{prefix}=b=2:{prefix.parent}/a=3:word"
    script = f"tykky activate '{prefix}'\n{PINS}tykky deactivate\n{PINS}"
    lines = shell.run(script, options="set -eu", TYKKY_PINS=f"/x=1:{prefix}=6::{others}:")
    assert lines == [f"{prefix}=7:/x=1:{others}", f"/x=1:{others}"]


def test_another_stack_takes_the_pin_of_the_first(shell: Shell) -> None:
    one, two = shell.install("one"), shell.install("two")
    assert shell.run(f"tykky activate '{one}'; tykky activate '{two}'\n{PINS}") == [f"{two}=7"]


def test_installation_of_the_classic_tykky_is_not_pinned(shell: Shell) -> None:
    prefix = shell.install("stack", mark="common.sh")
    script = f"tykky activate '{prefix}'\n{PINS}tykky deactivate\n{PINS}"
    assert shell.run(script, options="set -eu") == ["none", "none"]


@pytest.mark.parametrize("mark", [".tykky/launch.conf", ".tykky/generations/7/other"])
def test_place_without_a_current_generation_is_no_install(shell: Shell, mark: str) -> None:
    prefix = shell.install("stack", mark=mark)
    done = shell.output(f"tykky activate '{prefix}' || echo $?")
    assert done.stdout.strip() == "6"
    assert "is no install of Tykky" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("", 2, "usage: tykky activate"),
        ("-x", 2, "usage: tykky activate"),
        ("nothing", 6, "there is no install 'nothing'"),
        ("./nothing", 6, "there is no install './nothing'"),
        ("/usr", 6, "/usr is no install of Tykky"),
    ],
)
def test_what_cannot_be_activated_is_answered(
    shell: Shell, words: str, status: int, message: str
) -> None:
    done = shell.output(f"tykky activate {words} || echo $?")
    assert done.stdout.strip() == str(status)
    assert message in done.stderr


def test_broken_configuration_is_told_and_not_taken_for_an_absent_install(shell: Shell) -> None:
    done = shell.output("tykky activate nothing || echo $?", TYKKY_JOBS="many")
    assert done.stdout.strip() == "5"
    assert "jobs = 'many'" in done.stderr


def test_other_verbs_go_to_the_program(shell: Shell) -> None:
    done = shell.output("tykky config get squash.level; tykky config get nonsense || echo $?")
    assert done.stdout.splitlines() == ["3", "5"]
    assert "unknown configuration key" in done.stderr


def test_program_without_its_environment_says_so(shell: Shell, place: Path) -> None:
    (place / "venv/bin/tykky").unlink()
    done = shell.output("tykky list || echo $?")
    assert done.stdout.strip() == "24"
    assert "install Tykky" in done.stderr


@pytest.mark.parametrize("name", SHELLS)
def test_installed_stack_is_activated_by_name_and_its_command_runs(
    installed: Site, tmp_path: Path, name: str
) -> None:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    setup = share_of_a_wheel(tmp_path) / "setup-env.sh"
    script = f"""
        . '{setup}'
        tykky activate hello && hello you
        tykky activate hello@0.9 && hello you
        tykky activate hello/0.9 && echo "$TYKKY_PREFIX"
        PS1='$ '; tykky activate hello/0.9; echo "$PS1"
    """
    lines = installed.user.run(name, *OPTIONS[name], "-c", script).stdout.splitlines()
    assert lines[0] == "hello 1.0 you"
    assert lines[1] == "hello 0.9 you"
    assert lines[2] == str(installed.root / "store/hello/0.9")
    assert lines[3] == "(hello/0.9) $ "


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_modulefile_of_tykky_brings_the_function_and_takes_it_away(
    installed: Site, tmp_path: Path, name: str
) -> None:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    share = share_of_a_wheel(tmp_path)
    example = (resource("configs") / "examples/tykky.lua").read_text()
    (tmp_path / "modules/tykky").mkdir(parents=True)
    module = re.sub(r'(?m)^local share = ".*"$', f'local share = "{share}"', example)
    (tmp_path / "modules/tykky/1.0.lua").write_text(module)
    script = f"""
        . /usr/share/lmod/lmod/init/{name}
        module use '{tmp_path}/modules'
        before=$PATH
        module load tykky
        command -v tykky
        tykky activate hello && hello you
        tykky deactivate
        module unload tykky
        command -v tykky __tykky_activate __tykky_get_env_path || echo gone
        [ "$PATH" = "$before" ] && echo same
    """
    env = {"PATH": "/usr/bin:/bin"}
    lines = installed.user.run(name, *OPTIONS[name], "-c", script, env=env).stdout.splitlines()
    assert lines == ["tykky", "hello 1.0 you", "gone", "same"]


class Terminal:
    """A shell on a terminal, at which keys are typed."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.process, self.number = pty.fork()
        if self.process == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, env)

    def type(self, keys: str) -> None:
        os.write(self.number, keys.encode())

    def expect(self, text: str) -> None:
        """Read what is shown until it has ``text`` in it; fail after half a minute."""
        shown = b""
        deadline = time.monotonic() + 30
        while text.encode() not in shown:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self.number], [], [], left)[0]:
                pytest.fail(f"{text!r} was not shown, but {shown.decode(errors='replace')!r}")
            shown += os.read(self.number, 4096)

    def close(self) -> None:
        os.close(self.number)  # the shell is hung up
        os.waitpid(self.process, 0)


@pytest.mark.parametrize("name", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tykky unin\t", "tykky uninstall"),
        ("tykky activ\t", "tykky activate"),
        ("tykky config get squash.co\t", "squash.compression"),
        ("tykky install --pl\t", "--plan"),
        ("tykky activate hello/0\t", "hello/0.9"),
        ("tykky info hel\t", "hello"),
        ("tykky activate stack-\t", "stack-of-mine"),
    ],
)
def test_tab_completes(
    installed: Site, tmp_path: Path, name: str, typed: str, completed: str
) -> None:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    share = share_of_a_wheel(tmp_path)
    (tmp_path / "stacks/stack-of-mine/bin").mkdir(parents=True)
    env = {**installed.user.env, "TYKKY_PATH": str(tmp_path / "stacks"), "TERM": "vt100"}
    init = "autoload -Uz compinit && compinit -u;" if name == "zsh" else ""
    terminal = Terminal([name, *OPTIONS[name], "-i"], env, tmp_path)
    terminal.type(f"PS1='> '; {init} . '{share}/setup-env.sh'; echo rea''dy\n")
    terminal.expect("ready")
    terminal.type(typed)
    terminal.expect(completed)
    terminal.close()

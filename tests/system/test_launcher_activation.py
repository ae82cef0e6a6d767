"""What activating a stack changes, when it is left out, and values known only at a start."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.stacks import Stack, make_stack
from tests.support import new_place, remove
from tykky.runtime.base import EnvAction, EnvChange, Runtime

_ACTIVATION = (
    EnvChange(EnvAction.INSERT, "PATH", "/stack/bin"),
    EnvChange(EnvAction.SET, "CONDA_PREFIX", "/stack"),
    EnvChange(EnvAction.DEFAULT, "LEVEL", "3"),
    EnvChange(EnvAction.DEFAULT, "DIRS", "${HOME}/share"),
    EnvChange(EnvAction.PREPEND, "DIRS", "/stack/share"),
    EnvChange(EnvAction.EXPAND, "CACHE", "${HOME}/.cache of ${USER}, $${USER} $"),
    EnvChange(EnvAction.EXPAND, "WHERE", "${TMPDIR}:${HOSTNAME}:${NOBODY_SETS_THIS}"),
    EnvChange(EnvAction.EXPAND, "OPEN", "${HOME"),
    EnvChange(EnvAction.UNSET, "UNWANTED"),
)
_BASE = {"PATH": "/usr/bin:/bin", "HOME": "/home/kim", "USER": "kim"}


@pytest.fixture(scope="module")
def stack(entered_with: Runtime) -> Iterator[Stack]:
    place = new_place()
    plain = (EnvChange(EnvAction.SET, "ALWAYS", "1"),)
    yield make_stack(
        place / "stack", environment=plain, activation=_ACTIVATION, runtime=entered_with
    )
    remove(place)


def environ(program: str | Path, **env: str) -> dict[str, str]:
    line = [str(program), "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    done = subprocess.run(line, env={**_BASE, **env}, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_command_is_activated(stack: Stack) -> None:
    seen = environ(stack.command("python"), UNWANTED="1")
    assert seen["CONDA_PREFIX"] == "/stack" and seen["ALWAYS"] == "1"
    assert seen["PATH"] == "/stack/bin:/usr/bin:/bin"
    assert seen["LEVEL"] == "3"
    assert "UNWANTED" not in seen


def test_what_the_user_has_set_is_kept_or_extended(stack: Stack) -> None:
    mine = {"LEVEL": "7", "DIRS": "/mine", "PATH": "/venv/bin:/stack/bin:/usr/bin"}
    seen = environ(stack.command("python"), **mine)
    assert seen["LEVEL"] == "7"
    assert seen["DIRS"] == "/stack/share:/mine"
    assert seen["PATH"] == mine["PATH"]
    assert environ(stack.command("python"))["DIRS"] == "/stack/share:/home/kim/share"


def test_only_a_whole_item_of_a_list_counts_as_being_there(stack: Stack) -> None:
    seen = environ(stack.command("python"), PATH="/stack/bin2:/x/stack/bin:/usr/bin")
    assert seen["PATH"] == "/stack/bin:/stack/bin2:/x/stack/bin:/usr/bin"


def test_values_of_user_and_host_are_those_of_the_start(stack: Stack) -> None:
    seen = environ(stack.command("python"))
    assert seen["CACHE"] == "/home/kim/.cache of kim, ${USER} $"
    assert seen["WHERE"] == f"/tmp:{socket.gethostname()}:"
    assert seen["OPEN"] == "${HOME"
    other = {"HOME": "/root", "TMPDIR": "/scratch", "HOSTNAME": "n1"}
    assert environ(stack.command("python"), **other)["WHERE"] == "/scratch:n1:"


def test_user_may_do_without_activation(stack: Stack) -> None:
    seen = environ(stack.command("python"), CW_NO_CONDA_ACTIVATE="1")
    assert "CONDA_PREFIX" not in seen and seen["ALWAYS"] == "1"
    assert seen["PATH"] == _BASE["PATH"]
    assert "CONDA_PREFIX" in environ(stack.command("python"), CW_NO_CONDA_ACTIVATE="")


def test_a_virtual_environment_on_top_is_not_activated_unless_forced(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    python = tmp_path / "bin/python"
    python.symlink_to(stack.command("python"))
    seen = environ(python)
    assert "CONDA_PREFIX" not in seen and seen["ALWAYS"] == "1"
    assert seen["PATH"] == _BASE["PATH"]
    forced = environ(python, CW_FORCE_CONDA_ACTIVATE="1")
    assert forced["CONDA_PREFIX"] == "/stack"
    assert forced["PATH"] == f"{tmp_path}/bin:/stack/bin:/usr/bin:/bin"
    assert forced["VIRTUAL_ENV"] == str(tmp_path)
    none = environ(python, CW_FORCE_CONDA_ACTIVATE="1", CW_NO_CONDA_ACTIVATE="1")
    assert "CONDA_PREFIX" not in none


def test_a_virtual_environment_is_known_by_a_relative_path_too(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "bin/python").symlink_to(stack.command("python"))
    code = "import os; print('CONDA_PREFIX' in os.environ)"
    for cwd, path in ((tmp_path, "bin/python"), (tmp_path / "bin", "./python")):
        done = subprocess.run(
            [path, "-c", code], cwd=cwd, env=_BASE, capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"


@pytest.mark.parametrize("line", ["activate", "activate set", "activate jump A 1", "insert A"])
def test_an_operation_that_is_none_is_refused(line: str) -> None:
    place = new_place()
    stack = make_stack(place / "stack")
    stack.conf.write_text(stack.conf.read_text() + line + "\n")
    done = stack.run("true")
    remove(place)
    assert done.returncode == 125
    assert f"{stack.conf.name}:" in done.stderr

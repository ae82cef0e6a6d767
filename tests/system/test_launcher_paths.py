"""Ways to a command that the launcher must see through; test_behaviour.py has the usual ones."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.runtimes import native_only
from tests.launcher.stacks import Stack, make_stack
from tests.support import new_place, remove
from tests.system.strangers import OtherUser
from tykky.runtime.base import Root, Runtime

REPORT = "import json, sys; print(json.dumps([sys.executable, sys.prefix, sys.argv]))"


@pytest.fixture(scope="module")
def stack(entered_with: Runtime) -> Iterator[Stack]:
    place = new_place()
    yield make_stack(place / "stack", runtime=entered_with)
    remove(place)


def report(*command: str | Path, **options: Any) -> list[Any]:
    done = subprocess.run([*command, "-c", REPORT], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    seen: list[Any] = json.loads(done.stdout)
    return seen


def test_a_relative_path_works_from_every_directory_of_the_prefix(stack: Stack) -> None:
    above = stack.prefix.parent
    for directory, path in (
        (above, "stack/bin/show"),
        (stack.prefix, "bin/show"),
        (stack.prefix / "bin", "./show"),
        (stack.prefix / ".tykky", "../bin/show"),
    ):
        done = subprocess.run([path], cwd=directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["prefix"] == str(stack.prefix)


def test_a_working_directory_below_the_prefix_becomes_that_of_the_image(stack: Stack) -> None:
    done = stack.run("sh", "-c", "ls pyvenv.cfg", cwd=stack.prefix)
    assert done.stdout == "pyvenv.cfg\n"


@native_only(
    "a working directory that was deleted",
    native="stays the working directory",
    apptainer="the home or `/` instead",
)
def test_a_deleted_working_directory_is_kept_too(stack: Stack) -> None:
    gone = stack.prefix.parent / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && {stack.command('sh')} -c 'ls -A . | wc -l'"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "0"


@native_only(
    "a working directory that the user may not enter (`sudo -u` in root's home)",
    native="stays the working directory; with a root of its own, `/` instead, which is said",
    apptainer="the home or `/` instead",
)
def test_a_working_directory_that_one_may_not_enter_is_kept_too(
    stack: Stack, other_user: OtherUser
) -> None:
    private = stack.prefix.parent / "private"
    private.mkdir(mode=0o700)
    (private / "file").touch()
    script = "import os; print(os.getcwd()); open('file')"
    for python in ("/usr/bin/python3", stack.command("python")):
        done = other_user.run(python, "-c", script, cwd=private, status=1)
        assert done.stdout == f"{private}\n"
        assert "PermissionError" in done.stderr
    rooted = stack.change(root=Root(Path("/")))
    done = other_user.run(rooted.command("python"), "-c", script, cwd=private, status=1)
    stack.change()
    assert done.stdout == "/\n"
    assert f"you may not enter the working directory {private}" in done.stderr


def test_a_symbolic_link_to_a_command_is_executed_as_such(stack: Stack) -> None:
    link = stack.prefix.parent / "linked-show"
    link.symlink_to(stack.command("show"))
    done = subprocess.run([link, "a"], capture_output=True, text=True)
    assert json.loads(done.stdout)["argv"] == [str(link), "a"]


@pytest.mark.parametrize("how", ["link", "copy"])
def test_commands_may_be_links_or_copies_where_hard_links_cannot_be_made(
    place: Path, how: str
) -> None:
    other = make_stack(place / "other")
    for command in (other.prefix / "bin").iterdir():
        command.unlink()
        if how == "link":
            command.symlink_to("../.tykky/launch")
        else:
            shutil.copy(other.prefix / ".tykky/launch", command)
    assert report(other.command("python"))[:2] == [other.command("python"), str(other.prefix)]
    done = subprocess.run(["./show"], cwd=other.prefix / "bin", capture_output=True, text=True)
    assert json.loads(done.stdout)["prefix"] == str(other.prefix), done.stderr
    assert other.is_gone()


@native_only(
    "a prefix that can be seen at two places",
    native="works by both paths",
    apptainer="works at the path where it was installed",
)
def test_a_prefix_that_is_mounted_twice_can_be_called_by_both_paths(stack: Stack) -> None:
    bwrap = ["bwrap", "--dev-bind", "/", "/", "--bind", str(stack.prefix), "/mnt", "--"]
    done = subprocess.run([*bwrap, "/mnt/bin/show"], capture_output=True, text=True)
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr


def test_it_runs_in_a_sandbox_and_runs_a_sandbox(stack: Stack) -> None:
    bwrap = ["bwrap", "--dev-bind", "/", "/", "--"]
    done = subprocess.run([*bwrap, stack.command("show")], capture_output=True, text=True)
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr
    done = stack.run("sh", "-c", " ".join([*bwrap, stack.command("show")]))
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr

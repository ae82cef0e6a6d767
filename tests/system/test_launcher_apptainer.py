"""The same stack, entered with Apptainer: what goes in and what comes out is the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.stacks import Stack, make_stack
from tests.support import new_place, remove
from tykky.runtime.base import Command, EnvAction, EnvChange, Runtime

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("apptainer"), reason="this machine has no apptainer"),
]


def host_container(container: Path) -> Path:
    """A root directory that has only the names of the host's: all of it is bound."""
    container.mkdir()
    for entry in Path("/").iterdir():
        if entry.is_symlink():
            (container / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir():
            (container / entry.name).mkdir()
    return container


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    place = new_place()
    changes = (
        EnvChange(EnvAction.SET, "WITH_DOLLAR", "$HOME `id` 'x'"),
        EnvChange(EnvAction.PREPEND, "PATH", "/first"),
        EnvChange(EnvAction.UNSET, "UNWANTED"),
    )
    stack = make_stack(
        place / "stack",
        environment=changes,
        runtime=Runtime.APPTAINER,
        container=host_container(place / "container"),
        host_roots=True,
        # Root in a container without all capabilities cannot use Apptainer otherwise.
        options=("--userns",) if os.getuid() == 0 else (),
    )
    yield stack
    remove(place)


def show(stack: Stack, *arguments: str, **options: Any) -> dict[str, Any]:
    done = stack.run("show", *arguments, **options)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_the_paths_are_the_same(stack: Stack) -> None:
    shown = show(stack)
    assert shown["executable"] == stack.command("python")
    assert shown["prefix"] == str(stack.prefix)


def test_strange_and_many_arguments_arrive(stack: Stack) -> None:
    strange = ["", " ", "a b", "line\nbreak", "'", '"', "$HOME", "`id`", "*", "\\", "ä", "-", "--"]
    assert show(stack, *strange)["argv"][1:] == strange
    numbers = [str(number) for number in range(30_000)]
    assert show(stack, *numbers)["argv"][1:] == numbers


def test_exit_status_and_signals_come_through(stack: Stack) -> None:
    assert stack.run("python", "-c", "raise SystemExit(37)").returncode == 37
    script = f"{stack.command('python')} -c 'import os; os.kill(os.getpid(), 11)'; exit $?"
    assert subprocess.run(["sh", "-c", script], capture_output=True).returncode == 139
    program = subprocess.Popen(
        [stack.command("python"), "-c", "import time; print(1, flush=True); time.sleep(99)"],
        stdout=subprocess.PIPE,
    )
    assert program.stdout
    program.stdout.readline()
    program.terminate()
    assert program.wait() in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_stdin_and_the_working_directory_are_kept(stack: Stack) -> None:
    assert stack.run("cat", input="hello").stdout == "hello"
    directory = stack.prefix.parent / "with space"
    directory.mkdir()
    assert show(stack, cwd=directory)["cwd"] == str(directory)


def test_the_environment_is_that_of_the_caller_as_changed(stack: Stack) -> None:
    given = {**os.environ, "UNWANTED": "1", "PATH": "/mine:/usr/bin:/bin", "LD_LIBRARY_PATH": "/l"}
    seen = show(stack, env=given)["environ"]
    assert seen["WITH_DOLLAR"] == "$HOME `id` 'x'"
    assert seen["PATH"] == "/first:/mine:/usr/bin:/bin"
    assert seen["LD_LIBRARY_PATH"].split(":")[0] == "/l"
    assert "UNWANTED" not in seen


def test_the_binds_of_the_user_stay_in_force(stack: Stack, place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "file").write_text("mine")
    (place / "there").mkdir()
    env = {**os.environ, "APPTAINER_BIND": f"{place}/data:{place}/there"}
    assert stack.run("cat", f"{place}/there/file", env=env).stdout == "mine"


def test_what_an_outer_container_left_is_forgotten(stack: Stack) -> None:
    stale = {"APPTAINER_CONTAINER": "/old.sif", "APPTAINER_BIND": "/nowhere", "APPTAINER_NAME": "x"}
    seen = show(stack, env={**os.environ, **stale})["environ"]
    assert seen.get("APPTAINER_NAME") != "x"


def test_a_command_calls_another_and_a_shell_calls_back(stack: Stack) -> None:
    done = stack.run("sh", "-c", f"/bin/sh -c '{stack.command('show')} deep'")
    assert json.loads(done.stdout)["argv"][1:] == ["deep"]


def test_a_virtual_environment_on_top_works(stack: Stack) -> None:
    home = stack.prefix.parent / "venv"
    stack.run("python", "-m", "venv", "--without-pip", str(home), check=True)
    (home / "bin/python").unlink()
    (home / "bin/python").symlink_to(stack.command("python"))
    code = "import sys; print(sys.executable, sys.prefix)"
    done = subprocess.run([home / "bin/python", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [str(home / "bin/python"), str(home)], done.stderr


def test_the_user_can_choose_the_other_runtime(stack: Stack) -> None:
    def inside(runtime: str) -> bool:
        env = {**os.environ, "TYKKY_RUNTIME": runtime}
        done = stack.run("sh", "-c", "echo $APPTAINER_CONTAINER", env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip() == str(stack.plan.container)

    assert inside("apptainer")
    assert not inside("native")
    assert not inside("auto")
    done = stack.run("true", env={**os.environ, "TYKKY_RUNTIME": "docker"})
    assert done.returncode == 125
    assert "docker" in done.stderr


def test_auto_takes_apptainer_where_the_native_way_is_closed(stack: Stack, place: Path) -> None:
    """Here without an image server: Apptainer brings its own."""
    broken = place / "squashfuse_ll"
    changed = stack.change(servers=(broken,), runtime=Runtime.AUTO)
    try:
        done = changed.run("sh", "-c", "echo $APPTAINER_CONTAINER")
        assert done.stdout.strip() == str(stack.plan.container), done.stderr
    finally:
        stack.change()


def test_a_command_that_stays_a_launcher_inside_is_entered_only_once(stack: Stack) -> None:
    """Its prefix is not covered, so the command is seen inside as it is outside."""
    at = stack.prefix.parent / "image"
    at.mkdir()
    changed = stack.change(mount_at=at, commands=(Command("sh", at / "bin" / "sh"),))
    try:
        inner = f"{stack.command('sh')} -c 'readlink /proc/self/ns/mnt'"
        done = changed.run("sh", "-c", f"readlink /proc/self/ns/mnt; {inner}")
        first, second = done.stdout.split()
        assert first == second, done.stderr
    finally:
        stack.change()


def test_installs_that_are_needed_are_there_too(stack: Stack, place: Path) -> None:
    bottom = make_stack(place / "bottom")
    try:
        both = stack.change(needs=(bottom.prefix,))
        done = both.run("sh", "-c", f"{bottom.command('show')}")
        assert json.loads(done.stdout)["prefix"] == str(bottom.prefix), done.stderr
    finally:
        stack.change()


def test_a_native_stack_runs_inside_and_the_other_way_round(stack: Stack, place: Path) -> None:
    native = make_stack(place / "native")
    done = stack.run("sh", "-c", native.command("show"))
    assert json.loads(done.stdout)["prefix"] == str(native.prefix), done.stderr
    done = native.run("sh", "-c", stack.command("show"))
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr
    assert native.is_gone()


@pytest.mark.parametrize(
    "fields", [{"container": Path("/nowhere")}, {"apptainers": (Path("/no"),)}]
)
def test_what_is_missing_is_named(stack: Stack, fields: dict[str, Any]) -> None:
    try:
        done = stack.change(**fields).run("true")
        assert done.returncode == 125
        assert done.stderr.count("\n") == 2
    finally:
        stack.change()

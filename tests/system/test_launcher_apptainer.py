"""What there is with Apptainer only: its variables, and the choice between it and the other way.

What must be the same with both runtimes is tested where it is for the native one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.stacks import Stack, make_stack
from tests.support import new_place, remove
from tykky.runtime.base import EnvAction, EnvChange, Runtime

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("apptainer"), reason="this machine has no apptainer"),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    place = new_place()
    changes = (
        EnvChange(EnvAction.SET, "WITH_DOLLAR", "$HOME `id` 'x'"),
        EnvChange(EnvAction.PREPEND, "PATH", "/first"),
        EnvChange(EnvAction.UNSET, "UNWANTED"),
    )
    stack = make_stack(place / "stack", environment=changes, runtime=Runtime.APPTAINER)
    yield stack
    remove(place)


def show(stack: Stack, *arguments: str, **options: Any) -> dict[str, Any]:
    done = stack.run("show", *arguments, **options)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


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


def test_a_native_stack_runs_inside_and_the_other_way_round(stack: Stack, place: Path) -> None:
    native = make_stack(place / "native")
    done = stack.run("sh", "-c", native.command("show"))
    assert json.loads(done.stdout)["prefix"] == str(native.prefix), done.stderr
    done = native.run("sh", "-c", stack.command("show"))
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr
    assert native.is_gone()


def test_a_program_named_singularity_is_given_the_variables_in_its_spelling(
    stack: Stack, place: Path
) -> None:
    """A wrapper of that name: what it runs in the end is Apptainer all the same."""
    named = place / "singularity"
    named.write_text(f'#!/bin/sh\nenv > {place}/seen\nexec apptainer "$@"\n')
    named.chmod(0o755)
    try:
        done = stack.change(apptainers=(named,)).run("show")
        assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr
    finally:
        stack.change()
    seen = (place / "seen").read_text().splitlines()
    assert "SINGULARITYENV_WITH_DOLLAR=$HOME `id` 'x'" in seen
    assert "SINGULARITY_NO_EVAL=1" in seen
    assert any(line.startswith("SINGULARITYENV_PATH=/first:") for line in seen)


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

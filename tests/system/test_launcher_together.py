"""Commands of a stack beside each other, and stacks that need others, with each runtime."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.stacks import Stack, make_stack, running, squash, start_many, tell
from tykky.runtime.base import Runtime


@pytest.fixture
def stack(place: Path, registry: Path, entered_with: Runtime) -> Iterator[Stack]:
    """For what must hold however a stack is entered."""
    stack = make_stack(place / "stack", runtime=entered_with)
    yield stack
    assert stack.is_gone()
    assert list(registry.iterdir()) == []


def test_many_commands_at_once_do_not_disturb_each_other(stack: Stack) -> None:
    shown = start_many([stack], 16)
    assert [one["prefix"] for one in shown] == [str(stack.prefix)] * 16


def test_the_mount_is_not_visible_outside(stack: Stack) -> None:
    with running(stack):
        assert str(stack.prefix) not in Path("/proc/self/mountinfo").read_text()
        assert (stack.prefix / ".tykky").is_dir()


def test_a_program_that_holds_no_file_open_keeps_its_image(
    stack: Stack, place: Path, entered_with: Runtime
) -> None:
    with running(stack, cwd=place) as program:
        time.sleep(3 * stack.plan.idle)
        assert tell(program, "import colorsys; print(colorsys.__name__)") == "colorsys"
        keepers = 1 if entered_with is Runtime.NATIVE else 0
        assert len(stack.processes("tykky-keeper")) == keepers


def test_a_program_keeps_the_image_it_started_with(stack: Stack, place: Path) -> None:
    tree = place / "tree"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", tree, stack.image], check=True)
    for version in ("old", "new"):
        (tree / "lib" / "which.py").write_text(f"name = '{version}'")
    old, new = (stack.image.with_name(f"img-{version}.sqfs") for version in ("old", "new"))
    path = f"sys.path.insert(0, '{stack.prefix}/lib')"
    (tree / "lib" / "which.py").write_text("name = 'old'")
    before = stack.change(image=old.name, image_size=squash(tree, old))
    with running(before, path) as program:
        (tree / "lib" / "which.py").write_text("name = 'new'")
        after = before.change(image=new.name, image_size=squash(tree, new))
        old.unlink()
        assert tell(program, "import which; print(which.name)") == "old"
        with running(after, path) as later:
            assert tell(later, "import which; print(which.name)") == "new"


def test_installs_that_are_needed_are_mounted_too(
    place: Path, registry: Path, entered_with: Runtime
) -> None:
    bottom = make_stack(place / "bottom")
    middle = make_stack(place / "middle", needs=(bottom.need,))
    needs = (middle.need, bottom.need)
    top = make_stack(place / "top", needs=needs, runtime=entered_with)
    code = (
        "import os, subprocess, sys\n"
        "for command in sys.argv[1:]:\n"
        "    subprocess.run([command, '-c', 'import os, sys;'\n"
        "        'print(sys.prefix, os.readlink(\"/proc/self/ns/mnt\"), flush=True)'])\n"
    )
    pythons = [one.command("python") for one in (top, middle, bottom)]
    done = top.run("python", "-c", code, *pythons)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(one.prefix) for one in (top, middle, bottom)]
    assert len({line[1] for line in lines}) == 1
    assert all(one.is_gone() for one in (top, middle, bottom))


def test_a_needed_install_that_is_gone_is_named(
    place: Path, registry: Path, entered_with: Runtime
) -> None:
    bottom = make_stack(place / "bottom")
    top = make_stack(place / "top", needs=(bottom.need,), runtime=entered_with)
    shutil.rmtree(bottom.prefix)
    done = top.run("show")
    assert done.returncode == 125
    assert str(bottom.prefix) in done.stderr
    assert top.plan.name in done.stderr

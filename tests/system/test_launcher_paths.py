"""A command's path means the same inside and out, by whatever way it is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.runtimes import native_only
from tests.launcher.stacks import Stack, make_stack
from tests.support import new_place, remove
from tykky.runtime.base import Runtime

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


def test_python_names_the_path_of_the_command(stack: Stack) -> None:
    python = stack.command("python")
    assert report(python)[:2] == [python, str(stack.prefix)]


def test_which_gives_the_same_inside_and_out(stack: Stack) -> None:
    env = {**os.environ, "PATH": f"{stack.prefix}/bin:/usr/bin:/bin"}
    inside = stack.run("sh", "-c", "command -v show", env=env).stdout
    outside = subprocess.run(
        ["/bin/sh", "-c", "command -v show"], env=env, capture_output=True, text=True
    )
    assert inside == outside.stdout == stack.command("show") + "\n"


def test_a_child_started_by_sys_executable_is_the_program_itself(stack: Stack) -> None:
    code = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', '1']).returncode)"
    assert stack.run("python", "-c", code).stdout == "0\n"


def test_multiprocessing_spawn_works(stack: Stack) -> None:
    code = (
        "import multiprocessing as m\n"
        "if __name__ == '__main__':\n"
        "    m.set_start_method('spawn'); print(m.Pool(2).map(abs, [-1, -2]))\n"
    )
    script = stack.prefix.parent / "spawn.py"
    script.write_text(code)
    assert stack.run("python", str(script)).stdout == "[1, 2]\n"


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


def test_the_working_directory_is_kept(stack: Stack) -> None:
    directory = stack.prefix.parent / "with space"
    directory.mkdir()
    done = stack.run("show", cwd=directory)
    assert json.loads(done.stdout)["cwd"] == str(directory)


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


def test_a_symbolic_link_to_a_command_is_executed_as_such(stack: Stack) -> None:
    link = stack.prefix.parent / "linked-show"
    link.symlink_to(stack.command("show"))
    done = subprocess.run([link, "a"], capture_output=True, text=True)
    assert json.loads(done.stdout)["argv"] == [str(link), "a"]


def test_a_symbolic_link_to_the_prefix_works(stack: Stack) -> None:
    link = stack.prefix.parent / "link"
    link.symlink_to(stack.prefix)
    python = link / "bin" / "python"
    assert report(python)[0] == str(python)


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


def test_a_virtual_environment_on_top_works(stack: Stack) -> None:
    home = stack.prefix.parent / "venv"
    stack.run("python", "-m", "venv", "--without-pip", str(home), check=True)
    (home / "bin/python").unlink()
    (home / "bin/python").symlink_to(stack.command("python"))
    python = home / "bin" / "python"
    assert report(python)[:2] == [str(python), str(home)]
    assert report("bin/python", cwd=home)[1] == str(home)


def test_a_virtual_environment_made_in_a_virtual_environment_works(stack: Stack) -> None:
    outer, inner = stack.prefix.parent / "outer", stack.prefix.parent / "inner"
    for home, python in ((outer, stack.command("python")), (inner, str(outer / "bin/python"))):
        subprocess.run([python, "-m", "venv", "--without-pip", home], check=True)
        (home / "bin/python").unlink()
        (home / "bin/python").symlink_to(python)
    assert report(inner / "bin/python")[:2] == [str(inner / "bin/python"), str(inner)]


def test_a_script_of_the_host_may_name_a_command_in_its_first_line(stack: Stack) -> None:
    script = stack.prefix.parent / "script"
    script.write_text(f"#!{stack.command('python')} -B\n{REPORT}\n")
    script.chmod(0o755)
    done = subprocess.run([script, "x"], capture_output=True, text=True)
    executable, prefix, argv = json.loads(done.stdout)
    assert (executable, prefix) == (stack.command("python"), str(stack.prefix))
    assert argv == [str(script), "x"]


def test_a_script_may_name_the_python_of_a_virtual_environment_on_top(stack: Stack) -> None:
    home = stack.prefix.parent / "venv-of-script"
    stack.run("python", "-m", "venv", "--without-pip", str(home), check=True)
    (home / "bin/python").unlink()
    (home / "bin/python").symlink_to(stack.command("python"))
    script = home / "bin" / "tool"
    script.write_text(f"#!{home}/bin/python\n{REPORT}\n")
    script.chmod(0o755)
    done = subprocess.run([script], capture_output=True, text=True)
    assert json.loads(done.stdout)[1] == str(home)


def test_a_command_of_the_stack_calls_another_directly(stack: Stack) -> None:
    code = "import os, subprocess; print(os.getpid(), os.readlink('/proc/self/ns/mnt'))"
    inner = f"import subprocess; subprocess.run(['{stack.command('python')}', '-c', '''{code}'''])"
    done = stack.run("python", "-c", f"{code}\n{inner}")
    outer_line, inner_line = sorted(done.stdout.splitlines(), key=lambda line: int(line.split()[0]))
    assert outer_line.split()[1] == inner_line.split()[1]


def test_a_host_program_started_inside_can_call_back(stack: Stack) -> None:
    done = stack.run("sh", "-c", f"/bin/sh -c '{stack.command('show')} deep'")
    assert json.loads(done.stdout)["argv"][1:] == ["deep"]


def test_one_stack_calls_the_other_and_back(stack: Stack) -> None:
    place = new_place()
    other = make_stack(place / "other")
    script = f"{other.command('sh')} -c '{stack.command('show')} back'"
    done = stack.run("sh", "-c", script)
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix)
    assert other.is_gone()
    remove(place)


def test_it_runs_in_a_sandbox_and_runs_a_sandbox(stack: Stack) -> None:
    bwrap = ["bwrap", "--dev-bind", "/", "/", "--"]
    done = subprocess.run([*bwrap, stack.command("show")], capture_output=True, text=True)
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr
    done = stack.run("sh", "-c", " ".join([*bwrap, stack.command("show")]))
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr

"""What the launcher makes of a command; how all stacks behave is in test_behaviour.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.runtimes import argv0, differs, native_only
from tests.launcher.stacks import Stack, make_stack, wait_for
from tests.support import new_place, remove
from tykky.runtime.base import EnvAction, EnvChange, Runtime

_process = differs(
    "the process that was started",
    native="becomes the program itself",
    apptainer="is Apptainer's, whose child is the program; signals and exit status are passed on",
)


@pytest.fixture(scope="module")
def stack(entered_with: Runtime) -> Iterator[Stack]:
    place = new_place()
    yield make_stack(place / "stack", runtime=entered_with)
    remove(place)


def show(stack: Stack, *arguments: str, **options: Any) -> dict[str, Any]:
    done = stack.run("show", *arguments, **options)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


@_process
def test_the_pid_is_that_of_the_command(stack: Stack, entered_with: Runtime) -> None:
    program = subprocess.Popen([stack.command("show")], stdout=subprocess.PIPE, text=True)
    output, _ = program.communicate()
    assert (json.loads(output)["pid"] == program.pid) is (entered_with is Runtime.NATIVE)


@differs(
    "standard input, output or error that the caller has closed",
    native="stays closed",
    apptainer="is `/dev/null`",
)
@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_closed_standard_descriptors_stay_closed(
    stack: Stack, closed: list[int], entered_with: Runtime
) -> None:
    inner = "n=0; for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] || n=$((n + (1 << fd))); done; exit $n"
    closing = " ".join(f"{fd}>&-" for fd in closed)
    done = subprocess.run(["sh", "-c", f"{stack.command('sh')} -c '{inner}' {closing}"])
    native = entered_with is Runtime.NATIVE
    assert done.returncode == (sum(1 << fd for fd in closed) if native else 0)


def test_by_its_own_name_the_launcher_runs_any_program_inside(stack: Stack) -> None:
    launch, inner = "../.tykky/launch", 'test -e "$1/bin/show" && ! test -e "$1/.tykky" && exit 7'
    for program in ("sh", "/bin/sh"):
        done = stack.run(launch, program, "-c", inner, "x y", str(stack.prefix), cwd=stack.prefix)
        assert (done.returncode, done.stderr) == (7, "")
    assert "which program is to be run" in stack.run(launch).stderr
    assert stack.run(launch, "no-such-program").returncode in (127, 255)


@argv0
def test_argv0_is_what_the_caller_gave(stack: Stack, entered_with: Runtime) -> None:
    done = subprocess.run(
        ["other-name", "-c", "echo $0"],
        executable=stack.command("sh"),
        capture_output=True,
        text=True,
    )
    native = entered_with is Runtime.NATIVE
    assert done.stdout.strip() == ("other-name" if native else stack.command("sh"))


def test_the_environment_is_as_launch_conf_asks(stack: Stack) -> None:
    place = new_place()
    changes = (
        EnvChange(EnvAction.SET, "SET_IT", "two words = ''"),
        EnvChange(EnvAction.SET, "EMPTY", ""),
        EnvChange(EnvAction.UNSET, "UNSET_IT"),
        EnvChange(EnvAction.PREPEND, "FRONT", "/new"),
        EnvChange(EnvAction.PREPEND, "ONLY", "/new"),
        EnvChange(EnvAction.APPEND, "BACK", "/new"),
        EnvChange(EnvAction.APPEND, "ALREADY", "/new"),
    )
    stack = make_stack(place / "stack", environment=changes)
    given = {"UNSET_IT": "1", "FRONT": "/old", "ONLY": "", "BACK": "/old", "ALREADY": "/x:/new"}
    seen = show(stack, env={**os.environ, **given, "BASH_FUNC_f%%": "() { :\n}"})["environ"]
    remove(place)
    assert "UNSET_IT" not in seen
    assert seen["SET_IT"] == "two words = ''"
    assert (seen["EMPTY"], seen["ONLY"]) == ("", "/new")
    assert (seen["FRONT"], seen["BACK"], seen["ALREADY"]) == ("/new:/old", "/old:/new", "/x:/new")
    assert seen["BASH_FUNC_f%%"] == "() { :\n}"


@differs(
    "variables that the program gets in addition",
    native="none",
    apptainer="`APPTAINER_*`, `SINGULARITY_*`, `TYKKY_INSIDE`, `USER_PATH`, `PS1`, "
    "`PROMPT_COMMAND`, `OMPI_MCA_btl_vader_single_copy_mechanism`; and `LD_LIBRARY_PATH`, `PWD` "
    "and `HOME` where there were none",
)
def test_the_launcher_leaves_no_variable_behind(stack: Stack, entered_with: Runtime) -> None:
    given = {"PATH": "/usr/bin", "ONE": "1"}
    more = set(show(stack, env=given)["environ"]) - {"LC_CTYPE", *given}
    others = (
        *("APPTAINER_", "SINGULARITY_", "TYKKY_INSIDE", "USER_PATH", "PS1", "PROMPT_COMMAND"),
        *("LD_LIBRARY_PATH", "PWD", "HOME", "OMPI_MCA_btl_vader_single_copy_mechanism"),
    )
    assert [name for name in more if not name.startswith(others)] == []
    assert bool(more) is (entered_with is Runtime.APPTAINER)


def test_the_home_is_that_of_the_variable(stack: Stack) -> None:
    home = stack.prefix.parent / "other home"
    home.mkdir(exist_ok=True)
    (home / "file").touch()
    code = "import os; print(os.environ['HOME'], os.path.exists(os.path.expanduser('~/file')))"
    done = stack.run("python", "-c", code, env={**os.environ, "HOME": str(home)})
    assert done.stdout == f"{home} True\n", done.stderr


def test_command_substitution_with_a_leaked_descriptor_does_not_hang(stack: Stack) -> None:
    assert stack.is_gone()
    script = f"out=$(exec 5>&1; {stack.command('true')}); echo done"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout == "done\n"


def test_the_program_has_no_child_it_did_not_make(stack: Stack) -> None:
    assert stack.is_gone()
    code = (
        "import os\ntry: print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError: print('no')"
    )
    assert stack.run("python", "-c", code).stdout == "no\n"


@native_only(
    "a process that adopts orphans (`PR_SET_CHILD_SUBREAPER`)",
    native="still does so as the program",
    apptainer="does not: the program is a child",
)
def test_a_subreaper_does_not_adopt_the_server(stack: Stack) -> None:
    assert stack.is_gone()
    code = (
        "import ctypes, os, sys\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    inner = (
        "import ctypes, os\n"
        "flag = ctypes.c_int(); ctypes.CDLL(None).prctl(37, ctypes.byref(flag), 0, 0, 0)\n"
        "try: print(os.waitpid(-1, os.WNOHANG))\n"
        "except ChildProcessError: print('no children, subreaper', flag.value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stack.command("python"), "-c", inner],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "no children, subreaper 1\n", done.stderr


def test_nothing_is_left_after_the_last_command(stack: Stack) -> None:
    show(stack)
    assert stack.is_gone()


@native_only(
    "a command that is killed with SIGKILL",
    native="leaves nothing",
    apptainer="leaves Apptainer's image server running",
)
def test_nothing_is_left_after_kill_9_of_a_background_command(stack: Stack) -> None:
    script = f"trap '' INT HUP; nohup {stack.command('sleep')} 999 >/dev/null 2>&1 & echo $!"
    started = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    os.kill(int(started.stdout), signal.SIGKILL)
    assert stack.is_gone()


def test_a_script_without_shebang_runs_as_in_a_shell(stack: Stack) -> None:
    assert stack.run("plain", "a", "b c").stdout == "no shebang: a b c\n"


@native_only(
    "what serves the image",
    native="a process that takes neither variables, nor directory, nor CPU binding of the command",
    apptainer="a process of Apptainer's",
)
def test_the_server_takes_neither_cpu_binding_nor_directory_nor_variables(stack: Stack) -> None:
    assert stack.is_gone()
    env = {**os.environ, "LD_PRELOAD": "", "SECRET": "1"}
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("this machine has a single CPU, so nothing can be bound to another")
    program = subprocess.Popen(
        ["taskset", "-c", "0", stack.command("sleep"), "30"], env=env, cwd=stack.prefix.parent
    )
    try:
        assert wait_for(lambda: bool(stack.processes("squashfuse_ll")))
        server = Path("/proc", str(stack.processes("squashfuse_ll")[0]))
        assert (server / "cwd").readlink() == Path("/")
        assert b"SECRET" not in (server / "environ").read_bytes()
        assert os.sched_getaffinity(int(server.name)) == os.sched_getaffinity(0)
        assert {(server / "fd" / fd).readlink() for fd in "012"} == {Path("/dev/null")}
    finally:
        program.kill()
        program.wait()

"""A command of a stack behaves as the program itself would, however the stack came about."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.classic import Classic
from tests.launcher.stacks import make_stack
from tests.stacks import Site, recipe, settle
from tests.support import User, log_in, new_place, remove
from tykky.runtime.base import Runtime

#: A stack of a recipe; installations by two of the classic commands; what the tests lay out by
#: hand for the launcher; and the Python of a container.
PACKAGED = ["recipe", "pip-containerize", "conda-containerize"]
HOST = [*PACKAGED, "launcher-native", "launcher-apptainer"]
WAYS = [*HOST, "container-native", "container-apptainer"]

with_packages = pytest.mark.parametrize("stack", PACKAGED, indirect=True)
on_the_host = pytest.mark.parametrize("stack", HOST, indirect=True)

#: What programs find in their environment in addition.
APPTAINER = (
    *("APPTAINER_", "SINGULARITY_", "TYKKY_INSIDE", "USER_PATH", "PS1", "PROMPT_COMMAND"),
    *("LD_LIBRARY_PATH", "PWD", "OMPI_MCA_btl_vader_single_copy_mechanism"),
)
PATH = frozenset({"PATH"})
CLASSIC = ("TYKKY_PINS", "_CW_", "install_root", "env_root")
CONDA = ("CONDA_", "DATA_")


@dataclass(frozen=True)
class Stack:
    """What the tests need to know of a stack that has a Python."""

    prefix: Path
    user: User
    command: str = "python"
    native: bool = True
    adds: tuple[str, ...] = ()
    changes: frozenset[str] = frozenset()

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / self.command

    def run(self, code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python code in the stack; options are those of ``User.run``."""
        return self.user.run(self.python, "-c", code, *arguments, **options)

    def says(self, code: str, *arguments: str, **options: Any) -> Any:
        """What an expression is in the stack."""
        code = f"import json, os, sys; print(json.dumps(({code})))"
        return json.loads(self.run(code, *arguments, **options).stdout)

    def bash(self, script: str, **options: Any) -> str:
        """What a bash script prints that has the stack's commands, and ``$python`` among them."""
        start = f"PATH={self.prefix}/bin:$PATH; python={self.python}\n"
        return self.user.bash(start + script, **options).stdout

    def start(self, code: str, **options: Any) -> subprocess.Popen[str]:
        """Start Python code whose first line of output says that it is ready."""
        command = [self.python, "-c", code]
        options = {"env": self.user.env, "stdout": subprocess.PIPE, "text": True, **options}
        process = subprocess.Popen(command, **options)
        assert process.stdout and process.stdout.readline() == "ready\n"
        return process

    def venv(self, folder: Path, *options: str) -> Path:
        """The Python of a virtual environment on top of the stack."""
        return make_venv(self.user, self.python, folder, *options)


def make_venv(user: User, python: Path, folder: Path, *options: str) -> Path:
    user.run(python, "-m", "venv", "--without-pip", *options, folder)
    return folder / "bin/python"


@pytest.fixture(scope="module", params=WAYS)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A stack that came about in each of the ways, which no test may change."""
    way, _, how = str(request.param).partition("-")
    native = how != "apptainer"
    if not native and not shutil.which("apptainer"):
        pytest.skip("apptainer is not installed: tools/provision apptainer")
    if way == "recipe":
        site: Site = request.getfixturevalue("installed")
        yield Stack(site.prefix("tiny"), site.user)
    elif how == "containerize":
        somebody: Classic = request.getfixturevalue("settled")
        more: dict[str, Any] = {"adds": CLASSIC}
        if way == "conda":
            more = {"adds": CLASSIC + CONDA, "changes": PATH}
        yield Stack(request.getfixturevalue(way), somebody.user, **more)
    else:
        place = new_place()
        adds = () if native else APPTAINER
        if way == "launcher":
            made = make_stack(place / "stack", runtime=Runtime(how))
            yield Stack(made.prefix, log_in(place), native=native, adds=adds)
        else:
            site = settle(place, log_in(place))
            image = request.getfixturevalue("debian")
            recipe(site, f"image = {str(image)!r}\ncommands = 'python3', 'sh'")
            site("install", "wrapped", env={"TYKKY_RUNTIME": how})
            yield Stack(
                site.prefix("wrapped"), site.user, "python3", native, adds, frozenset({"PATH"})
            )
        remove(place)


@pytest.fixture(scope="module")
def hellos(installed: Site) -> list[Path]:
    """The commands of two other stacks, versions of one package."""
    return [installed.prefix(f"hello@{version}") / "bin/hello" for version in ("1.0", "0.9")]


# -- arguments ----------------------------------------------------------------------------

STRANGE = [
    *("", " ", "a b", "'", '"', "it's", "\n", "a\nb\n", "\t", "\\", "\\n", "$HOME", "$(id)"),
    *("`id`", "*", "?", "[a]", "~", "!", "#", "-", "--", "-c", "=", "a=b", ";", "&", "|", "<>"),
    *("(", "é€😀", "\x01\x1b[31m", "x" * 100_000),
]


@pytest.mark.parametrize("given", [[], STRANGE, [str(n) for n in range(30_000)]], ids=len)
def test_arguments_arrive_intact(stack: Stack, given: list[str]) -> None:
    assert stack.says("sys.argv[1:]", *given) == given


def test_arguments_that_are_not_text_arrive_intact(stack: Stack) -> None:
    code = "import os, sys; print(os.fsencode(sys.argv[1]).hex())"
    # Apptainer hands arguments on as JSON, which is Unicode.
    arrives = "fffe80" if stack.native else "\ufffd".encode().hex() * 3
    assert stack.bash(f"$python -c '{code}' $'\\xff\\xfe\\x80'") == arrives + "\n"


# -- the process --------------------------------------------------------------------------


def test_exit_codes_come_through(stack: Stack) -> None:
    for status in (0, 1, 2, 37, 126, 127, 139, 143, 255) if stack.native else (0, 37, 139):
        stack.run(f"raise SystemExit({status})", status=status)


def test_death_by_a_signal_comes_through(stack: Stack) -> None:
    code = "import os, signal, sys; number = int(sys.argv[1]); default = signal.SIG_DFL\n"
    code += "if number != 9: signal.signal(number, default)\nos.kill(os.getpid(), number)"
    for name in ("KILL", "TERM", "SEGV", "INT", "HUP", "PIPE"):
        number = int(signal.Signals[f"SIG{name}"])
        stack.run(code, str(number), status=-number)
    assert stack.bash(f"$python -c {shlex.quote(code)} 15 || echo $?") == f"{128 + 15}\n"


def test_signals_reach_the_program(stack: Stack) -> None:
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: (print('got it', os.getpid()), exit(42)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.1)"  # a pause would miss a signal that comes just before it
    )
    process = stack.start(code)
    process.send_signal(signal.SIGUSR1)
    said, pid = process.communicate()[0].rsplit(maxsplit=1)
    assert (said, process.returncode) == ("got it", 42)
    assert (int(pid) == process.pid) is stack.native, "the command is the process itself"
    process = stack.start(code)
    process.terminate()
    process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_timeout_ends_the_program_at_once(stack: Stack) -> None:
    sleep = "import time; time.sleep(600)"
    done = stack.user.run("timeout", "1", stack.python, "-c", sleep, status=124)
    assert done.stderr == ""


def test_input_output_and_open_files_are_passed_on(stack: Stack) -> None:
    code = "import os, sys; os.write(7, sys.stdin.buffer.read().upper()); sys.stderr.write('err')"
    script = f"printf in | {stack.python} -c {shlex.quote(code)} 7>&1"
    done = stack.user.bash(script)
    assert (done.stdout, done.stderr) == ("IN", "err")


def test_open_descriptors_reach_the_program_and_no_other(stack: Stack) -> None:
    code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    with Path("/dev/null").open("wb") as file:
        given = {"pass_fds": [file.fileno()]}
        inside = stack.run(code, **given).stdout
        outside = stack.user.run("/usr/bin/python3", "-c", code, **given).stdout
        assert file.fileno() in json.loads(inside)
    assert inside == outside


def test_environment_of_the_user_is_passed_on_and_nothing_is_added(stack: Stack) -> None:
    mine = {"PYTHONDONTWRITEBYTECODE": "1", "MY_VARIABLE": "a 'b'\n$c", "PYTHONPATH": "/mine"}
    given = {**stack.user.env, **mine}
    inside = stack.says("dict(os.environ)", env=mine)
    changed = {name for name in given if inside.get(name) != given[name]}
    assert changed == stack.changes, inside
    assert [name for name in set(inside) - set(given) if not name.startswith(stack.adds)] == []


def test_working_directory_is_kept_and_files_in_it_are_those_of_the_user(
    stack: Stack, place: Path
) -> None:
    odd = place / "a 'b' $c"
    odd.mkdir()
    (odd / "in").write_text("some text")
    code = "os.getcwd(), open('out', 'w').write(open('in').read().upper())"
    assert stack.says(code, cwd=odd) == [str(odd), 9]
    assert (odd / "out").read_text() == "SOME TEXT"


# -- paths --------------------------------------------------------------------------------


def test_python_names_the_path_of_its_command_and_which_does_inside_and_out(stack: Stack) -> None:
    code = f"""
import multiprocessing, shutil, subprocess, sys
show = "import sys; print(sys.executable, flush=True)"
exec(show)
print(shutil.which({stack.command!r}), flush=True)
subprocess.run([sys.executable, "-c", show], check=True)
subprocess.run([{stack.command!r}, "-c", show], check=True)
subprocess.run("command -v {stack.command}", shell=True, check=True)
child = multiprocessing.get_context("spawn").Process(target=exec, args=(show,))
child.start(); child.join()
"""
    said = stack.bash(f"command -v {stack.command}; $python -c {shlex.quote(code)}")
    assert said.splitlines() == [str(stack.python)] * 7


def test_pool_of_spawned_processes_works(stack: Stack, place: Path) -> None:
    (place / "spawn.py").write_text(
        "import multiprocessing as m\n"
        "if __name__ == '__main__':\n"
        "    m.set_start_method('spawn'); print(m.Pool(2).map(abs, [-1, -2]))\n"
    )
    assert stack.user.run(stack.python, place / "spawn.py").stdout == "[1, 2]\n"


def test_link_to_a_command_or_to_the_prefix_is_executed_as_such(stack: Stack, place: Path) -> None:
    names = "import sys; print(sys.executable, *sys.argv)"
    (place / "command").symlink_to(stack.python)
    (place / "prefix").symlink_to(stack.prefix)
    for path in (place / "command", place / "prefix/bin" / stack.command):
        assert stack.user.run(path, "-c", names, "a").stdout == f"{path} -c a\n"


def test_script_of_the_host_may_name_the_python_in_its_first_line(
    stack: Stack, place: Path
) -> None:
    script = place / "script"
    script.write_text(f"#!{stack.python} -B\nimport sys; print(sys.executable, *sys.argv)\n")
    script.chmod(0o755)
    inside = f"import subprocess; subprocess.run([{str(script)!r}, 'x'], check=True)"
    said = stack.user.run(script, "x").stdout
    assert said == stack.run(inside).stdout == f"{stack.python} {script} x\n"


def test_calls_from_inside_run_directly(stack: Stack) -> None:
    code = "import os; print(os.readlink('/proc/self/ns/mnt'), flush=True); "
    inner = f"os.execv('{stack.python}', ['x', '-c', {code!r}])"
    first, second = stack.run(code + inner).stdout.splitlines()
    assert first == second


def test_shell_of_the_host_started_inside_can_call_back(stack: Stack) -> None:
    call = ["/bin/sh", "-c", f"{stack.python} -c 'print(1)'"]
    assert stack.run(f"import subprocess; subprocess.run({call!r}, check=True)").stdout == "1\n"


@on_the_host
def test_stack_calls_another_and_that_calls_back(
    stack: Stack, hellos: list[Path], place: Path
) -> None:
    other = make_stack(place / "other")
    back = f"{stack.python} -c 'import sys; print(sys.executable)'"
    code = f"""
import subprocess
subprocess.run([{str(hellos[0])!r}, "from", "inside"], check=True)
subprocess.run([{other.command("sh")!r}, "-c", {back!r}], check=True)
"""
    assert stack.run(code).stdout == f"hello 1.0 from inside\n{stack.python}\n"
    assert other.is_gone()


def test_several_stacks_at_once_do_not_disturb_each_other(stack: Stack, hellos: list[Path]) -> None:
    both = " & ".join(map(str, hellos))
    script = f"for i in 1 2 3; do {both} & $python -c 'import sys; print(sys.executable)' & done"
    said = stack.bash(f"{script}; wait").splitlines()
    assert sorted(said) == sorted(["hello 1.0", "hello 0.9", str(stack.python)] * 3)


# -- packages -----------------------------------------------------------------------------


def assert_own_python(user: User, python: Path) -> None:
    """By its path, from its folder, activated and in the first line of a script."""
    folder = python.parent.parent
    show = "import sys, json; print(sys.executable, sys.prefix)"
    for command in (python, f"cd {folder}; bin/python", f". {folder}/bin/activate; python"):
        said = user.bash(f"{command} -c '{show}'").stdout
        assert said == f"{python} {folder}\n", command
    script = folder / "bin/tool"
    script.write_text(f"#!{python}\n{show}\n")
    script.chmod(0o755)
    assert user.run(script).stdout == f"{python} {folder}\n"


def test_virtual_environment_on_top_has_its_own_python(stack: Stack, place: Path) -> None:
    assert_own_python(stack.user, stack.venv(place / "venv"))


def test_virtual_environment_made_in_a_virtual_environment_has_its_own_python(
    stack: Stack, place: Path
) -> None:
    outer = stack.venv(place / "outer")
    assert_own_python(stack.user, make_venv(stack.user, outer, place / "inner"))


@with_packages
def test_virtual_environment_has_the_packages_of_the_stack_if_asked(
    stack: Stack, place: Path
) -> None:
    without = stack.venv(place / "without")
    done = stack.user.run(without, "-c", "import tabulate", status=1)
    assert "ModuleNotFoundError" in done.stderr
    stack.venv(place / "venv", "--system-site-packages")
    said = stack.user.bash(
        f". {place}/venv/bin/activate\n"
        "python -c 'import sys; print(sys.prefix)'\n"
        "python -c 'import tabulate; print(tabulate.__version__)'\n"
        "python -m pip list\n"
        "python -m pip install --quiet six==1.16.0\n"
        "python -c 'import six; print(six.__version__)'\n"
    ).stdout.splitlines()
    assert said[:2] == [str(place / "venv"), "0.9.0"]
    assert [line for line in said if line.startswith("tabulate ")]
    assert said[-1] == "1.16.0"


@with_packages
def test_environment_made_in_one_on_top_has_the_packages_of_the_stack_too(
    stack: Stack, place: Path
) -> None:
    python = stack.venv(place / "outer", "--system-site-packages")
    for name in ("inner", "innermost"):
        python = make_venv(stack.user, python, place / name, "--system-site-packages")
        own = stack.says("__import__('tabulate').__file__")
        # It may have another name for it: lib is where the installation was told to be, and here.
        code = f"import os, sys, tabulate; print(os.path.samefile(tabulate.__file__, {own!r}))"
        said = stack.user.run(python, "-c", f"{code}; print(sys.prefix)").stdout.split()
        assert said == ["True", str(place / name)]


@with_packages
def test_packages_are_those_of_the_stack_and_not_of_the_host(stack: Stack) -> None:
    code = "__import__('tabulate').__file__, sys.prefix, sys.path"
    module, inside, path = stack.says(code)
    assert Path(module).is_relative_to(inside)
    # What the image holds is not on the host's disk.
    assert not Path(module).exists()
    assert not [each for each in path if "dist-packages" in each and Path(each).exists()]


@with_packages
def test_package_cannot_be_changed_in_place(stack: Stack) -> None:
    change = "$python -m pip install --prefix $($python -c 'import sys; print(sys.prefix)')"
    show = "$python -c 'import tabulate; print(tabulate.__version__)'"
    said = stack.bash(f"{change} tabulate==0.8.10 >&2 || echo no; {show}")
    assert said == "no\n0.9.0\n"


@with_packages
def test_console_script_is_called_by_full_path_from_everywhere(stack: Stack) -> None:
    command = str(stack.prefix / "bin/tabulate")
    call = f"import subprocess; subprocess.run([{command!r}], check=True)"
    outside = stack.user.run(command, input="a b\n").stdout
    assert "a  b" in outside
    assert stack.run(call, input="a b\n").stdout == outside

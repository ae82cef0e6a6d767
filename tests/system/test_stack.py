"""A stack as its users meet it, after ``module load``: ordinary commands at ordinary paths."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.launcher.stacks import command_lines
from tests.stacks import Site

Shell = Callable[..., CompletedProcess[str]]


@pytest.fixture
def shell(installed: Site) -> Shell:
    """Run a bash script after ``module load tiny``."""

    def run(script: str, **options: Any) -> CompletedProcess[str]:
        return installed.lmod("module load tiny\n" + script, **options)

    return run


@pytest.fixture
def prefix(installed: Site) -> Path:
    return installed.prefix("tiny")


def python(code: str) -> str:
    """A shell command that runs Python code in the stack."""
    return f"python -c {shlex.quote(code)}\n"


def test_python_has_the_path_of_its_command(shell: Shell, prefix: Path) -> None:
    said = shell(
        "command -v python\n"
        + python("import sys; print(sys.executable)")
        + python(
            "import subprocess as s\n"
            "s.run(['python', '-c', 'import sys; print(sys.executable)'], check=True)\n"
            "s.run('command -v python', shell=True, check=True)\n"
        )
        + python(
            "import multiprocessing as m\n"
            "code = 'import sys; print(sys.executable, flush=True)'\n"
            "child = m.get_context('spawn').Process(target=exec, args=(code,))\n"
            "child.start(); child.join()"
        )
    ).stdout
    assert said.splitlines() == [str(prefix / "bin/python")] * 5


def test_prefix_is_the_same_inside_and_outside(shell: Shell, prefix: Path) -> None:
    said = shell(python("import sys, tabulate; print(sys.prefix); print(tabulate.__file__)")).stdout
    inside, module = said.splitlines()
    assert inside == str(prefix)
    assert Path(module).is_relative_to(prefix)
    # What the image holds is not on the host's disk.
    assert not Path(module).exists()


def test_first_line_of_a_console_script_is_valid_on_the_host_and_inside(
    installed: Site, shell: Shell, prefix: Path, place: Path
) -> None:
    program = prefix / "bin/tabulate"
    first = shell(python(f"print(open({str(program)!r}).readline().rstrip())")).stdout.strip()
    assert first == f"#!{prefix}/bin/python"
    script = place / "script"
    script.write_text(f"{first}\nimport sys, six; print(sys.executable)\n")
    script.chmod(0o755)
    on_host = installed.user.run(script).stdout
    inside = shell(python(f"import subprocess; subprocess.run([{str(script)!r}], check=True)"))
    assert on_host == inside.stdout == f"{prefix}/bin/python\n"


def test_console_script_is_called_by_full_path_from_everywhere(shell: Shell, prefix: Path) -> None:
    command = str(prefix / "bin/tabulate")
    call = f"printf 'a b\\n' | {shlex.quote(command)}\n"
    inside = python(
        f"import subprocess; subprocess.run([{command!r}], input=b'a b\\n', check=True)"
    )
    assert shell(call).stdout == shell(inside).stdout
    assert "a  b" in shell(call).stdout


def test_virtual_environment_without_the_packages_of_the_stack(shell: Shell, place: Path) -> None:
    venv = place / "venv"
    said = shell(
        f"python -m venv {venv}\n"
        f"{venv}/bin/python -c 'import sys; print(sys.executable, sys.prefix)'\n"
        f"{venv}/bin/python -c 'import six' 2>&1 || true\n"
        f"{venv}/bin/pip --version\n"
        f"{venv}/bin/pip install --quiet six==1.16.0\n"
        f"{venv}/bin/python -c 'import six; print(six.__version__, six.__file__)'\n"
    ).stdout.splitlines()
    assert said[0] == f"{venv}/bin/python {venv}"
    assert "ModuleNotFoundError" in "".join(said)
    assert said[-1].startswith(f"1.16.0 {venv}/lib/")


def test_virtual_environment_on_top_of_the_stack(shell: Shell, prefix: Path, place: Path) -> None:
    venv = place / "venv"
    said = shell(
        f"python -m venv --system-site-packages {venv}\n"
        "module purge\n"
        f". {venv}/bin/activate\n"
        "python -c 'import sys; print(sys.prefix)'\n"
        "python -c 'import tabulate; print(tabulate.__file__)'\n"
        "python -c 'import sys; print(*sys.path)'\n"
        "pip install --quiet six==1.16.0\n"
        "python -c 'import six; print(six.__version__)'\n"
    ).stdout.splitlines()
    assert said[0] == str(venv)
    assert said[1].startswith(f"{prefix}/lib/")
    assert "dist-packages" not in said[2], "the packages of the host are not the stack's"
    assert said[3] == "1.16.0"


def test_script_of_a_package_installed_for_the_user_runs_on_the_host(
    installed: Site, shell: Shell, prefix: Path, place: Path
) -> None:
    home = place / "someone"
    home.mkdir()
    env = {"HOME": str(home)}
    shell("pip install --user --quiet cowsay==6.1", env=env)
    script = home / ".local/bin/cowsay"
    assert script.read_text().splitlines()[0] == f"#!{prefix}/bin/python"
    said = installed.user.run(script, "-t", "moo from the host", env=env).stdout
    assert "moo from the host" in said
    inside = python(
        f"import subprocess; subprocess.run([{str(script)!r}, '-t', 'moo'], check=True)"
    )
    assert "moo" in shell(inside, env=env).stdout
    # The other way round, the package of the user is seen by the stack's Python.
    assert "cowsay" in shell("python -m pip list --user", env=env).stdout


def test_user_packages_can_be_left_out(shell: Shell, place: Path) -> None:
    home = place / "someone"
    home.mkdir()
    shell("pip install --user --quiet cowsay==6.1", env={"HOME": str(home)})
    for how in ("python -s", "python -I", "env PYTHONNOUSERSITE=1 python"):
        done = shell(f"{how} -c 'import cowsay'", env={"HOME": str(home)}, status=1)
        assert "ModuleNotFoundError" in done.stderr


def test_stack_does_not_see_the_packages_of_the_host(shell: Shell) -> None:
    said = shell(python("import json, sys; print(json.dumps(sys.path))")).stdout
    assert not [path for path in json.loads(said) if "dist-packages" in path]


@pytest.mark.parametrize(
    ("magic", "made_of"), [("ours.MAGIC_NUMBER", "_tykky_stack.txt"), ("b'other'", "<string>")]
)
def test_hook_is_byte_code_or_else_its_source(shell: Shell, magic: str, made_of: str) -> None:
    code = f"""
import sys
sys.prefix, sys._base_executable = sys.argv[1], "the base's"
sitedir = __import__("glob").glob(sys.prefix + "/lib/python3.*/site-packages")[0]
line = open(sitedir + "/_tykky_stack.pth").read().splitlines()[1]
import site
exec(line.replace("ours.MAGIC_NUMBER", {magic!r}))
assert sys._base_executable == sys.executable
print(ours.SourceFileLoader.get_data.__code__.co_filename)
"""
    said = shell(f"python -S -c {shlex.quote(code)} $(dirname $(dirname $(which python)))").stdout
    assert said.strip() == made_of


def test_a_loaded_module_costs_no_question_to_the_image(installed: Site, prefix: Path) -> None:
    """Python asks of each file whether it is a terminal; the hook of a stack spares that."""

    def questions(code: str) -> int:
        before = reads()
        subprocess.run([prefix / "bin/python", "-c", code], check=True)
        return reads() - before

    def reads() -> int:
        (relay,) = (
            pid
            for pid, line in command_lines()
            if line.startswith("tykky-relay ") and str(prefix) in line
        )
        fields = dict(
            line.split(": ") for line in Path(f"/proc/{relay}/io").read_text().splitlines()
        )
        return int(fields["syscr"])

    modules = "import sys, pip._internal.cli.main_parser, pip._vendor.requests"
    several = modules + "; assert sum('pip' in name for name in sys.modules) > 50"
    subprocess.run([prefix / "bin/python", "-c", several], check=True)
    # The least of some: the kernel may have forgotten a page meanwhile.
    fixed, all_of_them = (
        min(questions(code) for _ in range(5)) for code in ("import sys", several)
    )
    assert all_of_them <= fixed + 2


def test_package_cannot_be_changed_in_place(shell: Shell, prefix: Path) -> None:
    done = shell(f"pip install --prefix {prefix} six==1.16.0", status=None)
    assert done.returncode != 0
    assert shell(python("import six; print(six.__version__)")).stdout == "1.17.0\n"


# -- the process --------------------------------------------------------------------------


def test_timeout_ends_python_at_once(installed: Site, prefix: Path) -> None:
    sleep = "import time; time.sleep(600)"
    done = installed.user.run("timeout", "1", prefix / "bin/python", "-c", sleep, status=124)
    assert done.stderr == ""


@pytest.mark.parametrize("status", [0, 1, 2, 37, 126, 127, 139, 143, 255])
def test_exit_codes_come_through(installed: Site, prefix: Path, status: int) -> None:
    code = f"import sys; sys.exit({status})"
    installed.user.run(prefix / "bin/python", "-c", code, status=status)


@pytest.mark.parametrize("signal", ["KILL", "TERM", "SEGV", "INT", "HUP", "PIPE"])
def test_death_by_a_signal_comes_through(installed: Site, prefix: Path, signal: str) -> None:
    code = (
        "import os, signal as s; s.signal(s.SIGINT, s.SIG_DFL); s.signal(s.SIGPIPE, s.SIG_DFL)\n"
        f"os.kill(os.getpid(), s.SIG{signal})"
    )
    import signal as signals

    number = -int(getattr(signals, f"SIG{signal}"))
    installed.user.run(prefix / "bin/python", "-c", code, status=number)


def test_signal_reaches_python(installed: Site, prefix: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(42))\n"
        "print('ready', os.getpid(), flush=True)\n"
        "signal.pause()"
    )
    script = f"""
        coproc {prefix}/bin/python -c {shlex.quote(code)}
        child=$COPROC_PID  # which bash forgets when that has ended
        read -r ready pid <&"${{COPROC[0]}}"
        echo $pid $child
        kill -USR1 $child
        wait $child || echo $?
    """
    pids, status = installed.user.bash(script).stdout.splitlines()
    inner, outer = pids.split()
    assert inner == outer, "the command is the process itself"
    assert status == "42"


NASTY = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "it's",
    "\n",
    "a\nb\n",
    "\t",
    "\\",
    "\\n",
    "$HOME",
    "$(id)",
    "`id`",
    "*",
    "?",
    "[a]",
    "~",
    "!",
    "#",
    "--",
    "-c",
    "=",
    "a=b",
    ";",
    "&",
    "|",
    "<>",
    "(",
    "é€😀",
    "\x01\x1b[31m",
    "x" * 100_000,
]


def test_arguments_arrive_intact(installed: Site, prefix: Path) -> None:
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    said = installed.user.run(prefix / "bin/python", "-c", code, *NASTY).stdout
    assert json.loads(said) == NASTY


def test_arguments_that_are_not_text_arrive_intact(installed: Site, prefix: Path) -> None:
    code = "import os, sys; print(os.fsencode(sys.argv[1]).hex())"
    script = f"{prefix}/bin/python -c {shlex.quote(code)} $'\\xff\\xfe\\x80'"
    assert installed.user.bash(script).stdout == "fffe80\n"


def test_thirty_thousand_arguments(installed: Site, prefix: Path) -> None:
    code = "import sys; print(len(sys.argv), sys.argv[30000])"
    many = [f"argument-{number}" for number in range(30_000)]
    said = installed.user.run(prefix / "bin/python", "-c", code, *many).stdout
    assert said == "30001 argument-29999\n"


def test_input_output_and_open_files_are_passed_on(installed: Site, prefix: Path) -> None:
    code = "import os, sys; os.write(7, sys.stdin.buffer.read().upper()); sys.stderr.write('err')"
    script = f"printf 'in' | {prefix}/bin/python -c {shlex.quote(code)} 7>&1"
    done = installed.user.bash(script)
    assert (done.stdout, done.stderr) == ("IN", "err")


def test_environment_of_the_user_is_passed_on_and_nothing_is_added(
    installed: Site, prefix: Path
) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    env = {"PYTHONDONTWRITEBYTECODE": "1", "MY_VARIABLE": "a 'b'\n$c", "PYTHONPATH": "/mine"}
    said = installed.user.run(prefix / "bin/python", "-c", code, env=env).stdout
    inside = json.loads(said)
    assert inside == {**installed.user.env, **env}


def test_working_directory_is_kept(installed: Site, prefix: Path, place: Path) -> None:
    odd = place / "a 'b' $c"
    odd.mkdir()
    code = "import os; print(os.getcwd())"
    said = installed.user.run(prefix / "bin/python", "-c", code, cwd=odd).stdout
    assert said == f"{odd}\n"


def test_stack_calls_another_stack(installed: Site, prefix: Path) -> None:
    hello = str(installed.prefix("hello@1.0") / "bin/hello")
    code = f"import subprocess; subprocess.run([{hello!r}, 'from', 'tiny'], check=True)"
    assert installed.user.run(prefix / "bin/python", "-c", code).stdout == "hello 1.0 from tiny\n"


def test_two_versions_run_at_once(installed: Site) -> None:
    commands = " & ".join(f"{installed.prefix(f'hello@{v}')}/bin/hello" for v in ("1.0", "0.9"))
    said = installed.user.bash(f"{commands} & wait").stdout
    assert sorted(said.splitlines()) == ["hello 0.9", "hello 1.0"]

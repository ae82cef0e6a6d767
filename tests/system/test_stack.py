"""A stack of pip packages after ``module load``; what every stack does is in test_behaviour.py."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from contextlib import suppress
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


def test_module_leads_to_commands_and_packages_at_the_prefix(shell: Shell, prefix: Path) -> None:
    program = prefix / "bin/tabulate"
    said = shell(
        "command -v python tabulate\n"
        + python("import sys, tabulate; print(sys.prefix); print(tabulate.__file__)")
        + python(f"print(open({str(program)!r}).readline().rstrip())")
    ).stdout.splitlines()
    assert said[:3] == [str(prefix / "bin/python"), str(program), str(prefix)]
    assert Path(said[3]).is_relative_to(prefix)
    assert said[4] == f"#!{prefix}/bin/python", "it is valid on the host and inside"


def test_pip_of_a_virtual_environment_installs_into_it(shell: Shell, place: Path) -> None:
    venv = place / "venv"
    said = shell(
        f"python -m venv {venv}\n"
        "module purge\n"
        f"{venv}/bin/pip --version\n"
        f". {venv}/bin/activate\n"
        "pip install --quiet six==1.16.0\n"
        f"{venv}/bin/python -c 'import six; print(six.__version__, six.__file__)'\n"
    ).stdout.splitlines()
    assert said[-1].startswith(f"1.16.0 {venv}/lib/")


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


def test_other_version_of_a_package_goes_into_an_environment_on_top(
    shell: Shell, place: Path
) -> None:
    home = place / "someone"
    home.mkdir()
    env, show = {"HOME": str(home)}, python("import six; print(six.__version__)")
    # As in any virtual environment, those of the user come last, and pip says so.
    done = shell("pip install --user --quiet six==1.15.0", env=env, status=1)
    assert "lack sys.path precedence" in done.stderr
    shell("pip install --user --quiet --ignore-installed six==1.15.0", env=env)
    assert shell(show, env=env).stdout == "1.17.0\n"
    on_top = f"python -m venv --system-site-packages {place}/venv; . {place}/venv/bin/activate\n"
    said = shell(f"{on_top}pip install --quiet six==1.15.0\n{show}", env=env).stdout
    assert said == "1.15.0\n"


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
        return sum(number - before.get(relay, number) for relay, number in reads().items())

    def reads() -> dict[int, int]:
        """What each relay has read; one that serves nobody any more ends after a while."""
        found = {}
        for relay, line in command_lines():
            if line.startswith("tykky-relay ") and str(prefix) in line:
                with suppress(OSError):
                    io = Path(f"/proc/{relay}/io").read_text()
                    found[relay] = int(io.partition("syscr: ")[2].split()[0])
        return found

    modules = "import sys, pip._internal.cli.main_parser, pip._vendor.requests"
    several = modules + "; assert sum('pip' in name for name in sys.modules) > 50"
    subprocess.run([prefix / "bin/python", "-c", several], check=True)
    # The least of some: the kernel may have forgotten a page meanwhile.
    fixed, all_of_them = (
        min(questions(code) for _ in range(5)) for code in ("import sys", several)
    )
    assert all_of_them <= fixed + 2

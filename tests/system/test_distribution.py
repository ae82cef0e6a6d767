"""What people get: the source archive, the wheel made from it, and an install of that."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import User

TOP = Path(__file__).resolve().parents[2]
README = TOP / "README.md"
UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from a source archive of this checkout, so the archive must be complete."""
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", out, TOP],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (made,) = out.glob("*.whl")
    return made


@pytest.mark.slow
def test_wheel_has_every_folder_whole(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("repo", "builds", "configs", "share"):
        for path in (TOP / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"tykky/data/{path.relative_to(TOP)}" in inside


@pytest.mark.slow
def test_wheel_has_the_launcher_of_this_machine_and_says_so(wheel: Path) -> None:
    machine = platform.machine()
    with zipfile.ZipFile(wheel) as archive:
        for program in ("launch", "box", "ask"):
            info = archive.getinfo(f"tykky/runtime/launcher/bin/{machine}/{program}")
            assert info.external_attr >> 16 & 0o111, "it must be executable"
    assert wheel.name.endswith(f"py3-none-manylinux2014_{machine}.musllinux_1_1_{machine}.whl")


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "musl-gcc"])
def test_wheel_with_a_dynamic_launcher_claims_no_other_machine(compiler: str, place: Path) -> None:
    tools = place / "tools"
    tools.mkdir()
    cc = tools / "cc"
    refuse = 'case "$*" in *-static*) exit 1 ;; esac'
    cc.write_text(f'#!/bin/sh\n{refuse}\nREALGCC=/usr/bin/gcc exec /usr/bin/{compiler} "$@"\n')
    cc.chmod(0o755)
    for name in ("as", "ld", "sh"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", place / "dist", TOP],
        env={**os.environ, "PATH": str(tools), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (place / "dist").glob("*.whl")
    assert made.name.endswith(f"py3-none-linux_{platform.machine()}.whl")


@pytest.mark.slow
def test_installed_wheel_lists_its_recipes_without_the_checkout(
    wheel: Path, user: User, place: Path
) -> None:
    venv = place / "venv"
    user.run(UV, "venv", "--quiet", "--python", "/usr/bin/python3", venv)
    user.run(UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python", wheel)
    listed = user.run(venv / "bin" / "tykky", "list").stdout
    for recipe in (TOP / "repo").glob("*/recipe.py"):
        assert recipe.parent.name in listed
    where = user.run(venv / "bin" / "python", "-c", "import tykky; print(tykky.__file__)").stdout
    assert where.startswith(str(venv))


def test_provisioning_is_silent_where_nothing_is_missing(user: User) -> None:
    done = user.run(TOP / "tools" / "provision", "base", "dev")
    assert (done.stdout, done.stderr) == ("", "")


def test_provisioning_names_its_parts_when_asked_for_another(user: User) -> None:
    done = user.run(TOP / "tools" / "provision", "bace", status=2)
    assert "there is no part 'bace'" in done.stderr
    assert "apptainer" in done.stderr


def test_readme_names_only_verbs_and_options_that_exist(user: User) -> None:
    commands = re.findall(r"(?m)(?:^|[`(])tykky ([a-z]+)((?: --[a-z]+)*)", README.read_text())
    assert len(commands) > 10
    for verb, options in commands:
        usage = user.run("tykky", verb, "--help").stdout
        for option in options.split():
            assert option in usage

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

from tests.support import DOWNLOADS, User

TOP = Path(__file__).resolve().parents[2]
README = TOP / "README.md"
UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made by pip, from a source archive of this checkout: so that must be complete."""
    out = tmp_path_factory.mktemp("dist")

    def run(*command: str | Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout

    run("build", "--sdist", "--outdir", out, TOP)
    run("pip", "wheel", "--no-deps", "--wheel-dir", out, *out.glob("*.tar.gz"))
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
    # Its man pages are found wherever PATH leads, and by setup-env.sh also beside a MANPATH.
    (folder,) = venv.joinpath("lib").glob("python3*/site-packages/tykky/data/share")
    by_path, by_share, with_manpath = (
        user.bash(f"{begin}; man -w tykky-install conda-containerize ls").stdout.splitlines()
        for begin in (
            f"PATH={venv}/bin:$PATH",
            f". {folder}/setup-env.sh",
            f"export MANPATH=/usr/share/man; . {folder}/setup-env.sh",
        )
    )
    assert [page.startswith(str(venv / "share")) for page in by_path] == [True, True, False]
    assert [page.startswith(str(folder)) for page in by_share] == [True, True, False]
    assert with_manpath == by_share


PROGRAMS = ("tykky", "conda-containerize", "pip-containerize", "wrap-container", "wrap-install")


def poisoned(user: User, place: Path) -> dict[str, str]:
    """Variables with which every Python ends that is not started isolated."""
    home = user.home / f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for folder in (place / "poison", home):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("typing", "re", "argparse", "encodings", "site", "usercustomize"):
            (folder / f"{name}.py").write_text("raise SystemExit('poison')\n")
    folder = str(place / "poison")
    return {"PYTHONPATH": folder, "PYTHONHOME": folder, "PYTHONINSPECT": "1", "PYTHONWARNINGS": "e"}


def assert_isolated(folder: Path, user: User, place: Path) -> None:
    """Each program in a folder starts, also through a link, whatever the user's Python is told."""
    for name, link in ((name, link) for name in PROGRAMS for link in ("", "x")):
        program = folder / name
        if link:
            program = place / f"links-of-{folder.parent.name}" / name
            program.parent.mkdir(exist_ok=True)
            program.symlink_to(folder / name)
        for variable, value in poisoned(user, place).items():
            done = user.run(program, "--help", env={variable: value})
            assert f"usage: {name} " in done.stdout, variable
            assert done.stderr == "", variable


@pytest.mark.parametrize("folder", [Path(sys.executable).parent, TOP / "share/bin"])
def test_nothing_of_the_users_python_gets_into_the_programs(
    folder: Path, user: User, place: Path
) -> None:
    assert_isolated(folder, user, place)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pip", "uv", "uv tool", "pip --user", "pip --prefix"])
def test_programs_start_isolated_however_they_are_installed(
    wheel: Path, way: str, user: User, place: Path
) -> None:
    python, venv = Path("/usr/bin/python3"), place / "venv"
    folder, environment = venv / "bin", {"UV_CACHE_DIR": str(DOWNLOADS / "uv")}
    install: tuple[str | Path, ...] = (python, "-m", "pip", "install", "--quiet")
    if way == "uv tool":
        install = (UV, "tool", "install", "--quiet", "--python", python)
        folder = user.home / ".local/bin"
    elif way == "pip --user":
        install = (*install, "--user", "--break-system-packages")
        folder = user.home / ".local/bin"
    elif way == "pip --prefix":
        install = (*install, "--prefix", venv, "--ignore-installed")
    else:
        user.run(python, "-m", "venv", venv)
        uv = (UV, "pip", "install", "--quiet", "--python", venv / "bin/python")
        install = uv if way == "uv" else (venv / "bin/pip", *install[3:])
    user.run(*install, wheel, env=environment)
    if way == "pip --prefix":
        (folder,) = {
            path.parent for path in venv.glob("**/bin/wrap-install") if "data" not in path.parts
        }
    assert_isolated(folder, user, place)
    listed = user.run(folder / "tykky", "list").stdout
    assert "fireworks" in listed


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

"""Programs of images as commands: found, entered, with their own environment."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.bills import bill, named
from tests.images import docker_archive
from tests.stacks import HEAD, Site, recipe
from tykky.contents import of_install, own
from tykky.errors import Exit

# -- a scratch image --------------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
def test_image_of_one_static_program_needs_no_shell(site: Site, scratch: Path) -> None:
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'")
    site("install", "wrapped")
    done = site.lmod("module load wrapped; hello")
    assert re.fullmatch("hello from (.*/bin/)?hello\n", done.stdout)
    assert site.lmod("module load wrapped; hello exit 7", status=7)
    # What the lock has is no package that anybody could look for.
    assert site.record("wrapped")["packages"] == []
    assert "extensions" not in (site.modules / "wrapped/1.lua").read_text()


@pytest.mark.usefixtures("runtime")
def test_environment_of_the_image_and_of_the_user_are_both_there(site: Site, scratch: Path) -> None:
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'\nenv = {{'OWN': 'a b'}}")
    site("install", "wrapped")
    script = "export MINE='x y' LD_LIBRARY_PATH=/nowhere; module load wrapped; hello env"
    lines = site.lmod(script).stdout.splitlines()
    shown = dict(line.partition("=")[::2] for line in lines)
    assert (shown["GREETING"], shown["OWN"], shown["MINE"]) == ("good day", "a b", "x y")
    # Nothing of the host's; Apptainer has a directory of its own.
    assert shown.get("LD_LIBRARY_PATH", "/.singularity.d/libs") == "/.singularity.d/libs"
    path = shown["PATH"].split(":")
    assert path[:2] == [f"{site.prefix('wrapped')}/bin", "/opt/tools"]
    assert "" not in path


@pytest.mark.usefixtures("runtime")
def test_image_does_not_say_where_its_user_is_at_home(
    site: Site, place: Path, hello: bytes
) -> None:
    env = ["HOME=/root", "USER=root", "TMPDIR=/nowhere", "LANG=xx"]
    image = docker_archive(place / "homely.tar", {"bin/hello": hello}, env=env)
    recipe(site, f"image = 'docker-archive:{image}'\ncommands = 'hello'")
    site("install", "wrapped")
    lines = site.lmod(f"export TMPDIR={place}; module load wrapped; hello env").stdout.splitlines()
    shown = dict(line.partition("=")[::2] for line in lines)
    mine = (str(site.user.home), site.user.env["USER"], str(place), "xx")
    assert (shown["HOME"], shown["USER"], shown["TMPDIR"], shown["LANG"]) == mine


@pytest.mark.usefixtures("runtime")
def test_image_whose_path_is_unusual_or_empty_has_its_commands(
    site: Site, place: Path, hello: bytes
) -> None:
    for name, path in (("unusual", "PATH=/opt"), ("empty", "PATH=")):
        image = docker_archive(place / f"{name}.tar", {"opt/hello": hello}, env=[path])
        recipe(site, f"image = 'docker-archive:{image}'\ncommands = '/opt/'", name=name)
        site("install", name)
        assert "hello from" in site.lmod(f"module load {name}; hello").stdout


@pytest.mark.usefixtures("runtime")
def test_commands_are_found_by_name_glob_path_and_directory_and_get_new_names(
    site: Site, scratch: Path
) -> None:
    image = f"image = 'docker-archive:{scratch}'\n"
    for number, (commands, names) in enumerate(
        (
            ("'hello'", ["hello"]),
            ("'*e*'", ["hello", "second"]),
            ("'/opt/tools/s*', '/bin/hello'", ["hello", "second"]),
            ("'/opt/tools/'", ["hello", "second"]),
            ("{'hi': 'hello', 'two': '/opt/tools/second'}", ["hi", "two"]),
        )
    ):
        recipe(site, f"{image}commands = {commands}", name=f"wrapped{number}")
        site("install", f"wrapped{number}")
        bin_ = site.prefix(f"wrapped{number}") / "bin"
        assert sorted(path.name for path in bin_.iterdir()) == names
        for name in names:
            assert "hello from" in site.user.run(bin_ / name).stdout


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [
        ("commands = 'hello'", Exit.RECIPE, "names no image"),
        ("image = {image!r}", Exit.RECIPE, "offers no commands"),
        ("image = {image!r}\ncommands = 'hallo'", Exit.RECIPE, "has no program 'hallo'"),
        ("image = {image!r}\ncommands = '/bin/hello', 'hello'", Exit.RECIPE, "two programs"),
        ("image = {{'sparc': 'x'}}\ncommands = 'hello'", Exit.RECIPE, "names no image for"),
        ("image = '/nowhere.sif'\ncommands = 'hello'", Exit.BASE, "is not there"),
        ("image = 'host'\ncommands = 'hello'", Exit.RECIPE, "names no image"),
    ],
)
def test_recipe_without_what_the_kind_needs_is_one_error_and_leaves_nothing(
    site: Site, scratch: Path, body: str, status: Exit, cause: str
) -> None:
    recipe(site, body.format(image=f"docker-archive:{scratch}"))
    done = site("install", "wrapped", status=status)
    assert cause in done.stderr
    assert site.found() == []


def test_image_that_changed_after_it_was_locked_is_not_installed(site: Site, scratch: Path) -> None:
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'")
    site("lock", "wrapped")
    site("audit", "wrapped")
    scratch.write_bytes(scratch.read_bytes() + bytes(512))
    done = site("install", "wrapped", status=Exit.DAMAGED)
    assert "is not what was locked" in done.stderr
    assert site.found() == []


def test_image_is_shared_by_all_installs_that_use_it(site: Site, scratch: Path) -> None:
    for name in ("one", "two"):
        recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'", name=name)
        site("install", name)
    assert len(list((site.root / "bases").glob("*.s*"))) == 1
    size = sum(path.stat().st_size for path in site.prefix("one").rglob("*.sqfs"))
    assert size <= 8192


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_verify_reads_the_image_that_an_install_runs_on(
    site: Site, scratch: Path, fault: str
) -> None:
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'")
    site("install", "wrapped")
    site("verify")
    (image,) = (site.root / "bases").glob("*.s*")
    image.unlink()
    if fault == "damaged":
        image.write_bytes(b"x")
    done = site("verify", status=Exit.DAMAGED)
    assert f"wrapped/1: {image} is the image it runs on" in done.stdout + done.stderr
    site("base", "pull", "--again", f"docker-archive:{scratch}")
    site("verify")


# -- Debian -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
def test_root_directory_is_entered_like_an_image(site: Site, debian: Path, place: Path) -> None:
    root = place / "root"
    subprocess.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-d", root, debian], check=True)
    recipe(site, f"image = {str(root)!r}\ncommands = 'python3'")
    site("install", "wrapped")
    code = "import platform; print(platform.freedesktop_os_release()['ID'])"
    assert site.lmod(f'module load wrapped; python3 -c "{code}"').stdout == "debian\n"


@pytest.mark.usefixtures("runtime")
def test_pip_stack_is_built_inside_a_base_image_and_runs_on_it(site: Site, debian: Path) -> None:
    recipe(
        site,
        f"base = {str(debian)!r}\npackages = 'six==1.17.0', 'tabulate==0.9.0'\n"
        "commands = 'python*', 'tabulate'",
        kind="PipStack",
    )
    site("install", "wrapped")
    code = "import sys, os, six; print(sys.executable, os.path.realpath(sys.executable))"
    script = f"module load wrapped; python -c '{code}'; printf 'a b' | tabulate"
    lines = site.lmod(script).stdout.splitlines()
    assert lines[0] == f"{site.prefix('wrapped')}/bin/python /usr/bin/python3.11"
    assert site.record("wrapped")["base"]["id"] == "debian-12"
    found = of_install(site.generation("wrapped"))
    assert {p.name for p in own(found)} == {"six", "tabulate", "pip"}
    form = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\\n"
    code = f"import subprocess; subprocess.run(['dpkg-query', '-W', '-f', '{form}'])"
    told = site.user.run(site.prefix("wrapped") / "bin/python", "-c", code).stdout
    of_base = sorted(f"{p.name} {p.version} {p.build} {p.source}" for p in found if p.why == "base")
    assert of_base == sorted(told.splitlines()) and len(of_base) > 50
    assert {(p.type, p.channel) for p in found if p.why == "base"} == {("deb", "debian-12")}
    urls = bill(site, "wrapped")
    told_of = [line.split()[:3] for line in told.splitlines()]
    assert {(u.name, u.version, u.qualifiers["arch"]) for u in urls if u.type == "deb"} == {
        (name, version, arch) for name, version, arch in told_of
    }
    assert {name for name, _ in named(urls, "pypi")} == {"six", "tabulate", "pip"}
    # They are what it runs on, and not what it is.
    assert "libc6" not in str(site.record("wrapped")["packages"])
    assert "libc6" not in site("find", "--packages").stdout
    assert "libc6" not in site.user.run(site.prefix("wrapped") / "bin/list-packages").stdout


def test_base_without_the_wanted_python_is_one_error(site: Site, debian: Path) -> None:
    recipe(
        site,
        f"base = {str(debian)!r}\npackages = 'six'\npython = '3.12'\ncommands = 'python*'",
        kind="PipStack",
    )
    done = site("install", "wrapped", status=Exit.BASE)
    assert "has no Python 3.12; it has 3.11" in done.stderr


# -- a stack as a base ------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["host", "image"])
def test_stack_is_built_on_top_of_another_one_with_its_packages(
    site: Site, debian: Path, on: str
) -> None:
    base = f"base = {str(debian)!r}\n" if on == "image" else ""
    recipe(
        site,
        f"{base}packages = 'six==1.16.0', 'tabulate==0.9.0'\ncommands = 'python*', 'tabulate'",
        name="lower",
        kind="PipStack",
    )
    upper = "base = 'stack:lower@1'\npackages = 'python-dateutil==2.9.0.post0'\n"
    recipe(site, upper + "commands = 'python*'", name="upper", kind="PipStack")
    done = site("install", "upper", status=Exit.BASE)
    assert "install it first: tykky install lower@1" in done.stderr
    site("install", "lower")
    site("install", "upper")
    code = (
        "import dateutil, six, tabulate, sys;"
        "print(sys.prefix, six.__version__, six.__file__, dateutil.__file__)"
    )
    prefix, version, low, high = site.lmod(f"module load upper; python -c '{code}'").stdout.split()
    assert (prefix, version) == (str(site.prefix("upper")), "1.16.0")
    assert low.startswith(str(site.prefix("lower")))
    assert high.startswith(str(site.prefix("upper")))
    done = site("uninstall", "lower", status=Exit.CONFLICT)
    assert "upper" in done.stderr


# -- masked installations ---------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
def test_masked_stack_lies_over_its_original_path(site: Site, place: Path) -> None:
    tool = place / "tool"
    (tool / "bin").mkdir(parents=True)
    (tool / "bin/show").write_text(f"#!/bin/sh\ncat {tool}/data\n")
    (tool / "bin/show").chmod(0o755)
    (tool / "data").write_text("as installed\n")
    site.write(
        "masked",
        HEAD.format(kind="DiskStack").replace("ContainerStack", "DiskStack")
        + f"    source = {str(tool)!r}\n    mask = True\n"
        "    commands = {'show': 'show', 'z5': 'bin/show'}\n",
    )
    site("install", "masked")
    (tool / "data").write_text("changed on disk\n")
    assert site.lmod("module load masked; show; z5").stdout == "as installed\n" * 2
    assert (tool / "data").read_text() == "changed on disk\n"

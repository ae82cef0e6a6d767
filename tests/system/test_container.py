"""Programs of images as commands: found, entered, with their own environment."""

from __future__ import annotations

import json
import os
import pty
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import docker_archive, static_program
from tests.stacks import Site
from tests.support import remove
from tykky.errors import Exit

HEAD = """\
from tykky import ContainerStack, PipStack


class Wrapped({kind}):
    '''Programs of an image.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
"""


def recipe(site: Site, body: str, name: str = "wrapped", kind: str = "ContainerStack") -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    site.write(name, HEAD.format(kind=kind) + lines)


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return static_program(tmp_path_factory.mktemp("hello"))


@pytest.fixture
def scratch(place: Path, hello: bytes) -> Path:
    """An image that has nothing but one static program, under three names."""
    files = {"opt/tools/hello": hello, "opt/tools/second": hello, "bin/hello": hello}
    env = ["PATH=/opt/tools:/usr/bin:/bin", "GREETING=good day"]
    return docker_archive(place / "scratch.tar", files, env=env)


def forms(image: Path, place: Path) -> dict[str, Path]:
    """The same image as squashfs, SIF and root directory."""
    root = place / "root"
    subprocess.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-d", root, image], check=True)
    return {"squashfs": image, "directory": root}


@pytest.fixture(params=["native", "apptainer"])
def runtime(request: pytest.FixtureRequest, site: Site) -> str:
    """Each runtime in turn, as the user's configuration has it."""
    name = str(request.param)
    if name == "apptainer" and not shutil.which("apptainer"):
        pytest.skip("apptainer is not installed: tools/provision apptainer")
    config = site.user.home / ".config/tykky/config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"runtime: {name}\n")
    return name


# -- a scratch image --------------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
def test_image_of_one_static_program_needs_no_shell(site: Site, scratch: Path) -> None:
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'")
    site("install", "wrapped")
    done = site.lmod("module load wrapped; hello")
    assert re.fullmatch("hello from (.*/bin/)?hello\n", done.stdout)
    assert site.lmod("module load wrapped; hello exit 7", status=7)


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


# -- Debian -----------------------------------------------------------------------------------


@pytest.fixture
def python(site: Site, debian: Path) -> Site:
    """A site with a wrapped Python."""
    recipe(site, f"image = {str(debian)!r}\ncommands = 'python3*', 'ls', 'cat', 'sh'")
    site("install", "wrapped")
    return site


@pytest.mark.usefixtures("runtime")
def test_wrapped_program_reads_and_writes_where_its_user_is(python: Site) -> None:
    work = python.user.home / "my work"
    work.mkdir()
    (work / "in").write_text("some text\n")
    code = "open('out', 'w').write(open('in').read().upper())"
    python.lmod(f'module load wrapped; python3 -c "{code}"; cat out | tr A-Z a-z', cwd=work)
    assert (work / "out").read_text() == "SOME TEXT\n"


@pytest.mark.usefixtures("runtime")
def test_virtual_environment_on_top_of_a_wrapped_python(python: Site) -> None:
    show = "import sys, json; print(sys.prefix, sys.base_prefix, json.__file__)"
    script = f"""
        module load wrapped
        python3 -m venv --without-pip v
        v/bin/python -c '{show}'
        . v/bin/activate
        python -c '{show}'
        sh -c 'command -v python'
    """
    first, second, third = python.lmod(script).stdout.splitlines()
    venv = python.user.home / "v"
    assert first == second
    assert first.split()[0] == str(venv)
    assert third == f"{venv}/bin/python"


@pytest.mark.usefixtures("runtime")
def test_calls_from_inside_run_directly(python: Site) -> None:
    (python.user.home / "show.py").write_text(
        "import os, subprocess, sys\n"
        "print(os.readlink('/proc/self/ns/mnt'), flush=True)\n"
        "if sys.argv[1:]:\n    subprocess.check_call([sys.executable, __file__])\n"
    )
    outer, inner = python.lmod("module load wrapped; python3 show.py again").stdout.split()
    assert outer == inner


@pytest.mark.usefixtures("runtime")
def test_root_directory_is_entered_like_an_image(site: Site, debian: Path, place: Path) -> None:
    root = forms(debian, place)["directory"]
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
    record = json.loads((site.prefix("wrapped") / ".tykky/record.json").read_text())
    assert record["base"]["id"] == "debian-12"


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


# -- isolation --------------------------------------------------------------------------------


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory that is neither in /tmp nor in the home of the test's user."""
    own = Path(pwd.getpwuid(os.getuid()).pw_dir)
    folder = own / f"tykky-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    remove(folder)


SEES = (
    "import os, sys;"
    "print(int(os.path.exists(sys.argv[1])), os.getcwd());"
    "open('written', 'w').close(); open(os.environ['TMPDIR'] + '/t', 'w').close();"
    "open('/dev/shm/tykky-shm', 'w').close(); os.unlink('/dev/shm/tykky-shm');"
    "assert os.path.exists('/proc/self') and os.path.exists('/sys/class');"
    "open('/dev/null', 'w').close()"
)


@pytest.mark.parametrize("on", ["image", "host"])
@pytest.mark.parametrize(
    ("level", "home", "mounted", "seen"),
    [
        ("open", True, False, True),
        ("mounts", True, False, True),
        ("mounts", False, True, True),
        ("mounts", False, False, False),
        ("closed", True, True, False),
    ],
)
@pytest.mark.usefixtures("runtime")
def test_isolation_decides_what_of_the_host_is_there(
    site: Site,
    debian: Path,
    place: Path,
    outside: Path,
    on: str,
    level: str,
    home: bool,
    mounted: bool,
    seen: bool,
) -> None:
    body = f"isolation = {level!r}\ncommands = 'python*'\n"
    if on == "image":
        recipe(site, body + f"image = {str(debian)!r}")
    else:
        recipe(site, body + "packages = 'six==1.17.0'", kind="PipStack")
    points = ("-c", f"mount_points={outside}") if mounted else ()
    site(*points, "install", "wrapped")
    # Where somebody works, and what they have there, is visible at each level.
    work, tmp = outside / "work", place / "tmp"
    work.mkdir()
    tmp.mkdir()
    (outside / "other").mkdir()
    env = {"TMPDIR": str(tmp), "PWD": str(work), **({"HOME": str(outside)} if home else {})}
    command = site.prefix("wrapped") / "bin/python3"
    done = site.user.run(command, "-c", SEES, outside / "other", cwd=work, env=env)
    assert done.stdout.split() == [str(int(seen)), str(work)]
    assert (work / "written").exists() and (tmp / "t").exists()


@pytest.mark.usefixtures("runtime")
def test_closed_stack_sees_what_its_recipe_asks_for(
    site: Site, debian: Path, outside: Path
) -> None:
    (outside / "data").write_text("42\n")
    recipe(
        site,
        f"image = {str(debian)!r}\ncommands = 'cat'\nisolation = 'closed'\n"
        f"binds = '{outside}:/data'",
    )
    site("install", "wrapped")
    assert site.lmod("module load wrapped; cat /data/data").stdout == "42\n"


def test_other_isolated_stack_is_refused_with_a_clear_message(
    site: Site, debian: Path, scratch: Path
) -> None:
    recipe(
        site,
        f"image = 'docker-archive:{scratch}'\ncommands = 'hello'\nisolation = 'closed'",
        name="closed",
    )
    recipe(site, f"image = {str(debian)!r}\ncommands = 'sh'", name="open")
    site("install", "closed", "open")
    done = site.user.run(
        site.prefix("open") / "bin/sh", "-c", f"{site.prefix('closed')}/bin/hello", status=125
    )
    assert "from inside another stack" in done.stderr


# -- graphics processors ----------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
def test_stack_for_processors_that_the_node_lacks_runs_and_says_so_on_a_terminal(
    site: Site, scratch: Path
) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA graphics processor")
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'\ngpu = 'nvidia'")
    site("install", "wrapped")
    command = site.prefix("wrapped") / "bin/hello"
    assert site.user.run(command).stderr == ""
    main, terminal = pty.openpty()
    done = site.user.run(command, stderr=terminal)
    os.close(terminal)
    said = os.read(main, 4096).decode()
    os.close(main)
    assert "hello from" in done.stdout
    assert said.splitlines() == [
        "tykky: wrapped/1 is made for graphics processors of NVIDIA, and this node has none"
    ]


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


# -- switching --------------------------------------------------------------------------------


def test_install_is_switched_to_another_runtime_and_back(python: Site) -> None:
    prefix = python.prefix("wrapped")
    (image,) = (prefix / ".tykky").glob("img-*.sqfs")
    before = image.stat()
    code = "import os; print('APPTAINER_CONTAINER' in os.environ)"
    script = f'module load wrapped; python3 -c "{code}"'
    assert python.lmod(script).stdout == "False\n"
    python("refresh", "wrapped", "--runtime", "apptainer")
    assert python.lmod(script).stdout == "True\n"
    python("refresh", "wrapped")
    assert python.lmod(script).stdout == "True\n"
    python("refresh", "--all", "--runtime", "native", "--isolation", "mounts")
    assert python.lmod(script).stdout == "False\n"
    after = image.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_refresh_leaves_running_programs_alone(python: Site) -> None:
    prefix = python.prefix("wrapped")
    running = subprocess.Popen(
        [prefix / "bin/cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=python.user.env,
    )
    python("refresh", "wrapped")
    out, _ = running.communicate("still here\n", timeout=60)
    assert out == "still here\n"
    assert list(prefix.rglob(".*.new")) == []


def test_refresh_takes_the_mount_points_of_the_site_again(
    site: Site, debian: Path, outside: Path
) -> None:
    (outside / "data").write_text("42\n")
    recipe(site, f"image = {str(debian)!r}\ncommands = 'cat'\nisolation = 'mounts'")
    site("install", "wrapped")
    script = f"module load wrapped; cat {outside}/data"
    assert site.lmod(script, status=None).returncode != 0
    site("-c", f"mount_points={outside}", "refresh", "wrapped")
    assert site.lmod(script).stdout == "42\n"


@pytest.mark.parametrize(("words", "status"), [((), Exit.USAGE), (("nothing",), Exit.NOT_FOUND)])
def test_refresh_of_nothing_is_one_error(site: Site, words: tuple[str, ...], status: Exit) -> None:
    assert "Traceback" not in site("refresh", *words, status=status).stderr

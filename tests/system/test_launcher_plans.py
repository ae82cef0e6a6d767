"""Mount plans: at a fixed path, over the original, with binds, or as another root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.launcher.runtimes import argv0, differs, once, shared
from tests.launcher.stacks import (
    APPTAINER_OPTIONS,
    Stack,
    install,
    link_commands,
    make_stack,
    squash,
)
from tykky.bases.image import open_image
from tykky.runtime.base import (
    Bind,
    Command,
    EnvAction,
    EnvChange,
    LaunchPlan,
    Root,
    Runtime,
)

NOWHERE = Path(f"/tykky-test-{os.getpid()}")
"""A path whose first name the host does not have."""

USUAL = {
    *("bin", "boot", "home", "lib", "lib32", "libx32", "media", "mnt", "opt", "root", "run"),
    *("sbin", "srv", "tmp", "usr", "var"),
}
"""Directories in / that an image usually has, and that are bound where they shall be the host's."""


@pytest.fixture
def stack(place: Path, entered_with: Runtime) -> Iterator[Stack]:
    stack = make_stack(place / "stack", runtime=entered_with)
    yield stack
    assert stack.is_gone()


def show(stack: Stack, **options: Any) -> dict[str, Any]:
    done = stack.run("show", **options)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def inner_links(stack: Stack, at: Path) -> Bind:
    """A directory of links into the image, for the place of the commands."""
    links = stack.prefix / "_bin"
    links.mkdir()
    for command in (stack.prefix / "bin").iterdir():
        (links / command.name).symlink_to(at / "bin" / command.name)
    return Bind(str(links), str(stack.prefix / "bin"))


_mount_points = differs(
    "mount points that do not exist, in directories of the host",
    native="are there inside only",
    apptainer="are made on disk where the user may write, and stay",
)


@_mount_points
@pytest.mark.parametrize("kind", ["missing", "deep", "there"])
def test_an_image_can_be_mounted_at_a_fixed_path(
    stack: Stack, place: Path, kind: str, entered_with: Runtime
) -> None:
    at = {"missing": NOWHERE, "deep": place / "a" / "b", "there": place / "original"}[kind]
    if kind == "there":
        at.mkdir()
        (at / "on-disk").touch()
    moved = stack.change(mount_at=at, binds=(inner_links(stack, at),))
    script = f"ls {at}; command -v show; /bin/sh -c '{stack.command('show')} deep'"
    path = f"{stack.prefix}/bin:/usr/bin:/bin"
    done = moved.run("sh", "-c", script, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "pyvenv.cfg" in lines
    assert "on-disk" not in lines
    assert lines[-2] == stack.command("show")
    assert json.loads(lines[-1])["argv"][1:] == ["deep"]
    assert not NOWHERE.exists()
    left = kind == "deep" and entered_with is Runtime.APPTAINER
    assert (place / "a").exists() is left


@differs(
    "plain files in `/` of the host",
    native="are there",
    apptainer="are not there, but all directories and links are",
)
def test_the_rest_of_the_host_stays_as_it_is_with_a_fixed_path(
    stack: Stack, place: Path, entered_with: Runtime
) -> None:
    moved = stack.change(mount_at=NOWHERE, binds=(inner_links(stack, NOWHERE),))
    (place / "file").write_text("here")
    listing = "import os; print(sorted(os.listdir('/')))"
    inside = moved.run("python", "-c", listing, cwd=place)
    outside = subprocess.run(["/usr/bin/python3", "-c", listing], capture_output=True, text=True)
    names = {*eval(outside.stdout), NOWHERE.name}
    if entered_with is Runtime.APPTAINER:
        names -= {path.name for path in Path("/").iterdir() if path.is_file()}
    assert set(eval(inside.stdout)) - {".singularity.d"} == names
    assert moved.run("cat", "file", cwd=place).stdout == "here"
    links = "import os; print({p: os.readlink(p) for p in ('/bin', '/lib') if os.path.islink(p)})"
    inside = moved.run("python", "-c", links)
    outside = subprocess.run(["/usr/bin/python3", "-c", links], capture_output=True, text=True)
    assert inside.stdout == outside.stdout
    # The prefix itself must not be covered by what the new root was made on.
    assert str(moved.conf) in moved.run("sh", "-c", f"ls {moved.conf}").stdout


@argv0
def test_commands_can_have_programs_elsewhere_in_the_image(
    stack: Stack, entered_with: Runtime
) -> None:
    program = NOWHERE / "bin" / "sh"
    moved = stack.change(
        mount_at=NOWHERE, commands=(Command("sh", PurePosixPath(program)),), binds=()
    )
    done = moved.run("sh", "-c", 'readlink /proc/$$/exe; echo "$0"')
    name = moved.command("sh") if entered_with is Runtime.NATIVE else str(program)
    assert done.stdout.splitlines() == [str(program), name]


def test_a_command_that_stays_a_launcher_inside_is_entered_only_once(stack: Stack) -> None:
    program = NOWHERE / "bin" / "sh"
    moved = stack.change(mount_at=NOWHERE, commands=(Command("sh", PurePosixPath(program)),))
    inner = f"{moved.command('sh')} -c 'readlink /proc/self/ns/mnt'"
    done = moved.run("sh", "-c", f"readlink /proc/self/ns/mnt; {inner}")
    first, second = done.stdout.split()
    assert first == second, done.stderr


@_mount_points
def test_binds_make_their_mount_points_and_hide_nothing_else(
    stack: Stack, place: Path, entered_with: Runtime
) -> None:
    (place / "some data").mkdir()
    (place / "some data" / "file").write_text("content")
    (place / "around").mkdir()
    (place / "around" / "neighbour").write_text("still here")
    target = place / "around" / "new" / "data set"
    changed = stack.change(
        binds=(
            Bind(str(place / "some data"), str(target)),
            Bind(str(place / "some data" / "file"), str(place / "around" / "one-file")),
            Bind(str(place / "missing"), str(place / "around" / "nothing"), optional=True),
        )
    )
    done = changed.run(
        "cat", str(target / "file"), str(place / "around/one-file"), str(place / "around/neighbour")
    )
    assert done.stdout == "contentcontentstill here", done.stderr
    left = {"new", "one-file"} if entered_with is Runtime.APPTAINER else set()
    assert {path.name for path in (place / "around").iterdir()} == {"neighbour", *left}


def test_a_bind_follows_a_variable_of_the_caller(stack: Stack, place: Path) -> None:
    changed = stack.change(binds=(Bind("$HOME/x", "/mnt", optional=True),))
    for name in ("one", "two"):
        (place / name / "x").mkdir(parents=True)
        (place / name / "x" / "who").write_text(name)
        done = changed.run("cat", "/mnt/who", env={**os.environ, "HOME": str(place / name)})
        assert done.stdout == name, done.stderr
    without = {key: value for key, value in os.environ.items() if key != "HOME"}
    assert changed.run("true", env=without).returncode == 0


def test_a_missing_source_of_a_bind_is_named(stack: Stack, place: Path) -> None:
    changed = stack.change(binds=(Bind(str(place / "missing"), "/mnt"),))
    done = changed.run("true")
    assert done.returncode == 125
    assert str(place / "missing") in done.stderr


def test_calls_from_another_stack_can_be_refused(stack: Stack, place: Path) -> None:
    alone = make_stack(place / "alone", refuse_other_stacks=True)
    assert alone.run("true").returncode == 0
    done = stack.run("sh", "-c", alone.command("true"))
    assert done.returncode == 125
    assert "inside another stack" in done.stderr
    done = alone.run("sh", "-c", f"/bin/sh -c {alone.command('true')}")
    assert done.returncode == 0, done.stderr
    assert alone.is_gone()


# --- another root ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root directory: busybox-like programs with their libraries, and little else."""
    root = tmp_path_factory.mktemp("system") / "root"
    programs = {"sh": "sh", "cat": "cat", "ls": "ls", "env": "env", "pwd": "pwd", "sleep": "sleep"}
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "etc").mkdir()
    (root / "etc/whoami").write_text("the image\n")
    (root / "opt/tool").mkdir(parents=True)
    for name, target in programs.items():
        found = shutil.which(target, path="/usr/bin:/bin")
        assert found
        shutil.copy(found, root / "usr/bin" / name)
        libraries = subprocess.run(["ldd", found], capture_output=True, text=True).stdout
        for word in libraries.split():
            if word.startswith("/") and not (root / word[1:]).exists():
                (root / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, root / word[1:])
    (root / "opt/tool/hello").write_text("#!/bin/sh\necho hello from $0; cat /etc/whoami\n")
    (root / "opt/tool/hello").chmod(0o755)
    return root


@pytest.fixture(scope="module")
def sif(system: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a SIF; where that cannot be made, a file with a squashfs at an offset."""
    folder = tmp_path_factory.mktemp("sif")
    made = folder / "base.sif"
    if shutil.which("apptainer"):
        build = ["apptainer", "--silent", "build", made, system]
        subprocess.run(build, check=True, capture_output=True)
        return made
    squash(system, folder / "base.sqfs")
    data = (folder / "base.sqfs").read_bytes()
    made.write_bytes(b"#!/usr/bin/env run\n".ljust(4096, b"\0") + data)
    return made


@pytest.fixture(params=["image", "sif", "directory"])
def rooted(
    request: pytest.FixtureRequest, place: Path, system: Path, sif: Path, entered_with: Runtime
) -> Iterator[Stack]:
    """A stack without an image; its root is a squashfs, part of a file, or a directory."""
    prefix = place / "rooted"
    image = place / "base.sqfs"
    if request.param == "directory":
        root = Root(system)
    elif request.param == "sif":
        opened = open_image(sif)
        root = Root(sif, opened.offset, opened.bytes)
    else:
        root = Root(image, 0, squash(system, image))
    commands = ("sh", "cat", "ls", "env", "sleep")
    link_commands(prefix, (*commands, "hello"))
    plan = LaunchPlan(
        name="rooted/1",
        prefix=prefix,
        mounts=(root, Bind(str(place), str(place))),
        runtime=entered_with,
        container=root.path,
        options=APPTAINER_OPTIONS,
        commands=(
            *(Command(name, PurePosixPath("/usr/bin", name)) for name in commands),
            Command("hello", PurePosixPath("/opt/tool/hello")),
        ),
        idle=1,
        idle_step=1,
    )
    stack = install(plan)
    yield stack
    assert stack.is_gone()


def test_a_root_is_entered(rooted: Stack) -> None:
    assert rooted.run("cat", "/etc/whoami").stdout == "the image\n"
    names = set(rooted.run("ls", "/").stdout.split())
    assert {"bin", "etc", "opt", "usr", "proc", "sys", "dev", "tmp"} <= names
    assert "media" not in names
    assert not {name for name in names if name.startswith(".")}


def test_the_root_has_devices_processes_and_what_is_bound(rooted: Stack, place: Path) -> None:
    script = "echo x > /dev/null && cat /proc/self/comm && ls -d /dev/shm && cat file"
    (place / "file").write_text("bound\n")
    done = rooted.run("sh", "-c", script, cwd=place)
    assert done.stdout == "cat\n/dev/shm\nbound\n", done.stderr


def test_a_program_in_a_root_is_called_by_the_command(rooted: Stack) -> None:
    done = rooted.run("hello")
    assert done.stdout == "hello from /opt/tool/hello\nthe image\n", done.stderr


def test_a_command_in_a_root_can_call_another(rooted: Stack) -> None:
    inner = f"{rooted.command('cat')} /etc/whoami"
    assert rooted.run("sh", "-c", inner).stdout == "the image\n"


@shared
def test_commands_in_a_root_share_it(rooted: Stack, entered_with: Runtime) -> None:
    programs = [
        subprocess.Popen(
            # All are there at once: the kernel gives the number of one that has gone again.
            [rooted.command("sh"), "-c", "ls -l /proc/self/ns/mnt; read -r _ || true"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    lines = [program.stdout.readline() for program in programs if program.stdout]
    shown = {line.split("->")[1] for line in lines}
    for program in programs:
        program.communicate("")
    native = entered_with is Runtime.NATIVE
    assert len(shown) == (1 if native else len(programs))
    assert len(rooted.processes("tykky-keeper")) == (1 if native else 0)


@differs(
    "directories in `/` that only unusual images lack (`/opt`, `/srv`, `/var` ...)",
    native="the host's",
    apptainer="not there, unless they are bound",
)
def test_all_of_the_host_can_be_there_too(rooted: Stack, entered_with: Runtime) -> None:
    wide = rooted.change(host_roots=True, binds=())
    assert wide.run("cat", "/etc/whoami").stdout == "the image\n"
    names = set(wide.run("ls", "-A", "/").stdout.split())
    hosts = {path.name for path in Path("/").iterdir()}
    if entered_with is Runtime.APPTAINER:
        left_out = {name for name in hosts if not Path("/", name).is_dir()} | {"lost+found"}
        assert hosts - names - left_out <= USUAL
    else:
        assert hosts <= names


def test_a_mount_point_deep_in_the_image_can_be_made(rooted: Stack, place: Path) -> None:
    (place / "data").mkdir()
    (place / "data/file").write_text("deep\n")
    changed = rooted.change(binds=(Bind(str(place / "data"), "/opt/tool/share/data"),))
    assert changed.run("cat", "/opt/tool/share/data/file").stdout == "deep\n"
    assert changed.run("hello").returncode == 0


def test_an_image_can_be_mounted_in_another_root(
    place: Path, system: Path, entered_with: Runtime
) -> None:
    image = place / "base.sqfs"
    root = Root(image, 0, squash(system, image))
    plain = make_stack(place / "stack", files={"bin/which-root": "#!/bin/sh\ncat /etc/whoami\n"})
    stack = plain.change(
        root=root, runtime=entered_with, container=image, options=APPTAINER_OPTIONS
    )
    assert stack.run("which-root").stdout == "the image\n"
    done = stack.run("sh", "-c", f"ls {stack.prefix}; exec which-root")
    assert "pyvenv.cfg" in done.stdout
    assert stack.is_gone()


def test_a_damaged_root_is_refused(rooted: Stack) -> None:
    root = rooted.plan.root
    assert root
    if Path(root.path).is_dir():
        changed = rooted.change(root=Root(root.path / "missing"))
    else:
        changed = rooted.change(root=Root(root.path, root.offset + 1, root.size))
    done = changed.run("ls")
    assert done.returncode == 125
    assert str(root.path) in done.stderr


def test_a_stack_with_a_root_cannot_be_needed(rooted: Stack, place: Path) -> None:
    above = make_stack(place / "above", needs=(rooted.need,))
    done = above.run("show")
    assert done.returncode == 125
    assert "needs" in done.stderr


@pytest.mark.parametrize("how", ["mv", "cp"])
def test_a_relocatable_install_works_where_it_was_moved_to(
    stack: Stack, place: Path, how: str
) -> None:
    links = inner_links(stack, NOWHERE)
    bind = Bind(links.source.replace(str(stack.prefix), "$PREFIX"), "$PREFIX/bin")
    moved = stack.change(
        mount_at=NOWHERE,
        relocatable=True,
        container=Path("$PREFIX/.tykky/host") if stack.plan.container else None,
        binds=(bind,),
        environment=(EnvChange(EnvAction.PREPEND, "PLACES", "$PREFIX/bin"),),
    )
    script = f"echo $PLACES; ls {NOWHERE}"
    first = moved.run("sh", "-c", script).stdout.splitlines()
    assert (first[0], "pyvenv.cfg" in first) == (f"{stack.prefix}/bin", True)
    target = place / "else where"
    if how == "mv":
        stack.prefix.rename(target)
    else:
        shutil.copytree(stack.prefix, target, symlinks=True)
    done = subprocess.run([target / "bin/sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{target}/bin", *first[1:]], done.stderr
    if how == "mv":
        target.rename(stack.prefix)


@once("launch.conf is read before the runtime matters")
def test_an_install_that_is_bound_to_its_place_says_so(stack: Stack, place: Path) -> None:
    target = place / "elsewhere"
    stack.prefix.rename(target)
    done = subprocess.run([target / "bin/show"], capture_output=True, text=True)
    target.rename(stack.prefix)
    assert done.returncode == 125
    assert f"made at {stack.prefix} and now lies at {target}" in done.stderr


@once("launch.conf is read before the runtime matters")
def test_the_prefix_has_no_name_of_its_own_in_an_install_that_is_bound(stack: Stack) -> None:
    text = stack.conf.read_text().replace(
        "runtime native\n", "runtime native\nroot $PREFIX/x 0 0\n"
    )
    stack.write(text)
    done = stack.run("show")
    assert done.returncode == 125
    assert "'relocatable'" in done.stderr

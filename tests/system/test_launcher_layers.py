"""Layers on an image: what commands see, wherever the layers lie, and what goes wrong with them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.launcher.layers import make_layer
from tests.launcher.runtimes import differs, native_only, once
from tests.launcher.stacks import (
    APPTAINER_OPTIONS,
    Stack,
    make_stack,
    running,
    squash,
    start_many,
    tell,
    wait_for,
)
from tykky.runtime.base import PINS, Bind, Command, ImageMount, Root, Runtime, image_path

PATIENT = 3
"""A keeper must not find itself idle between two commands of a slow machine."""

joined = differs(
    "an install whose image has layers on it",
    native="joined by the kernel, once for all commands on a node",
    apptainer="the same, and bound from there with `--userns`: also where it is set-user-id, it "
    "needs user namespaces and FUSE; `tykky squash` makes one image of them",
)

USE = """
import ctypes, errno, mmap, os, subprocess, sys
top = sys.argv[1]
for name in ("old", "new"):
    with open(f"{top}/data/{name}", "rb") as file, mmap.mmap(file.fileno(), 0, prot=1) as mapped:
        assert mapped[:] == name.encode()
    watch = ctypes.CDLL(None).inotify_init()
    assert ctypes.CDLL(None).inotify_add_watch(watch, f"{top}/data/{name}".encode(), 1) > 0
for name in ("old", "new", "third", "gone"):
    try:
        os.open(f"{top}/data/{name}", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EACCES), error
    else:
        raise SystemExit(f"{name} can be written")
for program in ("true", "tool"):
    subprocess.run(["sh", "-c", f"{top}/bin/{program}"], check=True)
print(*sorted(os.listdir(f"{top}/data")), open(f"{top}/data/changed").read())
"""
READ = "print(open(top + 'old').read(), open(top + 'new').read())"
SEEN = ".wh.old changed new old 2"


def layer(stack: Stack, files: dict[str, str], gone: str = "", **other: str) -> ImageMount:
    """A layer for an image of the stack: files that it adds or changes, and one that it deletes."""
    folders = [stack.prefix / name for name in ("lower", "full")]
    for folder in folders:
        for name in (*files, gone or "data/x"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
    if gone:
        (folders[0] / gone).touch()
    for name, text in files.items():
        (folders[1] / name).write_text(text)
        (folders[1] / name).chmod(0o755 if name.startswith("bin/") else 0o644)
    number = len(list(stack.image.parent.iterdir())) + 1
    image = stack.image.with_name(f"img-{number}.sqfs")
    size = make_layer(*folders, image)
    for folder in folders:
        shutil.rmtree(folder)
    return ImageMount(image.name, size, other.get("at", str(stack.prefix)), layer=True)


CHANGED = {"data/new": "new", "data/changed": "2", "bin/tool": "#!/bin/sh\n"}


@pytest.fixture
def plain(place: Path, entered_with: Runtime) -> Iterator[Stack]:
    """One image."""
    files = {"data/old": "old", "data/changed": "1", "data/gone": "1", "data/.wh.old": "odd"}
    made = make_stack(place / "stack", files=files, runtime=entered_with)
    yield made
    for pid in made.processes("tykky-keeper"):  # which would stay for a second, in each test
        os.kill(pid, signal.SIGKILL)
    assert made.is_gone()


@pytest.fixture
def stack(plain: Stack) -> Stack:
    """The same with a layer on it."""
    return plain.change(layers=[layer(plain, CHANGED, "data/gone")])


def seen(stack: Stack, top: Path | str = "", **options: Any) -> str:
    done = stack.run("python", "-c", USE, str(top or stack.prefix), **options)
    return done.stdout.strip() or done.stderr


@joined
def test_a_layer_is_laid_over_the_image(stack: Stack) -> None:
    assert seen(stack) == SEEN


@joined
def test_layers_lie_on_layers_and_binds_on_both(
    stack: Stack, place: Path, entered_with: Runtime
) -> None:
    first = stack.plan.images[-1]
    second = layer(stack, {"data/new": "newer", "data/gone": "back"}, "data/old")
    (place / "bound").write_text("bound")
    names = ["changed", "x"] if entered_with is Runtime.NATIVE else ["changed"]
    binds = [Bind(str(place / "bound"), f"{stack.prefix}/data/{name}") for name in names]
    higher = stack.change(layers=[first, second], binds=binds)
    done = higher.run("sh", "-c", f"cd {stack.prefix}/data; ls; cat gone new {' '.join(names)}")
    there = sorted({*names, "gone", "new"})
    assert done.stdout == "\n".join([*there, "backnewer" + "bound" * len(names)]), done.stderr
    assert not (stack.prefix / "data").exists()


@joined
def test_a_layer_lies_on_what_is_needed_and_what_is_bound_there_stays(
    stack: Stack, place: Path, entered_with: Runtime
) -> None:
    (place / "bound").write_text("old")
    (place / "bound").chmod(0o444)
    needed = stack.change(layers=[], binds=[Bind(str(place / "bound"), f"{stack.prefix}/data/old")])
    mine = make_stack(place / "mine", files={"data/old": "1"}, runtime=entered_with)
    layers = [
        layer(mine, CHANGED, "data/gone", at=str(stack.prefix)),
        layer(
            mine, {"data/old": "old", "data/new": "new", "data/changed": "2", "bin/tool": "true\n"}
        ),
    ]
    mine = mine.change(needs=[needed.need], layers=layers)
    assert seen(mine, stack.prefix) == SEEN
    assert seen(mine) == "changed new old 2"
    script = f"cd {stack.prefix}/data; cat changed old; grep -c ' {stack.prefix}/data/old ' "
    for one, said in ((needed, "1old1\n"), (mine, "2old1\n")):
        done = one.run("sh", "-c", script + "/proc/self/mountinfo")
        assert done.stdout == said, done.stderr
    assert mine.is_gone()


NOWHERE = Path(f"/tykky-layers-{os.getpid()}")


@joined
@pytest.mark.parametrize("at", [NOWHERE, "$PREFIX/in", "$PREFIX"])
def test_an_install_with_layers_can_be_moved(plain: Stack, place: Path, at: Path | str) -> None:
    moved = plain.change(
        relocatable=True,
        container=plain.plan.container and Path("$PREFIX/.tykky/host"),
        mount_at=at,
        layers=[layer(plain, CHANGED, "data/gone", at=str(at))],
        commands=[Command("sh", PurePosixPath("/bin/sh"))],
    )
    target = place / "else where"
    moved.prefix.rename(target)
    top = str(at).replace("$PREFIX", str(target))
    command = [target / "bin/sh", "-c", f"cd '{top}/data'; echo .wh* *; cat new changed"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=target)
    target.rename(moved.prefix)
    assert done.stdout == ".wh.old changed new old\nnew2", done.stderr


@joined
def test_layers_lie_in_another_root(stack: Stack, place: Path, entered_with: Runtime) -> None:
    system = place / "system"
    (system / "etc").mkdir(parents=True)
    (system / "etc/whoami").write_text("the image")
    for name in ("bin", "lib", "lib64"):
        (system / name).symlink_to(f"usr/{name}")
    (system / "usr").mkdir()
    image = place / "base.sqfs"
    size = squash(system, image)
    rooted = stack.change(
        root=Root(image, 0, size), container=image, host_roots=False, options=APPTAINER_OPTIONS
    )
    binds = [Bind("/usr", "/usr")]
    done = rooted.change(binds=binds).run("sh", "-c", f"cat /etc/whoami {stack.prefix}/data/new")
    assert done.stdout == "the imagenew", done.stderr


@joined
def test_a_running_program_keeps_its_layers(stack: Stack) -> None:
    with running(stack, f"top = '{stack.prefix}/data/'") as program:
        more = layer(stack, {"data/new": "newer"}, "data/old")
        stack.update("2", layers=[stack.plan.images[-1], more]).switch()
        assert tell(program, READ) == "old new"
        done = stack.run("sh", "-c", f"cd {stack.prefix}/data; cat new old")
        assert done.stdout == "newer"
        assert stack.run("cat", f"{stack.prefix}/data/new", env=stack.pinned()).stdout == "new"


@native_only(
    "a command of another generation, called inside one of which all images are its own too",
    native="enters the other",
    apptainer="stays in the container",
)
def test_the_lower_images_alone_are_not_the_stack(plain: Stack) -> None:
    names = ("sh", "cat")
    programs = [Command(name, PurePosixPath(NOWHERE, "bin", name)) for name in names]
    first = plain.change(mount_at=NOWHERE, commands=programs)
    second = first.update("2", layers=[layer(plain, {"data/new": "new"}, at=str(NOWHERE))])
    for pinned, said in ((first, ""), (second, "new")):
        pin = f"{PINS}={first.prefix}={pinned.plan.generation}"
        script = f"{pin} {first.command('cat')} {NOWHERE}/data/new"
        done = first.run("sh", "-c", script)
        assert done.stdout == said, done.stderr


@once("images are looked at before the runtime matters")
@pytest.mark.parametrize("which", [0, 1])
def test_a_bad_image_or_layer_is_named(stack: Stack, which: int) -> None:
    bad = stack.plan.images[which]
    path = image_path(stack.prefix, bad.file)
    whole = path.read_bytes()
    cases = {
        f"it has 4095 bytes instead of {bad.size}": whole[:4095],
        "not a squashfs": b"x" * bad.size,
        "No such file": None,
    }
    for said, content in cases.items():
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        done = stack.run("true")
        assert done.returncode == 125
        assert said in done.stderr and str(path) in done.stderr
        assert "install the stack again" in done.stderr
        path.write_bytes(whole)
    path.write_bytes(whole[:8] + b"\xff" * 20 + whole[28:])  # which only its server finds
    done = stack.run("true", timeout=20)
    assert (done.returncode, str(path) in done.stderr) == (125, True)
    path.write_bytes(whole)
    lost = stack.change(layers=[replace(stack.plan.images[1], target="/nowhere")]).run("true")
    assert "there is no image under the layer" in lost.stderr


@joined
def test_where_layers_cannot_be_had_the_way_out_is_told(stack: Stack) -> None:
    off = "cd /proc/sys/user; echo 0 > max_mnt_namespaces; echo 0 > max_user_namespaces"
    closed = ["unshare", "--user", "--map-root-user", "sh", "-ec"]
    no_fuse = ["bwrap", "--dev-bind", "/", "/", "--dev", "/dev", "--"]
    for node, cause in (
        ([*closed, f"{off}; exec {stack.command('true')}"], "max_user_namespaces=0"),
        ([*no_fuse, stack.command("true")], "/dev/fuse"),
    ):
        done = subprocess.run(node, capture_output=True, text=True)
        assert done.returncode == 125, done.stderr
        assert cause in done.stderr
        assert f"'tykky squash {stack.plan.name}'" in done.stderr


@native_only(
    "the layers of an install, once it is entered",
    native="one mount and one server of each image, which all commands share",
    apptainer="the same",
)
def test_cold_starts_at_once_make_one_mount_of_each_image(stack: Stack, registry: Path) -> None:
    stack = stack.change(
        idle=PATIENT, layers=[*stack.plan.images[1:], layer(stack, {"data/x": ""})]
    )
    shown = start_many([stack], 64)
    assert len({one["mount_ns"] for one in shown}) == 1
    assert len(stack.processes("tykky-keeper")) == 1
    assert len(stack.processes("squashfuse_ll")) == len(stack.processes("tykky-relay")) == 3
    assert stack.is_gone()
    assert wait_for(lambda: not list(registry.iterdir()))


@joined
def test_whatever_is_killed_the_next_command_works(stack: Stack) -> None:
    for name, count in (("squashfuse_ll", 2), ("tykky-keeper", 1), ("tykky-relay", 2)):
        with running(stack, f"top = '{stack.prefix}/data/'") as program:
            killed = stack.processes(name)
            assert len(killed) == count
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            assert wait_for(lambda gone=set(killed): not gone & set(stack.processes()))
            if name != "tykky-relay":  # with which the mount is lost
                assert tell(program, READ) == "old new"
            assert seen(stack) == SEEN

"""When a stack cannot be entered: status 125, one line of cause, one of remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.launcher.runtimes import differs, native_only, once
from tests.launcher.stacks import Stack, make_stack, running, tell
from tykky.runtime.base import Runtime, render

_by_apptainer = differs(
    "what only shows inside: a program that is not in the image, an image damaged in the middle",
    native="one line of cause, one of remedy; status 127 or 125",
    apptainer="Apptainer's own message, status 255",
)
_node = native_only(
    "a node without user namespaces or `/dev/fuse`",
    native="named, with what to ask the administrator for",
    apptainer="Apptainer's own message; if it is set-user-id, it works there",
)
_server = native_only(
    "the program that reads images",
    native="`squashfuse_ll` of the node, or `server` of the configuration",
    apptainer="Apptainer's own, or the kernel where it is set-user-id",
)


@pytest.fixture
def stack(place: Path, entered_with: Runtime) -> Stack:
    return make_stack(place / "stack", commands=["not-in-the-image"], runtime=entered_with)


def refused(done: subprocess.CompletedProcess[str], *words: str, status: int = 125) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("tykky: error: ") and lines[1].startswith("tykky: what to do: ")
    for word in words:
        assert word in done.stderr


def refused_by_apptainer(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 255
    assert done.stderr.startswith("FATAL: ")
    for word in words:
        assert word in done.stderr


def test_a_moved_prefix_names_both_places(stack: Stack) -> None:
    moved = stack.prefix.with_name("moved")
    stack.prefix.rename(moved)
    done = subprocess.run([moved / "bin/show"], capture_output=True, text=True)
    refused(done, str(stack.prefix), str(moved))


def test_a_copied_prefix_does_not_enter_the_other(stack: Stack) -> None:
    copy = stack.prefix.with_name("copy")
    shutil.copytree(stack.prefix, copy, symlinks=True)
    done = subprocess.run([copy / "bin/show"], capture_output=True, text=True)
    refused(done, str(stack.prefix), str(copy))


def test_a_command_copied_elsewhere_says_to_make_a_link(stack: Stack) -> None:
    copy = stack.prefix.parent / "show"
    shutil.copy(stack.command("show"), copy)
    refused(subprocess.run([copy], capture_output=True, text=True), "symbolic link")


@_by_apptainer
def test_a_command_that_the_image_lacks_is_127(stack: Stack, entered_with: Runtime) -> None:
    done = stack.run("not-in-the-image")
    if entered_with is Runtime.APPTAINER:
        refused_by_apptainer(done, "not-in-the-image")
    else:
        refused(done, "not-in-the-image", status=127)


def test_a_launcher_in_the_image_never_runs_itself_again(place: Path) -> None:
    inner = make_stack(place / "inner")
    copied = place / "launcher"
    shutil.copy(inner.command("show"), copied)
    tree = place / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(copied, tree / "bin" / "loop")
    image = inner.image.with_name("img-2.sqfs")
    subprocess.run(["mksquashfs", tree, image, "-quiet", "-no-progress"], check=True)
    (inner.prefix / "bin" / "loop").hardlink_to(inner.command("show"))
    changed = inner.change(image=image.name, image_size=image.stat().st_size)
    refused(changed.run("loop", timeout=20), "still the launcher")


def test_a_truncated_image_is_named_with_both_sizes(stack: Stack) -> None:
    size = stack.image_size
    os.truncate(stack.image, size - 4096)
    refused(stack.run("show"), str(stack.image), str(size), str(size - 4096))


def test_a_file_that_is_no_image_is_refused(stack: Stack) -> None:
    stack.image.write_bytes(b"x" * stack.image_size)
    refused(stack.run("show"), "not a squashfs")


def test_an_image_whose_end_is_missing_is_refused(stack: Stack) -> None:
    half = stack.image_size // 2
    os.truncate(stack.image, half)
    refused(stack.change(image_size=half).run("show"), "its end is missing")


@once("descriptors are the launcher's own affair")
def test_too_few_open_files_are_told_as_such_wherever_they_run_out(stack: Stack) -> None:
    told = []
    for limit in range(3, 12):
        script = f"ulimit -n {limit}; exec {stack.command('true')}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
        if done.returncode != 0:
            refused(done, "ulimit -n")
            told.append(done.stderr.splitlines()[0])
    assert len(set(told)) > 2


def test_a_missing_image_is_named(stack: Stack) -> None:
    stack.image.unlink()
    refused(stack.run("show"), str(stack.image), "install the stack again")


@_server
def test_a_missing_image_server_is_named(stack: Stack) -> None:
    changed = stack.change(servers=(Path("/nowhere/squashfuse_ll"),))
    refused(changed.run("show"), "/nowhere/squashfuse_ll", "squashfuse")


@_server
def test_an_image_server_that_cannot_be_executed_is_named(stack: Stack) -> None:
    broken = stack.prefix.parent / "squashfuse_ll"
    broken.write_text("#!/nowhere\n")
    broken.chmod(0o755)
    refused(stack.change(servers=(broken,)).run("show"), str(broken), "architecture")


@_server
def test_an_image_server_that_gives_up_is_named_with_the_image(stack: Stack) -> None:
    refused(stack.change(servers=(Path("/bin/false"),)).run("show"), "/bin/false", str(stack.image))


@_by_apptainer
def test_a_broken_squashfs_does_not_hang(stack: Stack, entered_with: Runtime) -> None:
    with stack.image.open("r+b") as image:
        image.seek(8)
        image.write(b"\xff" * 20)
    done = stack.run("show", timeout=20)
    if entered_with is Runtime.APPTAINER:
        refused_by_apptainer(done, str(stack.image))
    else:
        refused(done, str(stack.image))


@once("launch.conf is read before the runtime matters")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["launch.conf:1"]),
        ("format 1\n", ["an older Tykky", "format 1", "format 2", "'tykky refresh'"]),
        ("format two\n", ["launch.conf:1", "two"]),
        ("name x\n", ["launch.conf:1", "format 2"]),
        ("format 2\nfrobnicate yes\n", ["launch.conf:2", "unknown key 'frobnicate'"]),
        ("format 2\nname\n", ["launch.conf:2", "key value"]),
        ("format 2\nname a\nname b\n", ["launch.conf:3", "second"]),
        ("format 2\nname a", ["launch.conf:2", "middle of a line"]),
        ("format 2\nname a\0b\n", ["launch.conf:2", "NUL"]),
        ("format 2\nprefix a/b\n", ["launch.conf:2", "absolute"]),
        ("format 2\nprefix /a/../b\n", ["launch.conf:2", "absolute"]),
        ("format 2\ngeneration 0\n", ["launch.conf:2", "from 1"]),
        ("format 2\ngeneration new-1a\n", ["launch.conf:2", "from 1"]),
        ("format 2\nimage x 1\n", ["launch.conf:2", "words"]),
        ("format 2\nimage ../x 1 /a\n", ["launch.conf:2", "file name"]),
        ("format 2\nimage x -1 /a\n", ["launch.conf:2", "number"]),
        ("format 2\nimage x 0 /a\n", ["launch.conf:2", "number"]),
        ("format 2\nimage x 1 a\n", ["launch.conf:2", "absolute"]),
        ("format 2\nimage x 1 $HOME\n", ["launch.conf:2", "absolute"]),
        ("format 2\nimage x 1 $GENERATION/a\n", ["launch.conf:2", "absolute"]),
        ("format 2\nroot /a 0\n", ["launch.conf:2", "words"]),
        ("format 2\nroot /a 0 0\nroot /a 0 0\n", ["launch.conf:3", "second"]),
        ("format 2\nbind /a /b\nroot /a 0 0\n", ["launch.conf:3", "before"]),
        ("format 2\nneed /a\n", ["launch.conf:2", "words"]),
        ("format 2\nneed /a ../b\n", ["launch.conf:2", "generation"]),
        ("format 2\nneed /a 1 ../b\n", ["launch.conf:2", "file name"]),
        ("format 2\nneed /a 1 b c\n", ["launch.conf:2", "words"]),
        ("format 2\nset A=B c\n", ["launch.conf:2", "variable"]),
        ("format 2\nidle 0\n", ["launch.conf:2", "seconds"]),
        ("format 2\nruntime docker\n", ["launch.conf:2", "docker"]),
        ("format 2\nbind /one\n", ["launch.conf:2", "words"]),
        ("format 2\nbind /one /two /three\n", ["launch.conf:2", "words"]),
        ("format 2\nbind /one /two\\99\n", ["launch.conf:2", "words"]),
        ("format 2\nbind /one $/x\n", ["launch.conf:2", "absolute"]),
        ("format 2\nbind /one $GENERATION/x\n", ["launch.conf:2", "absolute"]),
        ("format 2\ncommand a/b /c\n", ["launch.conf:2", "file name"]),
        ("format 2\nhost_roots maybe\n", ["launch.conf:2", "maybe"]),
        ("format 2\noption rm\n", ["launch.conf:2", "option"]),
        ("format 2\n# only a comment\n", ["launch.conf:3", "without the key 'name'"]),
        (
            "format 2\nname a\nprefix /a\ngeneration 1\nruntime native\n",
            ["without the key 'image'"],
        ),
    ],
)
def test_a_wrong_launch_conf_is_refused_with_its_line(
    stack: Stack, text: str, words: list[str]
) -> None:
    stack.write(text)
    refused(stack.run("show"), *words)


@once("launch.conf is read before the runtime matters")
def test_a_file_of_a_newer_tykky_is_refused_and_nothing_is_disturbed(stack: Stack) -> None:
    newer = stack.update("2")
    newer.write(render(newer.plan).replace("format 2\n", "format 3\nwhatever that may be\n"))
    before = sorted(stack.prefix.rglob("*"))
    with running(stack) as program:
        newer.switch()
        done = stack.run("show")
        refused(done, str(stack.conf), "a newer Tykky", "format 3", "format 2")
        assert (
            "ask whoever keeps this install to run a newer Tykky's 'tykky refresh'" in done.stderr
        )
        assert stack.run("true", env=stack.pinned()).returncode == 0
        assert tell(program, "import colorsys; print(colorsys.__name__)") == "colorsys"
    assert sorted(stack.prefix.rglob("*")) == before


def test_an_unreadable_launch_conf_names_the_file(stack: Stack) -> None:
    stack.conf.unlink()
    refused(stack.run("show"), str(stack.conf), "symbolic link")


@native_only(
    "a program for another kind of machine",
    native="one line of cause, one of remedy; status 126",
    apptainer="run as a script of `sh`, which finds no sense in it; status 127",
)
def test_a_program_for_another_machine_is_126(place: Path) -> None:
    wrong = "\x7fELF" + "\x02" * 200
    stack = make_stack(place / "stack", files={"bin/wrong": wrong})
    refused(stack.run("wrong"), "another kind of machine", status=126)


@_by_apptainer
def test_a_program_whose_interpreter_is_missing_is_126(place: Path, entered_with: Runtime) -> None:
    lost = {"bin/lost": "#!/nowhere/python\n"}
    stack = make_stack(place / "stack", files=lost, runtime=entered_with)
    if entered_with is Runtime.APPTAINER:
        refused_by_apptainer(stack.run("lost"), "lost")
    else:
        refused(stack.run("lost"), "interpreter", status=126)


@_node
def test_user_namespaces_turned_off_are_named_with_the_setting(stack: Stack) -> None:
    # The limits belong to a user namespace, in which anybody may be root and lower them.
    off = "cd /proc/sys/user; echo 0 > max_mnt_namespaces; echo 0 > max_user_namespaces"
    script = f"{off}; exec {stack.command('show')}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-ec", script],
        capture_output=True,
        text=True,
    )
    refused(done, "user namespaces are disabled", "max_user_namespaces=0", "administrator")


@_node
def test_a_node_without_dev_fuse_is_told_what_to_ask_for(stack: Stack) -> None:
    bwrap = ["bwrap", "--dev-bind", "/", "/", "--dev", "/dev", "--", stack.command("show")]
    done = subprocess.run(bwrap, capture_output=True, text=True)
    refused(done, "/dev/fuse", "administrator", "0666")


def test_a_launcher_that_cannot_be_read_still_works(stack: Stack) -> None:
    (stack.prefix / ".tykky" / "launch").chmod(0o111)
    assert stack.run("true").returncode == 0

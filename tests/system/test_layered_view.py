"""Images with layers look like the full tree, whatever was changed in it and however often."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.launcher.layers import is_folder, make_layer
from tests.launcher.stacks import Stack, install, link_commands, of_host, squash
from tests.support import remove
from tykky.runtime.base import Command, ImageMount, LaunchPlan, Runtime, image_path

#: Names that a shell, a pattern or an overlay of another kind would take for something else.
NAMES = (
    *(b"a", b"b", b"c", b".wh.a", b".wh..wh..opq", b".wh.", b"#a", b"-rf", b"a b", b"*[?]", b"\\"),
    *(b'"q', b"l\xff", "\u00fc\n\t".encode(), b"n" * 255),
)
PATH = st.lists(st.sampled_from(NAMES[:4]) | st.sampled_from(NAMES), min_size=1, max_size=3)
TEXT = st.sampled_from([b"", b"1", b"2", b"x" * 5000])
THERE = st.integers(0, 30)
CHANGE = st.one_of(
    st.tuples(st.just("file"), PATH, TEXT),
    st.tuples(st.just("file"), PATH, TEXT),
    st.tuples(st.just("folder"), PATH, st.sampled_from([0, 1, 2, 3, 150])),
    st.tuples(st.just("symlink"), PATH, st.sampled_from([b"a", b"../b", b"/nowhere", b"\xfe"])),
    st.tuples(st.just("hard link"), PATH, THERE),
    st.tuples(st.just("rename"), PATH, THERE),
    st.tuples(st.just("remove"), st.just([]), THERE),
    st.tuples(st.just("mode"), st.just([]), THERE),
)
Steps = list[tuple[str, list[bytes], bytes | int]]
STEPS = st.lists(st.lists(CHANGE, min_size=1, max_size=8), min_size=2, max_size=5)

#: What can be seen of a tree, by listing it and by asking for every name in every directory.
LOOK = """
import errno, hashlib, os, stat, sys

NAMES = eval(sys.argv[1])

def look(top):
    seen, links = [], {}
    def visit(folder, below):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        there = [entry.name for entry in entries]
        for name in NAMES:
            if os.path.lexists(folder + b"/" + name) != (name in there):
                seen.append((below, "listed and not there, or the other way round", name))
        for entry in entries:
            path, name = entry.path, below + b"/" + entry.name
            status = os.lstat(path)
            assert status.st_ino == entry.inode() and status.st_dev == os.lstat(top).st_dev, path
            kinds = [entry.is_dir(follow_symlinks=False), entry.is_symlink()]
            assert kinds == [stat.S_ISDIR(status.st_mode), stat.S_ISLNK(status.st_mode)], path
            what = None
            if entry.is_symlink():
                what = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    what = hashlib.sha256(file.read()).hexdigest()
            size = 0 if entry.is_dir(follow_symlinks=False) else (status.st_size, status.st_nlink)
            if status.st_nlink > 1 and size:
                links.setdefault(status.st_ino, []).append(name)
            seen.append((name, oct(status.st_mode), status.st_uid, size, what))
            if entry.is_dir(follow_symlinks=False):
                visit(path, name)
    visit(top, b"")
    return seen, sorted(links.values()), oct(os.lstat(top).st_mode)

one, other = (look(os.fsencode(path)) for path in sys.argv[2:])
if one == other:
    print("the same:", len(one[0]), "names")
else:
    for pair in zip(one[0] + [None], other[0] + [None]):
        if pair[0] != pair[1]:
            break
    print("differs:", *pair, one[1:], other[1:], sep="\\n")
"""


def _clear(path: Path) -> None:
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def change(tree: Path, what: str, names: list[bytes], more: bytes | int) -> None:
    """Change a tree so, if that makes sense there; by number, something that is in it."""
    there = sorted(tree.rglob("*"), key=os.fsencode) or [tree]
    one, path = there[more % len(there)] if isinstance(more, int) else tree, tree
    for name in map(os.fsdecode, names):
        if not is_folder(path):
            _clear(path)
            path.mkdir()
        path /= name
    moves = path != tree and one not in (path, *path.parents) and path not in one.parents
    match what, more:
        case "file", bytes(text):
            _clear(path)
            path.write_bytes(text)
        case "symlink", bytes(target):
            _clear(path)
            path.symlink_to(os.fsdecode(target))
        case "folder", int(count):
            _clear(path)
            path.mkdir()
            for number in range(count):
                (path / f"{number}").write_bytes(b"in it")
        case "remove", _ if one != tree:
            _clear(one)
        case "mode", int(mode) if one.exists() and not one.is_symlink():
            one.chmod(0o555 if is_folder(one) and mode % 2 else 0o755 if mode % 3 else 0o644)
            one.chmod(one.stat().st_mode | 0o111 * is_folder(one))
        case "rename", _ if moves and os.path.lexists(one):
            _clear(path)
            one.rename(path)
        case "hard link", _ if moves and one.is_file() and not one.is_symlink():
            _clear(path)
            os.link(one, path)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory, entered_with: Runtime) -> Iterator[LaunchPlan]:
    """A stack without images, whose only command is the host's Python."""
    prefix = tmp_path_factory.mktemp("view") / "stack"
    link_commands(prefix, ["python3"])
    fields = of_host(prefix) if entered_with is Runtime.APPTAINER else {}
    command = Command("python3", PurePosixPath("/usr/bin/python3"))
    plan = LaunchPlan("view/1", prefix, commands=(command,), idle=1, idle_step=1, **fields)
    yield replace(plan, runtime=entered_with)
    assert Stack(plan).is_gone()


def view(plan: LaunchPlan, folder: Path, steps: list[Steps]) -> str:
    """Make a tree in steps, each a layer; how that looks beside one image of the last state."""
    tree, before = folder / "tree", folder / "before"
    tree.mkdir(parents=True)
    mounts = []

    def mount(target: str, file: str, below: Path | None = None) -> None:
        image = image_path(plan.prefix, f"{folder.name}-{file}")
        image.parent.mkdir(parents=True, exist_ok=True)
        size = make_layer(below, tree, image) if below else squash(tree, image)
        mounts.append(ImageMount(image.name, size, str(plan.prefix / target), below is not None))

    for number, changes in enumerate(steps):
        subprocess.run(["cp", "-a", tree, before], check=True)
        for what, names, more in changes:
            with contextlib.suppress(PermissionError):  # in a directory that it closed before
                change(tree, what, names, more)
        mount("layered", str(number), before if number else None)
        remove(before)
    mount("full", "full")
    remove(folder)
    stack = install(replace(plan, mounts=tuple(mounts)))
    where = [str(plan.prefix / name) for name in ("full", "layered")]
    done = stack.run("python3", "-ISc", LOOK, repr(NAMES), *where)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_layers_look_like_the_full_tree(
    viewer: LaunchPlan, tmp_path: Path, entered_with: Runtime
) -> None:
    number = itertools.count()

    @settings(
        max_examples=30 if entered_with is Runtime.NATIVE else 4,
        phases=[Phase.generate],  # to find a smaller one would take minutes
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(STEPS)
    def look_alike(steps: list[Steps]) -> None:
        assert view(viewer, tmp_path / f"{next(number)}", steps).startswith("the same")

    look_alike()

"""What an overlay has written becomes a layer: the tree with it is the tree that was made."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tykky.bases.layers import extract_all, listing_of, unpack_all
from tykky.build import layered
from tykky.errors import Exit
from tykky.files import discard, walk
from tykky.resources import resource
from tykky.tools import layers
from tykky.tools.apart import apart
from tykky.tools.overlay import NoLayers, Tree, join
from tykky.tools.squash import program, settle

NAMES = ["a", "b", "d", ".wh.a", ".wh..wh..opq", "ä b", " x ", "#c", "q'\"", "back\\slash", "st*r"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["file", "file", "program", "folder", "link", "delete", "again", "rename"]),
        PATHS,
        PATHS,
    ),
    max_size=12,
)


def change(top: Path, what: str, name: str, other: str) -> None:
    """Make one change to a tree, if it can be made there."""
    path, old = top / name, top / other
    try:
        if what == "delete":
            discard(path)
        elif what == "again":  # all that is in it, but for one
            kept = {each: each.read_text() for each in path.rglob("*") if each.is_file()}
            discard(path)
            for each in [*kept][1:]:
                each.parent.mkdir(parents=True, exist_ok=True)
                each.write_text(kept[each])
        elif what == "rename":
            if path not in (old, *old.parents) and old not in path.parents:
                shutil.move(old, path)
        elif what == "link":
            path.symlink_to(other)
        elif what == "folder":
            if path.is_file() or path.is_symlink():
                path.unlink()
            path.mkdir(parents=True)
        else:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.write_text(other)
            path.chmod(0o755 if what == "program" else 0o644)
    except OSError:
        pass  # there is nothing, or something else


def seen(top: Path) -> dict[str, tuple[str, str]]:
    """Everything in a tree but times and owners: what a user of it can see."""
    found = {}
    for entry in walk(top):
        path = Path(entry.path)
        mode = path.lstat().st_mode
        content = os.readlink(path) if stat.S_ISLNK(mode) else ""  # noqa: PTH115
        if stat.S_ISREG(mode):
            content = path.read_text()
        found[str(path.relative_to(top))] = (stat.filemode(mode), content)
    return found


def squash(tree: Path, image: Path) -> Path:
    options = ["-noappend", "-quiet", "-no-progress", "-all-root", "-no-xattrs", "-comp", "lz4"]
    options += ["-all-time", "0", "-mkfs-time", "0"]
    subprocess.run([program(), tree, image, *options], check=True)
    return image


def layer(folder: Path, images: list[Path], make: Callable[[Path], None]) -> Path:
    """What somebody does to the tree of images, as a layer on top of them."""

    def act(tree: Tree) -> None:
        make(tree.top)
        settle(tree.upper)
        layers.reduce(tree.upper, tree.below)

    folder.mkdir()
    apart(lambda: join(images, folder, folder / "top"), act)
    return squash(folder / "upper", folder.with_suffix(".sqfs"))


def view(folder: Path, images: list[Path]) -> dict[str, tuple[str, str]]:
    folder.mkdir()
    return apart(lambda: join(images, folder, folder / "top"), lambda tree: seen(tree.top))


@given(CHANGES, CHANGES, CHANGES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_layer_on_its_images_is_the_tree_that_was_made(
    first: list[tuple[str, str, str]],
    second: list[tuple[str, str, str]],
    third: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory(prefix="tykky-") as name:
        here = Path(name)
        model = here / "model"
        model.mkdir()

        def step(changes: list[tuple[str, str, str]]) -> Callable[[Path], None]:
            return lambda top: [change(top, *each) for each in changes] and None

        step(first)(model)
        settle(model)
        images, paths = [squash(model, here / "0.sqfs")], [*map(str, seen(model))]
        for number, changes in enumerate((second, third), 1):
            step(changes)(model)
            settle(model)
            images.append(layer(here / f"{number}", images, step(changes)))
            files = {p for p, (mode, _) in seen(model).items() if mode[0] != "d"}
            paths = [*layers.paths_with(here / f"{number}/upper", paths)]
            assert {*paths} - {p for p, (mode, _) in seen(model).items() if mode[0] == "d"} == files
            paths = [*files]
        assert view(here / "view", images) == seen(model)

        # Without the kernel's help it is the same, and so is what the images are said to have.
        (here / "out").mkdir()
        unpack_all(images, here / "out")
        assert seen(here / "out") == seen(model)
        assert {p.lstrip("/") for p in listing_of(images).kinds} - {""} == {*seen(model)}

        # The same difference is the same layer, however it came about.
        def all_anew(top: Path) -> None:
            for path in [*top.iterdir()]:
                discard(path)
            shutil.copytree(model, top, symlinks=True, dirs_exist_ok=True)

        once = layer(here / "once", images[:2], all_anew)
        assert once.read_bytes() == images[2].read_bytes()


def test_nothing_is_written_where_a_link_leads(tmp_path: Path) -> None:
    below, above = tmp_path / "below", tmp_path / "above"
    mine = tmp_path / "mine"
    for folder in (below, above / "top/deep", mine):
        folder.mkdir(parents=True)
    (mine / "file").write_text("mine")
    for name in ("file", "top/kept"):
        (below / name).parent.mkdir(exist_ok=True)
        (below / name).symlink_to(mine / "file")
    (below / "top/deep").symlink_to(mine)
    for name in ("file", "top/deep/file", "top/kept"):
        (above / name).write_text("theirs")
    images = [squash(below, tmp_path / "0.sqfs"), squash(above, tmp_path / "1.sqfs")]
    for way in (lambda to: unpack_all(images, to), lambda to: extract_all(images, "top", to)):
        out = tmp_path / "out"
        out.mkdir()
        way(out)
        assert [*mine.iterdir()] == [mine / "file"]
        assert (mine / "file").read_text() == "mine"
        assert (out / "top/deep/file").read_text() == (out / "top/kept").read_text() == "theirs"
        assert (out / "top/deep").is_dir() and not (out / "top/deep").is_symlink()
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("lines", "plain"),
    [
        ("commands = 'a*', 'b'", True),
        (
            "@property\ndef commands(self):\n  yield from ('a', 'b')\n  if self.x:\n    yield 'c'",
            True,
        ),
        ("@property\ndef commands(self):\n  return {'a': 'x/a'}", False),
        ("@property\ndef commands(self):\n  yield 'a'\n  yield self.b", False),
        ("commands = {'a': 'x'}", False),
        ("commands = ('x/a',)", False),
        ("commands = NAMES", False),
    ],
)
def test_commands_are_plain_if_the_recipe_says_so_itself(lines: str, plain: bool) -> None:
    text = "class A:\n" + textwrap.indent(lines, "    ")
    assert layered.has_plain_commands(text.encode()) is plain
    shipped = resource("repo") / "python-data/recipe.py"
    assert layered.has_plain_commands(shipped.read_bytes())


def test_where_nothing_can_be_mounted_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    image = tmp_path / "no.sqfs"
    image.write_text("")
    with pytest.raises(NoLayers, match="nothing can be laid over an image here") as caught:
        apart(
            lambda: join([image], tmp_path / "folder", tmp_path / "top", "/bin/false"),
            lambda _: None,
        )
    assert caught.value.code == Exit.NODE


def test_what_a_child_raises_or_says_arrives(tmp_path: Path) -> None:
    def fail(_: None) -> None:
        raise NoLayers("cause", remedy="remedy", details=("more",))

    with pytest.raises(NoLayers) as caught:
        apart(lambda: None, fail)
    assert (caught.value.cause, caught.value.remedy) == ("cause", "remedy")
    assert caught.value.details == ("more",)
    assert apart(os.getuid, lambda uid: (uid, os.getuid())) == (0, os.getuid())
    with pytest.raises(OSError, match="No such file"):
        apart(lambda: None, lambda _: (tmp_path / "no").read_text())
    with pytest.raises(Exception, match=r"ended before its time \(signal 9\)"):
        apart(lambda: None, lambda _: os.kill(os.getpid(), 9))

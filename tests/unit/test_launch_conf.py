"""What a launch plan looks like as text, and what cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tykky.errors import Exit, TykkyError
from tykky.runtime.base import (
    Bind,
    Command,
    EnvAction,
    EnvChange,
    ImageMount,
    LaunchPlan,
    Mount,
    Need,
    Root,
    conf_path,
    image_path,
    render,
)

PLACE = Path("/s/demo/1")
IMAGE = ImageMount("img-a.sqfs", 4096, str(PLACE))
PLAN = LaunchPlan(name="demo/1", prefix=PLACE, generation="7", mounts=(IMAGE,))


def lines(plan: LaunchPlan) -> list[str]:
    return [line for line in render(plan).splitlines() if not line.startswith("#")]


def test_the_format_comes_first() -> None:
    assert lines(PLAN)[0] == "format 2"


def test_every_line_is_a_key_and_a_value() -> None:
    assert "prefix /s/demo/1" in lines(PLAN)
    assert "generation 7" in lines(PLAN)
    assert all(len(line.split(" ", 1)) == 2 for line in lines(PLAN))


def test_the_environment_keeps_its_order_and_its_spaces() -> None:
    changes = (
        EnvChange(EnvAction.SET, "A", "one  two "),
        EnvChange(EnvAction.UNSET, "B"),
        EnvChange(EnvAction.PREPEND, "A", "x"),
    )
    keys = ("set", "unset", "prepend")
    written = [
        line for line in lines(replace(PLAN, environment=changes)) if line.split()[0] in keys
    ]
    assert written == ["set A one  two ", "unset B", "prepend A x"]


def test_what_activates_comes_before_what_the_recipe_sets() -> None:
    changes = (EnvChange(EnvAction.INSERT, "PATH", "/s/bin"), EnvChange(EnvAction.UNSET, "B"))
    plan = replace(PLAN, activation=changes, environment=(EnvChange(EnvAction.SET, "B", "1"),))
    written = [line for line in lines(plan) if line.split()[0] in ("activate", "set")]
    assert written == ["activate insert PATH /s/bin", "activate unset B", "set B 1"]


def test_spaces_in_the_words_of_a_bind_are_escaped() -> None:
    binds = (Bind("$HOME/my data", "/data\\x", optional=True), Bind("/a", "/b"))
    written = lines(replace(PLAN, mounts=(IMAGE, *binds)))
    assert "try_bind $HOME/my\\040data /data\\134x" in written
    assert "bind /a /b" in written


def test_mounts_keep_their_order() -> None:
    mounts: tuple[Mount, ...] = (
        Root(PurePosixPath("$GENERATION/root"), 40960, 99999),
        Need(Path("/s/other"), "3", "a.sqfs,b.sqfs"),
        Need(Path("/s/third"), "4"),
        Bind("/a", "/b"),
        IMAGE,
        Bind("$GENERATION/links", "/s/demo/1/bin"),
    )
    keys = ("root", "need", "image", "bind")
    written = [line for line in lines(replace(PLAN, mounts=mounts)) if line.split()[0] in keys]
    assert written == [
        "root $GENERATION/root 40960 99999",
        "need /s/other 3 a.sqfs,b.sqfs",
        "need /s/third 4",
        "bind /a /b",
        "image img-a.sqfs 4096 /s/demo/1",
        "bind $GENERATION/links /s/demo/1/bin",
    ]


def test_a_root_needs_no_image() -> None:
    plan = replace(PLAN, mounts=(Root(Path("/base.sif"), 40960, 99999),))
    assert "root /base.sif 40960 99999" in lines(plan)
    assert not [line for line in lines(plan) if line.startswith("image")]


def test_the_prefix_stands_for_where_an_install_lies_that_may_be_moved() -> None:
    mounts = (ImageMount("a.sqfs", 1, "$PREFIX"), Bind("$PREFIX/links", "$PREFIX/bin"))
    assert "image a.sqfs 1 $PREFIX" in lines(replace(PLAN, mounts=mounts, relocatable=True))
    for mount in mounts:
        with pytest.raises(TykkyError):
            render(replace(PLAN, mounts=(IMAGE, mount)))


def test_files_of_a_place_are_found() -> None:
    assert conf_path(PLACE) == PLACE / ".tykky/current/launch.conf"
    assert conf_path(PLACE, "7") == PLACE / ".tykky/generations/7/launch.conf"
    assert image_path(PLACE, "a.sqfs") == PLACE / ".tykky/images/a.sqfs"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "two\nlines"},
        {"name": ""},
        {"prefix": Path("relative")},
        {"prefix": Path("/a/../b")},
        {"generation": "0"},
        {"generation": "new-1a"},
        {"mounts": (ImageMount("../other.sqfs", 1, "/x"),)},
        {"mounts": (ImageMount(".hidden", 1, "/x"),)},
        {"mounts": (ImageMount("a", 0, "/x"),)},
        {"mounts": (ImageMount("a", 1, "relative"),)},
        {"mounts": (ImageMount("a", 1, "$GENERATION/x"),)},
        {"mounts": (ImageMount("a", 1, "$HOME"),)},
        {"mounts": ()},
        {"mounts": (IMAGE, Root(Path("/base.sif")))},
        {"mounts": (Root(Path("/base.sif")), Root(Path("/base.sif")))},
        {"mounts": (Root(Path("$PREFIX/root")),)},
        {"mounts": (IMAGE, Need(Path("relative"), "1"))},
        {"mounts": (IMAGE, Need(Path("/s/other"), ""))},
        {"mounts": (IMAGE, Need(Path("/s/other"), "1", "../a"))},
        {"mounts": (IMAGE, Need(Path("/s/other"), "../1"))},
        {"servers": (Path("squashfuse_ll"),)},
        {"environment": (EnvChange(EnvAction.SET, "A=B", "c"),)},
        {"environment": (EnvChange(EnvAction.SET, "A", "line\nbreak"),)},
        {"environment": (EnvChange(EnvAction.SET, "A", "nul\0byte"),)},
        {"environment": (EnvChange(EnvAction.PREPEND, "A", ""),)},
        {"environment": (EnvChange(EnvAction.UNSET, ""),)},
        {"mounts": (IMAGE, Bind("relative", "/x"))},
        {"mounts": (IMAGE, Bind("/x", "$home"))},
        {"mounts": (IMAGE, Bind("/x/../y", "/x"))},
        {"mounts": (IMAGE, Bind("/x", "$GENERATION/y"))},
        {"commands": (Command("a/b", PurePosixPath("/c")),)},
        {"commands": (Command("a", PurePosixPath("c")),)},
        {"options": ("rm",)},
    ],
)
def test_what_the_format_cannot_hold_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises(TykkyError) as caught:
        render(replace(PLAN, **fields))  # type: ignore[arg-type]
    assert caught.value.code == Exit.RECIPE
    assert caught.value.remedy

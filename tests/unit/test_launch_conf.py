"""What a launch plan looks like as text, and what cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tykky.errors import Exit, TykkyError
from tykky.runtime.base import Bind, Command, EnvAction, EnvChange, LaunchPlan, Root, render

PLAN = LaunchPlan(name="demo/1", prefix=Path("/s/demo/1"), image="img-a.sqfs", image_size=4096)


def lines(plan: LaunchPlan) -> list[str]:
    return [line for line in render(plan).splitlines() if not line.startswith("#")]


def test_the_format_comes_first() -> None:
    assert lines(PLAN)[0] == "format 1"


def test_every_line_is_a_key_and_a_value() -> None:
    assert "prefix /s/demo/1" in lines(PLAN)
    assert "image_size 4096" in lines(PLAN)
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
    written = lines(replace(PLAN, binds=binds))
    assert "try_bind $HOME/my\\040data /data\\134x" in written
    assert "bind /a /b" in written


def test_a_root_needs_no_image() -> None:
    plan = replace(PLAN, image="", image_size=0, root=Root(Path("/base.sif"), 40960, 99999))
    keys = [line.split()[0] for line in lines(plan)]
    assert "image" not in keys
    assert {"root", "root_offset", "root_size"} <= set(keys)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "two\nlines"},
        {"name": ""},
        {"prefix": Path("relative")},
        {"prefix": Path("/a/../b")},
        {"image": "../other.sqfs"},
        {"image": ".hidden"},
        {"servers": (Path("squashfuse_ll"),)},
        {"environment": (EnvChange(EnvAction.SET, "A=B", "c"),)},
        {"environment": (EnvChange(EnvAction.SET, "A", "line\nbreak"),)},
        {"environment": (EnvChange(EnvAction.SET, "A", "nul\0byte"),)},
        {"environment": (EnvChange(EnvAction.PREPEND, "A", ""),)},
        {"environment": (EnvChange(EnvAction.UNSET, ""),)},
        {"image": "", "image_size": 0},
        {"mount_at": Path("relative")},
        {"binds": (Bind("relative", "/x"),)},
        {"binds": (Bind("/x", "$home"),)},
        {"binds": (Bind("/x/../y", "/x"),)},
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

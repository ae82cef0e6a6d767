"""What a launch plan looks like as text, and what cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tykky.errors import Exit, TykkyError
from tykky.runtime.base import EnvAction, EnvChange, LaunchPlan, render

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
    written = lines(replace(PLAN, environment=changes))
    assert written[-3:] == ["set A one  two ", "unset B", "prepend A x"]


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
    ],
)
def test_what_the_format_cannot_hold_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises(TykkyError) as caught:
        render(replace(PLAN, **fields))  # type: ignore[arg-type]
    assert caught.value.code == Exit.RECIPE
    assert caught.value.remedy

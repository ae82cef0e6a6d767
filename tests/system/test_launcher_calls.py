"""How many system calls on files outside of the image a warm start makes: they are counted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.calls import Call, place_of, read_trace, trace
from tests.launcher.stacks import Stack, make_stack
from tykky.runtime.base import PINS

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="this machine has no strace")


def calls(stack: Stack, place: Path, pins: str | None = None) -> tuple[Call, ...]:
    env = {name: value for name, value in os.environ.items() if name != PINS}
    env = env if pins is None else {**env, PINS: pins}
    stack.run("true", env=env)
    return read_trace(
        trace(Path(stack.command("true")), env, place / "trace"), stack.prefix
    ).launcher


def test_a_warm_start_makes_few_calls_on_files(place: Path) -> None:
    stack = make_stack(place / "stack", idle=10)
    made = calls(stack, place)
    assert len(made) <= 25, "\n".join(f"{call.name} {call.file}" for call in made)
    # Only these can reach a parallel file system: launch.conf, and the identity of the image.
    names = [call.file for call in made if call.by_name]
    at_prefix = [name for name in names if place_of(name, stack.prefix) == "prefix"]
    assert at_prefix == [str(stack.conf), str(stack.image)]


def test_pins_cost_no_call(place: Path) -> None:
    stack = make_stack(place / "stack", idle=10)
    unpinned = [call.name for call in calls(stack, place)]
    for pins in (f"{stack.prefix}=1", "/s/one/1=2:/s/two/1=3", "x" * 9999):
        assert [call.name for call in calls(stack, place, pins)] == unpinned

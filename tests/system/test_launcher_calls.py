"""How many system calls on files outside of the image a warm start makes: they are counted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.calls import place_of, read_trace, trace
from tests.launcher.stacks import make_stack


@pytest.mark.skipif(not shutil.which("strace"), reason="this machine has no strace")
def test_a_warm_start_makes_few_calls_on_files(place: Path) -> None:
    stack = make_stack(place / "stack", idle=10)
    stack.run("true")
    start = read_trace(
        trace(Path(stack.command("true")), dict(os.environ), place / "trace"), stack.prefix
    )
    calls = [f"{call.name} {call.file}" for call in start.launcher]
    assert len(calls) <= 25, "\n".join(calls)
    # Only these can reach a parallel file system: launch.conf, and the identity of the image.
    names = [call for call in start.launcher if call.by_name]
    at_prefix = [call.file for call in names if place_of(call.file, stack.prefix) == "prefix"]
    assert at_prefix == [str(stack.conf), str(stack.image)]

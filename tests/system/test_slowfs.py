"""The simulated slow file system of the benchmarks: passes on what is there, counts, and waits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.slow import SlowFiles, compile_slow_files, read_counts


@pytest.fixture
def slow(place: Path) -> SlowFiles:
    program = compile_slow_files(place)
    if program is None:
        pytest.skip("no libfuse3-dev on this machine")
    return program


@pytest.fixture
def tree(place: Path) -> Iterator[Path]:
    tree = place / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "file").write_bytes(os.urandom(300_000))
    (tree / "sub/tool").write_text("#!/bin/sh\necho runs\n")
    (tree / "sub/tool").chmod(0o755)
    (tree / "link").symlink_to("sub/tool")
    yield tree
    assert not tree.is_mount()


def test_everything_is_seen_as_it_is_and_nothing_can_be_changed(
    slow: SlowFiles, tree: Path
) -> None:
    content, entries = (tree / "file").read_bytes(), sorted(tree.iterdir())
    status = (tree / "sub/tool").stat()
    with slow.over(tree, delay=0):
        assert (tree / "file").read_bytes() == content
        assert sorted(tree.iterdir()) == entries
        assert (tree / "link").readlink() == Path("sub/tool")
        assert os.popen(str(tree / "link")).read() == "runs\n"
        seen = (tree / "sub/tool").stat()
        assert (seen.st_ino, seen.st_size, seen.st_mode, seen.st_mtime_ns) == (
            status.st_ino,
            status.st_size,
            status.st_mode,
            status.st_mtime_ns,
        )
        with pytest.raises(FileNotFoundError):
            (tree / "nothing").stat()
        with pytest.raises(OSError, match="Read-only"):
            (tree / "new").touch()


def test_what_is_known_is_not_asked_again_but_opening_is(slow: SlowFiles, tree: Path) -> None:
    with slow.over(tree, delay=0) as numbers:
        start = read_counts(numbers)
        (tree / "file").read_bytes()
        cold = read_counts(numbers) - start
        assert cold.attributes >= 1
        assert cold.opens == 1
        assert cold.bytes == 300_000
        (tree / "file").read_bytes()
        assert not (tree / "nothing").exists()
        before = read_counts(numbers)
        (tree / "file").read_bytes()
        assert not (tree / "nothing").exists()
        warm = read_counts(numbers) - before
        assert (warm.metadata, warm.opens, warm.bytes) == (1, 1, 0)


def test_each_question_waits(slow: SlowFiles, tree: Path) -> None:
    with slow.over(tree, delay=0.2) as numbers:
        # A wait is never shorter than it should be, so this holds on a busy machine as well.
        start, before = time.monotonic(), read_counts(numbers)
        (tree / "file").read_bytes()
        asked = (read_counts(numbers) - before).metadata
        assert time.monotonic() - start >= asked * 0.2 >= 0.4

"""Places and their generations: drafts, commits, the switch, and what is swept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tykky.errors import Exit, StoreError
from tykky.store import NewerFormat, Permissions, Place, Record, place, state

MODES = Permissions()
Make = Callable[..., Record]


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(tmp_path / "tool/1.0")


@pytest.fixture
def make(here: Place) -> Make:
    """Commit one more generation, with images of these names and contents."""

    def make(**images: str) -> Record:
        draft = place.begin(here, MODES)
        for name, text in images.items():
            (here.images / name).write_text(text)
        record = Record(
            name="tool",
            version="1.0",
            suffix="",
            module="tool/1.0",
            prefix="/somewhere/else",
            kind="pip",
            description="For a test.",
            installed="2026-11-22T10:00:00Z",
            images=tuple(
                {"file": name, "sha256": "", "parent": "", "bytes": len(text)}
                for name, text in images.items()
            ),
        )
        place.commit(draft, record, MODES)
        return replace(record, prefix=str(here.prefix), generation=draft.number)

    return make


def files(here: Place) -> list[str]:
    """What is in the folder that is Tykky's own, but for what is in generations."""
    found = here.hidden.glob("*"), here.hidden.glob("images/*"), here.hidden.glob("generations/*")
    return sorted(str(p.relative_to(here.hidden)) for each in found for p in each)


def test_place_without_anything_has_no_generation(here: Place) -> None:
    assert (here.current, here.numbers, here.records()) == (0, [], [])
    with pytest.raises(StoreError, match="no install") as caught:
        here.record()
    assert caught.value.code is Exit.NOT_FOUND
    place.sweep(here)
    here.check_formats()


def test_generation_exists_from_its_commit_on_and_counts_from_the_switch_on(
    here: Place, make: Make
) -> None:
    draft = place.begin(here, MODES)
    assert here.numbers == []
    made = make()
    assert (here.numbers, here.current) == ([1], 0)
    place.switch(here, 1)
    assert here.current == 1
    assert here.record() == here.record(1) == made
    assert os.readlink(here.hidden / "current") == "generations/1"  # noqa: PTH115 - its words
    assert draft.path.is_dir()


def test_record_is_of_where_it_was_found(here: Place, make: Make, tmp_path: Path) -> None:
    make()
    place.switch(here, 1)
    here.prefix.parent.rename(tmp_path / "moved")
    moved = Place(tmp_path / "moved/1.0")
    assert moved.record().prefix == str(moved.prefix)
    assert moved.record().generation == 1


def test_numbers_are_ordered_as_numbers_and_go_on_after_the_highest(
    here: Place, make: Make
) -> None:
    for _ in range(11):
        make()
    place.remove_generation(here, 4)
    assert here.numbers == [1, 2, 3, *range(5, 12)]
    assert make().generation == 12


def test_number_of_a_generation_that_was_deleted_is_not_given_again(
    here: Place, make: Make
) -> None:
    """A session may still be pinned to it."""
    for number in (1, 2, 1):
        before = here.current
        if number not in here.numbers:
            make()
        place.switch(here, number)
        state.add(here, "test", before, MODES)
    place.remove_generation(here, 2)
    assert make().generation == 3


def test_two_who_commit_at_once_do_not_both_win(here: Place, make: Make) -> None:
    """Where the file system has no locks, the number decides."""
    slow = place.begin(here, MODES)
    winner = make()
    with pytest.raises(StoreError, match="this build lost") as caught:
        place.commit(slow, replace(winner, description="the loser's"), MODES)
    assert caught.value.code is Exit.CONFLICT
    assert here.record(1) == winner


def test_sweep_removes_what_killed_writers_left_and_nothing_else(here: Place, make: Make) -> None:
    make(a="1")
    place.switch(here, 1)
    (here.hidden / "state.json").touch()
    before = files(here)
    place.begin(here, MODES)
    (here.images / "orphan").write_text("x")
    (here.hidden / ".current.12345678").symlink_to("generations/9")
    (here.hidden / "generations/old-3-12345678").mkdir()
    place.sweep(here)
    assert files(here) == before


def test_removing_a_generation_frees_the_images_that_only_it_has(here: Place, make: Make) -> None:
    make(a="12345", shared="1")
    make(b="1", shared="1")
    assert place.freed_without(here, [1]) == 5
    assert place.freed_without(here, [2]) == 1
    assert place.freed_without(here, [1, 2]) == 7
    assert place.remove_generation(here, 1) == 5
    assert here.numbers == [2]
    assert sorted(path.name for path in here.images.iterdir()) == ["b", "shared"]


@pytest.mark.parametrize("text", ["{", '{"format": 99}'])
def test_no_image_is_removed_while_a_record_cannot_be_read(
    here: Place, make: Make, text: str
) -> None:
    make(a="1")
    make(b="1")
    make(c="1")
    (here.generation(2) / "record.json").write_text(text)
    assert place.remove_generation(here, 1) == 0
    place.sweep(here)
    assert sorted(path.name for path in here.images.iterdir()) == ["a", "b", "c"]


def test_image_that_is_the_root_is_kept(here: Place, make: Make) -> None:
    record = make(a="1")
    path = here.generation(1) / "record.json"
    data = json.loads(path.read_text())
    data.update(images=[], launch={"root": str(here.images / "a")})
    path.write_text(json.dumps(data))
    assert here.record(1).files_of_images == record.files_of_images == {"a"}
    place.sweep(here)
    assert (here.images / "a").exists()


def test_what_a_newer_tykky_wrote_is_refused_and_what_is_damaged_is_not(
    here: Place, make: Make
) -> None:
    make()
    make()
    (here.generation(1) / "record.json").write_text("{")
    here.check_formats()
    assert [record.generation for record in here.records()] == [2]
    (here.generation(2) / "record.json").write_text('{"format": 99}')
    with pytest.raises(NewerFormat):
        here.check_formats()


@pytest.mark.parametrize("target", ["generations/x", "nowhere/", "", "generations/7x"])
def test_pointer_that_leads_to_no_number_is_none(here: Place, make: Make, target: str) -> None:
    make()
    (here.hidden / "current").symlink_to(target or ".")
    assert here.current == 0
    place.switch(here, 1)
    assert here.current == 1

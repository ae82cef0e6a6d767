"""What was done with a place, as ``state.json`` tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tykky.errors import Exit
from tykky.store import NewerFormat, Permissions, Place, Record, place, state

MODES = Permissions()


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """A place with three generations, none of them current."""
    here = Place(tmp_path / "tool/1.0")
    for _ in range(3):
        record = Record(
            *("tool", "1.0", "", "tool/1.0", "", "pip", "For a test."), "2026-11-22T10:00:00Z"
        )
        place.commit(place.begin(here, MODES), record, MODES)
    return here


def switch(here: Place, verb: str, number: int, why: str = "") -> None:
    before = here.current
    place.switch(here, number)
    state.add(here, verb, before, MODES, why)


def test_events_tell_what_became_current_and_in_place_of_what(here: Place) -> None:
    switch(here, "install", 1)
    switch(here, "install", 2)
    switch(here, "rollback", 1, "it was slow")
    found = [(e.verb, e.generation, e.before, e.why) for e in state.events(here)]
    assert found == [
        ("install", 1, 0, ""),
        ("install", 2, 1, ""),
        ("rollback", 1, 2, "it was slow"),
    ]
    assert all(event.user and event.host and event.when for event in state.events(here))


def test_what_changes_nothing_is_no_event(here: Place) -> None:
    for _ in range(3):
        switch(here, "refresh", 1)
    assert len(state.events(here)) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": 1, "events": [1]}', "\x00"]
)
def test_damaged_state_says_nothing_and_is_written_anew(here: Place, text: str) -> None:
    switch(here, "install", 1)
    (here.hidden / "state.json").write_text(text)
    assert state.events(here) == []
    switch(here, "install", 2)
    assert [event.generation for event in state.events(here)] == [2]


def test_state_of_a_newer_tykky_is_left_alone(here: Place) -> None:
    newer = json.dumps({"format": 99, "events": []})
    (here.hidden / "state.json").write_text(newer)
    place.switch(here, 1)
    for call in (
        lambda: state.events(here),
        lambda: state.add(here, "install", 0, MODES),
    ):
        with pytest.raises(NewerFormat) as caught:
            call()
        assert caught.value.code is Exit.NEWER
    assert (here.hidden / "state.json").read_text() == newer


def write(here: Place, *events: state.Event) -> None:
    data = {"format": 1, "events": [vars(event) for event in events]}
    (here.hidden / "state.json").write_text(json.dumps(data))


def test_generation_is_superseded_since_another_took_its_place(here: Place) -> None:
    write(
        here,
        state.Event("install", 1, 0, "2026-01-01T00:00:00Z", "u", "h"),
        state.Event("install", 2, 1, "2026-01-02T00:00:00Z", "u", "h"),
        state.Event("rollback", 1, 2, "2026-01-03T00:00:00Z", "u", "h"),
        state.Event("rollback", 2, 1, "2026-01-04T00:00:00Z", "u", "h"),
    )
    place.switch(here, 2)
    # The first for the last time; the third, which nobody knows of, since there was a change.
    changed = (here.hidden / "current").lstat().st_mtime
    assert state.superseded(here) == {1: 1767484800.0, 3: changed}


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1, "events": [{"verb": "x"}]}'])
def test_a_damaged_history_makes_nothing_older_than_the_last_change(here: Place, text: str) -> None:
    place.switch(here, 1)
    (here.hidden / state.NAME).write_text(text)
    changed = (here.hidden / "current").lstat().st_mtime
    assert state.is_damaged(here)
    assert state.superseded(here) == {2: changed, 3: changed}
    state.add(here, "install", 1, Permissions())
    assert [event.generation for event in state.events(here)] == [1]
    assert (here.hidden / f"{state.NAME}.damaged").read_text() == text

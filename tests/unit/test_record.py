"""The formats of records and entries: older ones are read through the ladder, newer ones not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tykky.errors import Exit, StoreError
from tykky.store import NewerFormat, Record
from tykky.store import record as records

MADE = Record("tool", "1.0", "", "tool/1.0", "/p", "pip", "For a test.", "2026-11-22T10:00:00Z", 1)


def lay(folder: Path, **changes: Any) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps({**json.loads(records.render(MADE)), **changes}))
    return path


@pytest.fixture
def second_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Tykky of one format more, in which ``about`` has become ``description``."""

    def rename(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "description": data.pop("about").upper()}

    monkeypatch.setattr(records, "_LADDER", (rename,))


def test_record_of_an_older_format_is_read_through_the_ladder(
    tmp_path: Path, second_format: None
) -> None:
    path = lay(tmp_path, format=1, about="from before")
    assert records.read(tmp_path).description == "FROM BEFORE"
    assert records.read_entry(path).description == "FROM BEFORE"
    assert json.loads(path.read_text())["format"] == 1  # reading changes nothing


def test_record_of_this_format_does_not_go_through_the_ladder(
    tmp_path: Path, second_format: None
) -> None:
    assert json.loads(records.render(MADE))["format"] == 2
    lay(tmp_path)
    assert records.read(tmp_path) == MADE


def test_older_record_that_a_rung_cannot_take_is_damaged(
    tmp_path: Path, second_format: None
) -> None:
    lay(tmp_path, format=1)
    with pytest.raises(StoreError) as caught:
        records.read(tmp_path)
    assert caught.value.code is Exit.DAMAGED


@pytest.mark.parametrize("changes", [{}, {"name": 5}, {"steps": "another shape"}])
def test_newer_record_is_unknown_and_not_damaged(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = lay(tmp_path, format=2, **changes)
    for read in (lambda: records.read(tmp_path), lambda: records.read_entry(path)):
        with pytest.raises(NewerFormat, match=r"written by a newer Tykky \(format 2\)") as caught:
            read()
        assert caught.value.code is Exit.NEWER


@pytest.mark.parametrize("number", ["2", None, [], 1.5, -1, 0, True])
def test_format_that_is_none_is_damaged(tmp_path: Path, number: object) -> None:
    lay(tmp_path, format=number)
    with pytest.raises(StoreError) as caught:
        records.read(tmp_path)
    assert caught.value.code is Exit.DAMAGED


@pytest.mark.parametrize("value", [None, 5, "te/xt", [], [5], {}, {"a": 5}, [["a"]], [{}], True])
def test_a_field_of_another_kind_is_damage_and_nothing_worse(tmp_path: Path, value: object) -> None:
    for key in json.loads(records.render(MADE)):
        lay(tmp_path, **{key: value})
        try:
            found = records.read(tmp_path)
        except StoreError as error:
            assert error.code in (Exit.DAMAGED, Exit.NEWER), key
        else:
            assert type(getattr(found, key, 1)) is type(getattr(MADE, key, 1)), key
            assert found.bytes >= 0
            assert not found.files_of_images

from __future__ import annotations

import json
import random
import stat
from pathlib import Path

import pytest

from tykky import lock as locks
from tykky.errors import Exit, LockError
from tykky.lock import Lock, Package

ODD = ["", "a b", "'\"\\", "é€😀", "\n\t\x01", "{}[],:", "../..", "x" * 300]


def some_lock(seed: int = 0) -> Lock:
    """A lock with a random number of packages and odd text in every field."""
    dice = random.Random(seed)

    def text() -> str:
        return dice.choice(ODD) + str(dice.randrange(1000))

    packages = tuple(
        Package(text(), text(), text(), text(), dice.randrange(10**12))
        for _ in range(dice.randrange(20))
    )
    asked = {text(): dice.choice([text(), [text(), text()], [], dice.randrange(9), None, True])}
    return Lock(text(), text(), text(), text(), asked, packages)


@pytest.mark.parametrize("seed", range(50))
def test_lock_is_read_as_it_was_written(tmp_path: Path, seed: int) -> None:
    lock, path = some_lock(seed), tmp_path / "locks/x.json"
    locks.write(lock, path)
    again = locks.read(path)
    assert again.digest == lock.digest
    assert again.asked_digest == lock.asked_digest
    assert again == Lock(
        lock.recipe, lock.version, lock.suffix, lock.arch, lock.asked, tuple(sorted(lock.packages))
    )
    assert locks.render(again) == path.read_text()


def test_order_of_packages_does_not_count() -> None:
    lock = some_lock(7)
    turned = Lock(
        lock.recipe, lock.version, lock.suffix, lock.arch, lock.asked, lock.packages[::-1]
    )
    assert turned.digest == lock.digest


def test_every_package_is_a_line_of_its_own() -> None:
    package = Package("six", "1.17.0", "six.whl", "0" * 64)
    lock = Lock("tiny", "1.0", "", "x86_64", {"requirements": ["six"]}, (package,))
    more = Lock(
        "tiny", "1.0", "", "x86_64", {"requirements": ["six"]}, (package, Package("z", "1", "", ""))
    )
    before, after = locks.render(lock).splitlines(), locks.render(more).splitlines()
    assert len(after) == len(before) + 1
    assert next(line for line in before if "six.whl" in line) + "," in after
    assert json.loads(locks.render(lock))["format"] == locks.FORMAT


def test_difference_names_what_came_went_and_changed() -> None:
    def lock(**versions: str) -> Lock:
        packages = tuple(Package(name, version, "", "") for name, version in versions.items())
        return Lock("tiny", "1", "", "x86_64", {}, packages)

    told = locks.compare(lock(a="1", b="1", c="1"), lock(b="1", c="2", d="1"))
    assert (told.added, told.removed, told.changed) == ({"d": "1"}, {"a": "1"}, {"c": ("1", "2")})
    assert told
    assert not locks.compare(lock(a="1"), lock(a="1"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": ("x", "y")}, {"a": ["x", "y"]}),
        ({"a": {"x", "y"}}, {"a": {"y", "x"}}),
    ],
)
def test_digest_does_not_depend_on_the_spelling(one: object, other: object) -> None:
    assert locks.digest_of(one) == locks.digest_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "b"}, {"a": ["b"]}),
        (["ab", "c"], ["a", "bc"]),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({"a": {"b": 1}}, {"a": ["b"]}),
        ({"a": False}, {"a": 0}),
    ],
)
def test_digest_tells_apart_what_is_different(one: object, other: object) -> None:
    assert locks.digest_of(one) != locks.digest_of(other)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "5", "{", "\xff", "\x00"),
        *('{"format": 0}', '{"format": 1}', '{"format": 1, "recipe": "x"}'),
    ],
)
def test_damaged_lock_is_answered_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(LockError) as caught:
        locks.read(path)
    error = caught.value
    assert error.code is Exit.LOCK
    assert str(path) in f"{error.cause} {error.where}"
    assert "tykky lock" in error.remedy


def test_lock_with_an_unknown_field_is_not_guessed_at(tmp_path: Path) -> None:
    lock = some_lock(3)
    path = tmp_path / "lock.json"
    data = json.loads(locks.render(lock))
    data["packages"] = [{"name": "a", "version": "1", "file": "", "sha256": "", "colour": "red"}]
    path.write_text(json.dumps(data))
    with pytest.raises(LockError, match="colour"):
        locks.read(path)


def test_lock_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    old = some_lock(1)
    locks.write(old, folder / "x.json")
    (folder / "y.json").mkdir()
    with pytest.raises(LockError, match=r"y\.json"):
        locks.write(some_lock(2), folder / "y.json")
    assert locks.read(folder / "x.json").digest == old.digest
    assert stat.S_IMODE((folder / "x.json").stat().st_mode) & 0o111 == 0

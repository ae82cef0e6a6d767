from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tykky.errors import Exit, StoreError, TykkyError
from tykky.files import count, discard, make_folder, write_file
from tykky.spec import parse_one
from tykky.store import Permissions, Record, Store
from tykky.store import record as records

HASHES = (hashlib.sha256(str(number).encode()).hexdigest() for number in itertools.count())


def record(root: Path, name: str, version: str, suffix: str = "", **fields: object) -> Record:
    """A record as the pipeline writes it."""
    digest = next(HASHES)
    made = Record(
        name=name,
        version=version,
        suffix=suffix,
        module=f"{name}/{version}{suffix}",
        hash=digest,
        prefix=str(root / "store" / name / f"{version}{suffix}-{digest[:8]}"),
        kind="pip",
        description="For a test.",
        installed="2026-11-22T10:00:00Z",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


class Filled(Store):
    """A store with records in it."""

    def put(self, name: str, version: str, suffix: str = "", **fields: object) -> Record:
        made = record(self.root, name, version, suffix, **fields)
        made.hidden.mkdir(parents=True)
        self.commit(made)
        return made


@pytest.fixture
def store(tmp_path: Path) -> Filled:
    filled = Filled(tmp_path / "t", cache=tmp_path / "cache")
    filled.prepare()
    return filled


# -- records ------------------------------------------------------------------------------


def test_record_is_read_as_it_was_written(store: Filled) -> None:
    made = store.put(
        "tool",
        "1.0",
        "-gpu",
        choices={"gpu": True, "size": "é'\"\n"},
        needs=("a" * 64,),
        packages=(("six", "1"), ("x", "2")),
        commands=("a", "b c"),
        steps=(records.Step("build", 1.5),),
        image={"file": "x.sqfs", "sha256": "0", "bytes": 5},
    )
    assert records.read(Path(made.prefix)) == made
    assert store.entries() == [made.entry()]
    assert store.record(store.entries()[0]) == made


def test_fields_of_a_newer_tykky_are_passed_over(store: Filled) -> None:
    made = store.put("tool", "1.0")
    path = store.database / made.file_name
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    assert store.entries() == [made.entry()]


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "5", '"x"', '{"format": 1}', "\x00"])
def test_entry_that_cannot_be_read_is_left_out_and_named(store: Filled, text: str) -> None:
    good, bad = store.put("tool", "1.0"), store.put("tool", "2.0")
    (store.database / bad.file_name).write_text(text)
    for name in ("", "tool"):
        assert store.entries(name) == [good.entry()]
        assert len(store.unreadable) == 1
        assert bad.file_name in store.unreadable[0]


def test_committed_tells_no_install_from_a_damaged_one(store: Filled) -> None:
    made = store.put("tool", "1.0")
    assert store.committed(Path(made.prefix)) == made
    assert store.committed(store.root / "nowhere") is None
    (made.hidden / "record.json").write_text("{")
    with pytest.raises(StoreError) as caught:
        store.committed(Path(made.prefix))
    assert caught.value.code is Exit.DAMAGED


# -- listing and choosing -----------------------------------------------------------------


def test_entries_are_sorted_by_name_and_by_version_as_numbers(store: Filled) -> None:
    for name, version in [("b", "1"), ("a", "10"), ("a", "9"), ("a", "9.5"), ("a-b", "1")]:
        store.put(name, version)
    store.put("a", "9", "-x")
    assert [entry.module for entry in store.entries()] == [
        *("a/9", "a/9-x", "a/9.5", "a/10", "a-b/1", "b/1")
    ]


def test_name_that_begins_another_is_not_taken_for_it(store: Filled) -> None:
    store.put("python", "3")
    store.put("python-data", "26")
    assert [entry.module for entry in store.entries("python")] == ["python/3"]
    assert store.one("python").module == "python/3"


@pytest.mark.parametrize(
    ("words", "module"),
    [
        ("tool/1.0", "tool/1.0"),
        ("tool@1.0", "tool/1.0"),
        ("tool/1.0-gpu", "tool/1.0-gpu"),
        ("tool@1.0 +gpu", "tool/1.0-gpu"),
        ("tool@2", "tool/2.1"),
        ("other", "other/5"),
    ],
)
def test_install_is_chosen_by_what_people_type(store: Filled, words: str, module: str) -> None:
    store.put("tool", "1.0", choices={"gpu": False})
    store.put("tool", "1.0", "-gpu", choices={"gpu": True})
    store.put("tool", "2.1", choices={"gpu": False})
    store.put("other", "5")
    assert store.one(words).module == module


def test_bare_name_means_the_only_install_of_it(store: Filled) -> None:
    store.put("tool", "1.0", "-gpu", choices={"gpu": True})
    assert store.one("tool").module == "tool/1.0-gpu"
    for words in ("tool/1.0", "tool@1.0", "tool~gpu"):
        with pytest.raises(StoreError):
            store.one(words)
    store.put("tool", "1.0", "-mpi", choices={"gpu": False})
    with pytest.raises(StoreError, match="any of 2"):
        store.one("tool")
    store.put("tool", "1.0", choices={"gpu": False})
    assert store.one("tool").module == "tool/1.0"


def test_install_is_chosen_by_its_hash(store: Filled) -> None:
    first, second = store.put("tool", "1.0"), store.put("tool", "1.0")
    assert store.one(first.hash).hash == first.hash
    assert store.one(second.short_hash).hash == second.hash
    assert store.one("/" + second.short_hash).hash == second.hash


def test_word_that_looks_like_a_hash_may_be_a_name(store: Filled) -> None:
    store.put("facade", "1.0")
    assert store.one("facade").module == "facade/1.0"


def test_words_that_mean_several_are_not_guessed_at(store: Filled) -> None:
    store.put("tool", "1.0")
    store.put("tool", "2.0")
    with pytest.raises(StoreError) as caught:
        store.one("tool")
    assert caught.value.code is Exit.CONFLICT
    assert "tool/1.0" in caught.value.remedy
    assert "tool/2.0" in caught.value.remedy


@pytest.mark.parametrize("words", ["tol", "tool/9", "tool@9", "0123456789abcdef", "../tool"])
def test_words_that_mean_nothing_are_said_to(store: Filled, words: str) -> None:
    store.put("tool", "1.0")
    with pytest.raises(TykkyError) as caught:
        store.one(words)
    assert caught.value.code in (Exit.NOT_FOUND, Exit.SPEC)


def test_spec_covers_by_version_and_choice(store: Filled) -> None:
    store.put("tool", "1.0", choices={"gpu": False})
    store.put("tool", "1.0", "-gpu", choices={"gpu": True})
    assert len(store.match(parse_one(["tool"]))) == 2
    assert [e.suffix for e in store.match(parse_one(["tool +gpu"]))] == ["-gpu"]
    assert [e.suffix for e in store.match(parse_one(["tool/1.0-gpu"]))] == ["-gpu"]
    assert store.match(parse_one(["tool@3"])) == []


def test_dependents_are_those_that_name_the_hash(store: Filled) -> None:
    lower = store.put("lower", "1.0")
    upper = store.put("upper", "1.0", needs=(lower.hash,))
    assert [entry.hash for entry in store.dependents(lower)] == [upper.hash]
    assert store.dependents(upper) == []


# -- the kept listing ---------------------------------------------------------------------


def settled(store: Store) -> None:
    """Make the database folder look as if nothing had changed for long."""
    long_ago = time.time() - 1000 - random.randrange(1000)
    os.utime(store.database, (long_ago, long_ago))


def kept(store: Store) -> Path:
    assert store.cache is not None
    (path,) = store.cache.glob("listings/*.json")
    return path


def test_kept_listing_says_what_the_files_say(store: Filled) -> None:
    store.put("tool", "1.0", choices={"gpu": False})
    settled(store)
    first = store.entries()
    assert kept(store).exists()
    assert store.entries() == first


def test_kept_listing_is_not_used_after_a_change(store: Filled) -> None:
    store.put("tool", "1.0")
    settled(store)
    store.entries()
    store.put("tool", "2.0")
    assert len(store.entries()) == 2
    settled(store)
    assert len(store.entries()) == 2
    (store.database / store.entries()[0].file_name).unlink()
    assert len(store.entries()) == 1


def test_listing_of_a_folder_that_may_still_change_is_not_kept(store: Filled) -> None:
    store.put("tool", "1.0")
    store.entries()
    assert store.cache is not None
    assert not store.cache.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 1}'])
def test_damaged_listing_is_made_anew(store: Filled, text: str) -> None:
    made = store.put("tool", "1.0")
    settled(store)
    store.entries()
    kept(store).write_text(text)
    assert store.entries() == [made.entry()]
    assert text != kept(store).read_text()


@pytest.mark.parametrize("entries", [[1], [{}], [None], {"a": 1}, None, "x"])
def test_listing_with_damaged_entries_is_made_anew(store: Filled, entries: object) -> None:
    made = store.put("tool", "1.0")
    settled(store)
    store.entries()
    data = json.loads(kept(store).read_text())
    kept(store).write_text(json.dumps({**data, "entries": entries}))
    assert store.entries() == [made.entry()]


def test_listing_of_another_store_is_not_taken(store: Filled, tmp_path: Path) -> None:
    store.put("tool", "1.0")
    settled(store)
    store.entries()
    other = Filled(tmp_path / "other", cache=store.cache)
    other.prepare()
    os.utime(other.database, ns=(0, store.database.stat().st_mtime_ns))
    assert other.entries() == []


def test_listing_with_an_unreadable_entry_is_not_kept(store: Filled) -> None:
    made = store.put("tool", "1.0")
    (store.database / made.file_name).write_text("{")
    settled(store)
    store.entries()
    store.entries()
    assert len(store.unreadable) == 1


def test_listing_without_a_cache_to_write_to(store: Filled) -> None:
    store.put("tool", "1.0")
    assert store.cache is not None
    store.cache.write_text("this is a file")
    settled(store)
    assert len(store.entries()) == 1


# -- files --------------------------------------------------------------------------------


def test_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_file(path, b"old", Permissions())
    (tmp_path / "folder").mkdir()
    with pytest.raises(TykkyError):
        write_file(tmp_path / "folder", b"new", Permissions())
    with pytest.raises(TykkyError):
        write_file(tmp_path / "no/x", b"new", Permissions())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "x"]
    assert path.read_bytes() == b"old"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    modes = Permissions(folder=0o750, file=0o640, setgid=True)
    for umask in (0o000, 0o077, 0o777):
        old = os.umask(umask)
        try:
            folder = tmp_path / f"{umask:o}/a/b"
            make_folder(folder, modes)
            write_file(folder / "x", b"", modes)
        finally:
            os.umask(old)
        for path in (folder, folder.parent, folder.parent.parent):
            assert stat.S_IMODE(path.stat().st_mode) == 0o2750
        assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("file", "program"), [(0o644, 0o755), (0o640, 0o750), (0o600, 0o700), (0o664, 0o775)]
)
def test_who_may_read_a_program_may_run_it(tmp_path: Path, file: int, program: int) -> None:
    path = tmp_path / "x"
    path.touch()
    Permissions(file=file).apply(path, executable=True)
    assert stat.S_IMODE(path.stat().st_mode) == program


def test_discard_removes_any_tree_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("mine")
    (outside / "file").chmod(0o400)
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/link").symlink_to(outside)
    (tree / "a/b/link").symlink_to(outside / "file")
    (tree / "a/b/dangling").symlink_to("nowhere")
    os.mkfifo(tree / "a/fifo")
    (tree / "a/b").chmod(0)
    (tree / "a").chmod(0o500)
    discard(tree)
    assert not tree.exists()
    assert (outside / "file").read_text() == "mine"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    assert stat.S_IMODE((outside / "file").stat().st_mode) == 0o400


def test_discard_of_a_link_removes_the_link_only(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    discard(tmp_path / "link")
    discard(tmp_path / "nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_count_counts_links_once_and_does_not_follow_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").touch()
    (tmp_path / "b").symlink_to("a")
    assert count(tmp_path) == 4


# -- claims -------------------------------------------------------------------------------


def test_claim_ends_with_its_block_also_after_an_error(store: Filled) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match="oops"), store.claim("k", "it", told.append):
        assert len(list(store.locks.glob("*.owner"))) == 1
        raise ValueError("oops")
    assert not list(store.locks.glob("*.owner"))
    with store.claim("k", "it", told.append):
        pass
    assert told == []


def test_different_claims_do_not_wait_for_each_other(store: Filled) -> None:
    told: list[str] = []
    a, b = (store.claim(key, "it", told.append) for key in "ab")
    with a, b, store.alone("a"), store.alone("b"):
        pass
    assert told == []

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tykky.errors import Exit, StoreError, TykkyError
from tykky.files import count, discard, make_folder, read_json, write_file
from tykky.spec import parse_one
from tykky.store import Permissions, Place, Record, Store, place
from tykky.store import record as records
from tykky.store.check import reindex


def record(root: Path, name: str, version: str, suffix: str = "", **fields: object) -> Record:
    """A record as the pipeline writes it."""
    made = Record(
        name=name,
        version=version,
        suffix=suffix,
        module=f"{name}/{version}{suffix}",
        prefix=str(root / "store" / name / f"{version}{suffix}"),
        kind="pip",
        description="For a test.",
        installed="2026-11-22T10:00:00Z",
        generation=1,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


class Filled(Store):
    """A store with records in it."""

    def put(self, name: str, version: str, suffix: str = "", **fields: object) -> Record:
        """Commit one more generation of a place, let it be the current one, and enter it."""
        made = record(self.root, name, version, suffix, **fields)
        here = Place(Path(made.prefix))
        draft = place.begin(here, self.permissions)
        made = replace(made, generation=draft.number)
        place.commit(draft, made, self.permissions)
        place.switch(here, draft.number)
        self.enter(made)
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
        needs=("/t/store/base/1#3",),
        packages=(("six", "1"), ("x", "2")),
        commands=("a", "b c"),
        steps=(records.Step("build", 1.5),),
        images=({"file": "x.sqfs", "sha256": "0", "bytes": 5},),
    )
    assert Place(Path(made.prefix)).record() == made
    assert store.entries() == [made.entry()]
    assert store.record(store.entries()[0]) == made
    assert store.is_entered(made)


def test_database_has_an_entry_for_each_place_named_after_it(store: Filled) -> None:
    store.put("tool", "1.0")
    store.put("tool", "1.0")
    store.put("tool", "1.0", "-gpu")
    files = sorted(str(p.relative_to(store.database)) for p in store.database.rglob("*.json"))
    assert files == ["tool/1.0-gpu.json", "tool/1.0.json"]
    assert [(e.module, e.generation) for e in store.entries()] == [
        ("tool/1.0", 2),
        ("tool/1.0-gpu", 1),
    ]


def test_fields_that_are_not_known_are_passed_over(store: Filled) -> None:
    made = store.put("tool", "1.0")
    path = store.entry_path(made)
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    assert store.entries() == [made.entry()]


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "5", '"x"', '{"format": 1}', "\x00"])
def test_entry_that_cannot_be_read_is_left_out_and_named(store: Filled, text: str) -> None:
    good, bad = store.put("tool", "1.0"), store.put("tool", "2.0")
    store.entry_path(bad).write_text(text)
    for name in ("", "tool"):
        assert store.entries(name) == [good.entry()]
        assert len(store.unreadable) == 1
        assert str(store.entry_path(bad)) in store.unreadable[0]


def test_entry_of_a_place_that_the_user_chose_has_a_name_of_its_own(
    store: Filled, tmp_path: Path
) -> None:
    inside, outside = store.put("tool", "1.0"), store.put("tool", "1.0", prefix=str(tmp_path / "p"))
    assert store.entry_path(inside) != store.entry_path(outside)
    assert {entry.prefix for entry in store.entries()} == {inside.prefix, outside.prefix}
    assert store.one(f"{tmp_path}/p").prefix == outside.prefix
    discard(tmp_path / "p")  # its owner may
    assert store.entries() == [inside.entry()]


def test_copy_of_a_store_does_not_speak_of_the_first(store: Filled, tmp_path: Path) -> None:
    store.put("tool", "1.0")
    shutil.copytree(store.root, tmp_path / "copy", symlinks=True)
    copy = Store(tmp_path / "copy")
    assert copy.entries() == []
    assert "is a copy of" in copy.unreadable[0]
    (tmp_path / "link").symlink_to("t")
    assert len(Store(tmp_path / "link").entries()) == 1


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


def test_generation_is_chosen_by_its_number(store: Filled) -> None:
    for text in ("one", "two"):
        store.put("tool", "1.0", description=text)
    assert store.generation("tool").description == "two"
    assert store.generation("tool#1").description == "one"
    assert store.generation("tool/1.0#2").generation == 2
    assert store.generation(f"{store.root}/store/tool/1.0#1").title == "tool/1.0#1"
    for words in ("tool#3", "tool#0", "tool#", "tool#x", "tool#-1"):
        with pytest.raises(StoreError, match="no generation") as caught:
            store.generation(words)
        assert "#1, #2" in caught.value.remedy


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


def test_dependents_are_those_that_name_the_place(store: Filled) -> None:
    lower, longer = store.put("lower", "1"), store.put("lower", "1.0")
    store.put("lower", "1")
    upper = store.put("upper", "1.0", needs=(f"{lower.prefix}#1",))
    assert store.dependents(lower) == {upper.title: upper.prefix}
    assert store.dependents(lower, 1) == {upper.title: upper.prefix}
    assert store.dependents(lower, 2) == {}
    assert store.dependents(longer) == store.dependents(upper) == {}


def test_generation_ten_is_not_taken_for_the_first(store: Filled) -> None:
    lower = store.put("lower", "1")
    store.put("upper", "1.0", needs=(f"{lower.prefix}#10",))
    assert store.dependents(lower, 1) == {}
    assert len(store.dependents(lower, 10)) == 1


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
    store.forget(store.entries()[0])
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
    store.entry_path(made).write_text("{")
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


def test_json_is_read_and_what_is_none_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"a": [1]}')
    assert read_json(path) == {"a": [1]}
    for text in ("", "{", "\x00", "[" * 100_000, "\xff"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ValueError):
            read_json(path)
    os.mkfifo(tmp_path / "fifo")
    for odd in (tmp_path / "fifo", tmp_path, tmp_path / "nothing"):
        with pytest.raises(OSError):
            read_json(odd)


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
    prefix = Path(store.put("tool", "1.0").prefix)
    with pytest.raises(ValueError, match="oops"), store.claim(prefix, "it", told.append) as held:
        assert held
        assert f"process {os.getpid()}" in (prefix / ".tykky/owner").read_text()
        raise ValueError("oops")
    assert not (prefix / ".tykky/owner").exists()
    with store.claim(prefix, "it", told.append):
        pass
    assert told == []


def test_different_claims_do_not_wait_for_each_other(store: Filled) -> None:
    told: list[str] = []
    a, b = (store.claim(store.root / "store" / key / "1", "it", told.append) for key in "ab")
    with a, b:
        pass
    assert told == []


def test_claim_of_a_place_in_which_nothing_was_made_leaves_nothing(store: Filled) -> None:
    with store.claim(store.places / "tool/1.0", "it", lambda _: None):
        assert (store.places / "tool/1.0").is_dir()
    assert list(store.places.iterdir()) == []


def test_claim_of_an_empty_directory_that_was_there_leaves_it(store: Filled) -> None:
    """What runs from an uninstalled stack has its image mounted on that."""
    (store.places / "tool/1.0").mkdir(parents=True)
    with store.claim(store.places / "tool/1.0", "it", lambda _: None):
        pass
    assert list((store.places / "tool/1.0").iterdir()) == []


def test_claim_that_somebody_holds_is_not_waited_for_if_that_is_not_wanted(
    store: Filled,
) -> None:
    prefix = Path(store.put("tool", "1.0").prefix)
    code = (
        "import sys; from pathlib import Path; from tykky.store import Store\n"
        f"with Store(Path({str(store.root)!r})).claim(Path({str(prefix)!r}), 'it', print):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    with store.claim(prefix, "it", pytest.fail, wait=False) as held:
        assert not held
    assert f"process {other.pid}" in (prefix / ".tykky/owner").read_text()
    other.communicate(b"")
    with store.claim(prefix, "it", pytest.fail, wait=False) as held:
        assert held


# -- reindex ------------------------------------------------------------------------------


def test_reindex_makes_the_same_database_from_the_places(store: Filled) -> None:
    store.put("tool", "1.0")
    store.put("tool", "1.0")
    store.put("tool", "2.0", "-gpu", choices={"gpu": True})
    before = store.entries()
    discard(store.database)
    assert list(reindex(store)) == ["entered tool/1.0#2", "entered tool/2.0-gpu#1"]
    assert store.entries() == before
    assert list(reindex(store)) == []


def test_reindex_sets_aside_an_entry_without_an_install(store: Filled) -> None:
    made = store.put("tool", "1.0")
    discard(Path(made.prefix))
    (said,) = reindex(store)
    assert "set aside" in said
    assert store.entries() == []


def test_reindex_leaves_what_a_newer_tykky_wrote(store: Filled) -> None:
    made, other = store.put("tool", "1.0"), store.put("tool", "2.0")
    path = Path(made.prefix) / ".tykky/generations/1/record.json"
    newer = json.dumps({**json.loads(path.read_text()), "format": 99})
    path.write_text(newer)
    store.entry_path(made).write_text(newer)
    assert [each.partition(" was")[0] for each in reindex(store)] == [
        str(path),
        str(store.entry_path(made)),
    ]
    assert store.entry_path(made).read_text() == newer
    assert store.entries() == [other.entry()]

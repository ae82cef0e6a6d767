"""A bad file in the database, and a copied root: both are named, and stop nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stacks import Site, listing
from tykky.errors import Exit

BAD: dict[str, Callable[[Path], object]] = {
    "nested": lambda path: path.write_text("[" * 100_000),
    "a pipe": lambda path: os.mkfifo(path),
    "bytes": lambda path: path.write_bytes(os.urandom(4096)),
    "a number": lambda path: path.write_text("5"),
    "a directory": lambda path: path.mkdir(),
    "a loop": lambda path: path.symlink_to(path.name),
    "closed": lambda path: (path.write_text("{}"), path.chmod(0)),
}


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_file_in_the_database_is_named_and_stops_no_verb(site: Site, bad: str) -> None:
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    own, foreign = site.root / "db/hello/0.9.json", site.root / "db/other/1.0.json"
    foreign.parent.mkdir()
    own.unlink()
    for path in (own, foreign):
        BAD[bad](path)
    site("install", "hello@1.0", timeout=60)
    for words, shows in (
        ("find", "hello/1.0"),
        ("verify", ""),
        ("refresh --all", ""),
        ("gc --days 0", ""),
    ):
        done = site(*words.split(), timeout=60, status=None)
        assert done.returncode in (Exit.OK, Exit.DAMAGED), words
        assert "Traceback" not in done.stderr, words
        assert shows in done.stdout
        for path in (own, foreign):
            assert str(path) in done.stdout + done.stderr, words
    said = site("reindex", timeout=60).stdout
    assert "hello/0.9" in said or str(own) in said
    assert str(foreign) in said
    if bad != "a directory":
        assert [entry["module"] for entry in site.found()] == ["hello/0.9", "hello/1.0"]
        assert site.json("verify")
    site("uninstall", "hello/1.0", timeout=60)


def test_a_copied_root_acts_on_itself_only_and_names_copies(site: Site, place: Path) -> None:
    site.hello()
    site("install", "hello")
    site("install", "--force", "hello")
    copy = place / "copy"
    site.user.run("cp", "-a", site.root, copy)
    before = {name: (site.root / name).lstat().st_mtime_ns for name in listing(site.root)}
    there = site.with_env(TYKKY_ROOT=str(copy))
    named = f"{copy}/store/hello/1.0 is a copy of {site.root}/store/hello/1.0"
    assert there.found() == []
    for words in ("find", "verify", "reindex", "refresh --all", "gc --days 0"):
        done = there(*words.split(), status=None)
        assert named in done.stdout + done.stderr, words
    for words in ("uninstall hello", "rollback hello", "history hello", "refresh hello"):
        assert named in there(*words.split(), status=int(Exit.NOT_FOUND)).stderr, words
    assert there.found() == []
    (answer,) = there.json("install", "hello")
    assert (answer["did"], answer["prefix"]) == ("built", f"{copy}/store/hello/1.0")
    assert there.lmod("module load hello; hello; command -v hello").stdout == (
        f"hello 1.0\n{copy}/store/hello/1.0/bin/hello\n"
    )
    done = there("rollback", "hello", "--to", "1", status=int(Exit.CONFLICT))
    assert str(site.root) in done.stderr
    there("uninstall", "hello")
    there("gc", "--days", "0")
    assert {name: (site.root / name).lstat().st_mtime_ns for name in listing(site.root)} == before
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"


def test_a_root_that_was_moved_is_used_by_its_old_name_or_installed_anew(
    site: Site, place: Path
) -> None:
    site.hello()
    site("install", "hello")
    site.root.rename(place / "moved")
    moved = site.with_env(TYKKY_ROOT=str(place / "moved"))
    assert moved.found() == []
    site.root.symlink_to("moved")
    assert [entry["module"] for entry in site.found()] == ["hello/1.0"]
    assert site.json("install", "hello")[0]["did"] == "nothing"
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"

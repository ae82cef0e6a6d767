"""How much disk installs and downloads take, and how old downloads are deleted."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from tests.stacks import Site
from tests.system.sabotage import sabotaged
from tykky.errors import Exit

#: Pieces of the cache, each with its size.
PIECES = {
    "downloads/aaaa": 1000,
    "downloads/bbbb.part": 2000,
    "bytecode/cccc-dddd": 1000,
    "conda/shards.json": 3000,
    "uv/archive-v0/one/file": 4000,
    "uv/archive-v0/two/deep/file": 5000,
}


@pytest.fixture
def cached(site: Site, place: Path) -> Site:
    """Somebody with downloads, and with something of their own beside them."""
    for name, size in PIECES.items():
        path = place / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    (place / "cache/mine").mkdir()
    (place / "cache/mine/file").write_text("mine")
    return site.with_env(TYKKY_CACHE_DIR=str(place / "cache"))


def left(site: Site) -> set[str]:
    cache = Path(site.user.env["TYKKY_CACHE_DIR"])
    names = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(("listings/", "uv/.", "mine/"))}


def test_find_tells_the_sizes_of_installs(site: Site) -> None:
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    site.hello("hello", "1.0", "0.9", more="def finish(self, box): box.write('more', 'more')")
    site("install", "hello@1.0")
    sizes = {entry["module"]: entry["bytes"] for entry in site.json("find", "--sizes")}
    there = {
        f"hello/{version}": sum(p.stat().st_size for p in site.images(f"hello@{version}"))
        for version in ("1.0", "0.9")
    }
    assert sizes == there
    assert len(site.images("hello@1.0")) == 2
    *lines, total = site("find", "--sizes").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["hello/0.9", "hello/1.0"]
    assert total.split() == ["12", "kB"]


def test_sizes_are_told_of_what_was_deleted_meanwhile(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site.prefix("hello").rename(site.root / "elsewhere")
    assert [entry["bytes"] for entry in site.json("find", "--sizes")] == [0]


def test_cache_is_told_of_and_what_is_old_in_it_deleted(cached: Site) -> None:
    cache = Path(cached.user.env["TYKKY_CACHE_DIR"])
    assert f"the cache {cache} has 16 kB" in cached("gc", "--dry-run").stderr
    assert "would delete 0 B of the 16 kB" in cached("gc", "--cache", "--dry-run").stderr
    shown = cached("gc", "--cache", "--days", "0", "--dry-run").stderr
    assert "would delete 16 kB of the 16 kB" in shown
    assert "downloads 3.0 kB, bytecode 1.0 kB, conda 3.0 kB, uv 9.0 kB" in shown
    assert left(cached) == set(PIECES)
    answer = cached.json("gc", "--cache", "--days", "0")
    assert (answer["bytes"], answer["removed_bytes"], answer["removed"]) == (16000, 16000, 6)
    assert left(cached) == set()
    assert (cache / "mine/file").read_text() == "mine"
    assert "deleted 0 B of the 0 B" in cached("gc", "--cache", "--days", "0").stderr
    # What a network file system says is busy goes the next time.
    (cache / "downloads/busy").write_text("busy")
    spoilt = {"below": str(cache), "match": "[.]gone-", "ops": "unlink rmdir"}
    busy = sabotaged(cached, **spoilt, errno=errno.EBUSY, at=1, onward=1)
    assert "1 piece of" in busy("gc", "--cache", "--days", "0").stderr
    assert "downloads/.gone-" in str(left(cached))
    cached("gc", "--cache", "--days", "0")
    assert left(cached) == set()


def test_cache_keeps_what_was_used_since(cached: Site) -> None:
    cache = Path(cached.user.env["TYKKY_CACHE_DIR"])
    time.sleep(0.02)
    days = str(0.01 / 86400)
    # What is linked, or read, was used, however old it says that it is.
    os.link(cache / "uv/archive-v0/two/deep/file", cache / "mine/link")
    os.utime(cache / "uv/archive-v0/two/deep/file", (0, 0))
    os.utime(cache / "conda/shards.json", (time.time() + 60, 0))
    cached("gc", "--cache", "--days", days)
    assert left(cached) in ({"conda/shards.json"}, {"conda/shards.json", *list(PIECES)[-1:]})


def test_cache_alone_is_cleaned_and_builds_go_on_without(cached: Site) -> None:
    cached.hello()
    cached("install", "hello")
    cached("uninstall", "hello")
    cached("gc", "--cache", "--days", "0")
    assert list((cached.root / "trash").iterdir())
    cached("install", "hello")


def test_cache_that_may_not_be_changed_is_an_error(cached: Site) -> None:
    folder = Path(cached.user.env["TYKKY_CACHE_DIR"], "downloads")
    folder.chmod(0o500)
    done = cached("gc", "--cache", "--days", "0", status=Exit.NOT_WRITABLE)
    folder.chmod(0o700)
    assert "cannot delete what is old in" in done.stderr

"""Bad files in the store, and a copied root: each is named, and stops nothing else."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.stacks import Site, listing, settle
from tests.support import log_in, new_place
from tykky.errors import Exit
from tykky.files import discard

HIDDEN, FIRST = "store/hello/{v}/.tykky", "store/hello/{v}/.tykky/generations/1"
#: Where something bad is put, from the root on, and which verbs have to name it or its stack.
PLACES = {
    "db/hello/{v}.json": "find, find --json, verify, gc --dry-run, refresh --all, reindex",
    f"{FIRST}/record.json": "find --format {{spec}}, verify, refresh --all, reindex",
    f"{FIRST}/launch.conf": "verify",
    f"{FIRST}/packages.json": "find --packages",
    f"{FIRST}/lock.json": "",
    f"{FIRST}/build.log.gz": "",
    FIRST: "verify, refresh --all",
    f"{HIDDEN}/generations": "verify, refresh --all",
    f"{HIDDEN}/generations/2": "",
    f"{HIDDEN}/generations/new-12345678": "",
    f"{HIDDEN}/images/image-12345678.new": "",
    f"{HIDDEN}/state.json": "verify",
    f"{HIDDEN}/lock": "",
    f"{HIDDEN}/owner": "",
    f"{HIDDEN}/launch": "verify",
    f"{HIDDEN}/current": "verify, refresh --all",
    f"{HIDDEN}/images": "verify, refresh --all",
    HIDDEN: "verify, refresh --all",
    "store/hello/{v}": "verify, refresh --all",
    "store/hello/{v}/bin": "verify, refresh --all",
    "store/hello/{v}/bin/hello": "verify",
    "modules/hello/{v}.lua": "verify",
    "store/other{v}": "",
    "db/other{v}": "",
    "modules/other{v}": "",
    "trash/hello-{v}-1000000000000000000": "",
    "trash/hello-{v}-1000000000000000001/.tykky": "",
    "trash/hello-{v}-1000000000000000002/.tykky/generations/1/record.json": "",
    "bases/{n:016x}.json": "base list",
    "../build/{n:016x}": "",
    "../build/{n:016x}.lock": "",
    "../build/logs/other{v}": "",
}


def deep(path: Path) -> None:
    """A folder in a folder, and so on: no path leads to the last one."""
    here = os.open(".", os.O_RDONLY)
    path.mkdir()
    os.chdir(path)
    for _ in range(1500):
        os.mkdir("ddd")  # noqa: PTH102
        os.chdir("ddd")
    os.fchdir(here)
    os.close(here)


def bind(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.fchdir(here)
    os.close(here)


BAD: dict[str, Callable[[Path], object]] = {
    "nested": lambda path: path.write_text("[" * 100_000),
    "fifo": lambda path: os.mkfifo(path),
    "folder": lambda path: path.mkdir(),
    "empty": lambda path: path.touch(),
    "bytes": lambda path: path.write_bytes(os.urandom(4096)),
    "number": lambda path: path.write_text("5"),
    "closed": lambda path: (path.write_text("{}"), path.chmod(0)),
    "closed folder": lambda path: path.mkdir(mode=0),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "huge": lambda path: (path.touch(), os.truncate(path, 1 << 30)),
    "socket": bind,
    "deep": deep,
    "no text": lambda path: path.with_name(os.fsdecode(b"\xff" + os.fsencode(path.name))).touch(),
}
#: Where it takes long to look at or to remove something, once is enough.
SLOW = {"deep": ("record.json", "new-12345678", "..000", ".lock"), "huge": ("json", "conf", ".lua")}
#: Verbs that change nothing, all of which list what is good.
LISTING = (
    *("find", "find --json", "find --format {spec}", "find --packages", "info hello", "verify"),
    *("history hello/1.0", "log hello/1.0", "log --failed hello", "diff hello/1.0#1 hello/1.0#2"),
    *("gc --dry-run", "gc --dry-run --days 0", "refresh --all --check", "base list", "doctor"),
    *("doctor --store", "history", "which hello", "outdated", "module admin-list"),
)
#: Those that change something, in this order.
CHANGING = (
    *("refresh --all", "install --force hello@1.0", "rollback hello/1.0", "reindex", "gc"),
    *("uninstall hello/0.9", "install hello@0.9", "gc --days 0", "verify hello/1.0"),
    *("hide hello/0.9", "hide --undo hello/0.9", "update hello/1.0", "doctor --store --fix"),
)


@pytest.fixture(scope="module")
def broken() -> Iterator[tuple[Site, dict[Path, tuple[str, str]]]]:
    """A site with a good stack, and a bad file of each kind at each place where one may be.

    With the files, the name of the stack each is in, and which verbs are to name it.
    """
    root = new_place()
    site = settle(root, log_in(root)).with_env(TYKKY_CACHE_DIR=str(root / "cache"))
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    site("install", "--force", "hello@1.0")
    (root / "build").mkdir(mode=0o700)
    (site.root / "bases").mkdir()
    found: dict[Path, tuple[str, str]] = {}
    for number, (where, name) in enumerate(product(PLACES, BAD), 1):
        if where.endswith(SLOW.get(name, "")):
            version = f"a{number:03}"
            path = site.root / where.format(v=version, n=number)
            if "{v}" in where and "trash" not in where and "other" not in where:
                clone(site, version)
            path.parent.mkdir(parents=True, exist_ok=True)
            discard(path) if name != "no text" and os.path.lexists(path) else None
            BAD[name](path)
            # What leads nowhere is as good as nothing, which some files may be.
            nothing = name == "dangling" and where.endswith(("packages.json", "state.json"))
            if name != "no text" and not nothing:
                found[path] = f"hello/{version}", PLACES[where].format()
    yield site, found
    if not os.environ.get("TYKKY_TEST_KEEP"):
        discard(root)


def clone(site: Site, version: str) -> None:
    """Another version of a stack, as if it had been installed."""
    for name in ("store/hello/{}", "db/hello/{}.json", "modules/hello/{}.lua"):
        source, target = site.root / name.format("0.9"), site.root / name.format(version)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, target, **({"symlinks": True} if source.is_dir() else {}))
        for path in target.rglob("*") if target.is_dir() else (target,):
            if path.suffix in (".json", ".conf", ".lua"):
                path.write_text(path.read_text().replace("0.9", version))


def survives(site: Site, words: str, found: dict[Path, tuple[str, str]]) -> None:
    """A verb ends soon, with a documented code, and names what it must, and the good stack."""
    done = site(*words.split(), status=None, timeout=100, errors="surrogateescape")
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said[-3000:]
    assert done.returncode in {*Exit} - {Exit.FAILED}, said[-3000:]
    if words.split()[0] in ("find", "info") and words != "find --packages":
        assert "hello/1.0" in done.stdout or "hello@1.0" in done.stdout
    unnamed = [
        f"{path.relative_to(site.root)} {path}"
        for path, (stack, verbs) in found.items()
        if words in verbs.split(", ") and str(path) not in said and stack not in said
    ]
    assert unnamed == [], words


@pytest.mark.slow
@pytest.mark.parametrize("words", LISTING)
def test_a_bad_file_anywhere_stops_no_verb_that_lists(
    broken: tuple[Site, dict[Path, tuple[str, str]]], words: str
) -> None:
    survives(broken[0], words, broken[1])


@pytest.mark.slow
def test_a_bad_file_anywhere_stops_no_change_of_another(
    broken: tuple[Site, dict[Path, tuple[str, str]]],
) -> None:
    site, found = broken
    for words in CHANGING:
        survives(site, words, found)
    assert site.lmod("module load hello/1.0; hello").stdout == "hello 1.0\n"


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
        assert named.partition(" is a ")[2] in done.stdout + done.stderr, words
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

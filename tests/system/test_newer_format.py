"""What a newer Tykky has written is unknown, not damaged: it is named, and left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stacks import Site, listing
from tykky.errors import Exit

#: The files of a place, and of the database, that say their format.
FILES = {
    "record": "store/hello/1.0/.tykky/generations/2/record.json",
    "old record": "store/hello/1.0/.tykky/generations/1/record.json",
    "entry": "db/hello/1.0.json",
    "launch": "store/hello/1.0/.tykky/generations/2/launch.conf",
    "state": "store/hello/1.0/.tykky/state.json",
}
CHANGES = (
    "install hello",
    "install --force hello",
    "refresh hello/1.0 --isolation mounts",
    "refresh --all",
    "rollback hello/1.0",
    "rollback hello/1.0 --to 1",
    "uninstall hello/1.0",
    "uninstall hello/1.0#1",
    "gc --days 0",
)
ASKING = ("verify", "history hello/1.0", "reindex", "find", "info hello", "log hello/1.0")
#: Those that need the file, or look at all of them.
NAMING = {
    "record": (*CHANGES, "verify", "history hello/1.0", "reindex", "log hello/1.0"),
    "old record": (*CHANGES, "verify", "history hello/1.0", "log hello/1.0#1"),
    "entry": (*CHANGES, *ASKING),
    "launch": (*CHANGES, "verify", "history hello/1.0"),
    "state": (*CHANGES, "history hello/1.0"),
}


@pytest.fixture(params=FILES)
def newer(request: pytest.FixtureRequest, site: Site) -> tuple[Site, str]:
    """A site with two installs, and in one of them a file as of a newer Tykky."""
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    site("install", "--force", "hello@1.0")
    path = site.root / FILES[request.param]
    text = path.read_text()
    new = re.sub(
        r'^format \d+|"format": \d+', lambda f: f"{f[0].split(' ')[0]} 99", text, flags=re.M
    )
    path.write_text(new)
    assert new != text
    return site, str(request.param)


def contents(site: Site) -> dict[str, bytes | str]:
    """All of what was made, but for what says who changes something just now."""
    found: dict[str, bytes | str] = {}
    for name in listing(site.root):
        path = site.root / name
        if name.startswith(("store/hello/1.0/", "db/hello/1.0", "modules/hello/1.0")):
            is_text = path.is_symlink() or path.is_dir()
            found[name] = str(path.resolve()) if is_text else path.read_bytes()
    return found


def test_what_a_newer_one_has_written_is_named_and_left_alone_by_every_verb(
    newer: tuple[Site, str],
) -> None:
    site, what = newer
    path = site.root / FILES[what]
    before = contents(site)
    for words in NAMING[what]:
        done = site(*words.split(), status=None)
        said = f"{done.stdout}{done.stderr}"
        assert "Traceback" not in said, words
        assert f"{path} was written by a newer Tykky" in said, words
        allowed = {Exit.NEWER, Exit.NOT_FOUND} if what == "entry" else {Exit.NEWER}
        if words.split()[0] in ("find", "info", "gc", "reindex", "history", "log"):
            allowed |= {Exit.OK}
        if words in ("verify", "refresh --all"):
            allowed |= {Exit.OK, Exit.DAMAGED}
        assert done.returncode in allowed, words
        assert contents(site) == before, words


def test_others_are_not_disturbed_by_what_a_newer_one_has_written(
    newer: tuple[Site, str],
) -> None:
    site, what = newer
    before = contents(site)
    for words in ASKING:
        assert "Traceback" not in site(*words.split(), status=None).stderr
    assert "hello/0.9" in site("find", "--format", "{module} {by[user]}").stdout
    site("install", "--force", "hello@0.9")
    site("refresh", "hello/0.9", "--isolation", "mounts")
    site("rollback", "hello/0.9")
    assert site.lmod("module load hello/0.9; hello").stdout == "hello 0.9\n"
    site("uninstall", "hello/0.9")
    site("gc", "--days", "0")
    assert not (site.root / "store/hello/0.9").exists()
    assert contents(site) == before
    if what != "launch":
        assert site.user.run(Path(site.root, "store/hello/1.0/bin/hello")).stdout == "hello 1.0\n"

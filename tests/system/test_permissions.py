"""A store of a group: its members take turns in it, whatever their umasks are."""

from __future__ import annotations

import grp
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks import Site, listing
from tests.system.strangers import OtherUser, stranger

#: A group that every machine has, which nobody is a member of who is not told to be.
GROUP = grp.getgrnam("games")
OTHER = grp.getgrnam("man")


@pytest.fixture
def members(site: Site, place: Path) -> Iterator[tuple[OtherUser, OtherUser]]:
    """Two members of a group, whose root inherits a list of access rights from the folder above."""
    groups = f"{GROUP.gr_gid},{OTHER.gr_gid}"
    first, second = (stranger(site, place, number, groups) for number in (61000, 61001))
    outer = place / "shared"
    outer.mkdir()
    outer.chmod(0o777)
    root = outer / "root"
    for person in (first, second):
        person.env["TYKKY_ROOT"] = str(root)
    first.run("install", "-d", "-m", "2775", "-g", GROUP.gr_name, root)
    first.run(sys.executable, "-c", INHERITED, root)
    outer.chmod(0o755)
    yield first, second
    outer.chmod(0o777)
    for person in (first, second, first):
        person.run("find", outer, "-mindepth", "1", "-delete", status=None)
        person.leave()


#: A default list for a folder: another group may write, the folder's own may do nothing.
INHERITED = """
import os, struct, sys
rights = [(1, 7, -1), (4, 0, -1), (8, 7, 100), (16, 7, -1), (32, 0, -1)]
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *each) for each in rights)
os.setxattr(sys.argv[1], "system.posix_acl_default", acl)
"""
#: What takes turns does, the first with umask 077 and the second with 002.
TURNS = """
install hello@1.0
install --force hello@1.0
rollback hello
install --force hello@1.0
rollback hello --to 1
refresh hello -c idle=5
uninstall hello/1.0#2
hold hello/1.0#3
hide hello/1.0
hide --undo hello/1.0
install hello@2.0
default hello/2.0
deprecate hello/1.0 --until 2999-01-01
deprecate --undo hello/1.0
retire hello/1.0
retire --undo hello/1.0
reindex
install --force hello@2.0
install --force hello@2.0
gc --days 0
verify
"""
GONE = """
uninstall hello/2.0
install hello@2.0
uninstall hello/2.0
uninstall hello/1.0
gc --days 0
"""


@pytest.mark.slow
def test_members_of_a_group_take_turns(site: Site, members: tuple[OtherUser, OtherUser]) -> None:
    site.hello("hello", "1.0", "2.0")
    root = Path(members[0].env["TYKKY_ROOT"])
    settings = {}

    def take_turns(lines: str) -> None:
        for number, line in enumerate(lines.split("\n")[1:-1]):
            umask = "002" if number % 2 else "077"
            done = members[number % 2].bash(f"umask {umask}; tykky {line}", env=settings)
            said = done.stderr.replace("tykky: warning: others may change", "")  # their homes
            assert "tykky: warning" not in said, f"{line}: {said}"

    for permissions in (
        {"setgid": "true", "dir_mode": "0775", "file_mode": "0664"},  # the group is the root's
        {"group": GROUP.gr_name, "dir_mode": "0775", "file_mode": "0640"},
    ):
        settings = {f"TYKKY_PERMISSIONS_{name.upper()}": permissions[name] for name in permissions}
        take_turns(TURNS)
        check_modes(root, int(permissions["file_mode"], 8), 0o2775)
        take_turns(GONE)
        assert listing(root) == ["db", "journal.jsonl", "modules", "store", "trash"]


def check_modes(root: Path, file: int, folder: int) -> None:
    """All has the modes, the group of the root, and no other rights than these."""
    for path in (root / name for name in listing(root) if not (root / name).is_symlink()):
        status, wanted = path.lstat(), file
        if path.is_dir():
            wanted = folder
        elif path.name in ("lock", ".lock", "journal.jsonl"):  # who may write to the folder may
            wanted = folder & 0o666
        elif path.name == "launch" or path.parent.name == "bin":
            wanted |= (file & 0o444) >> 2
        assert f"{stat.S_IMODE(status.st_mode):o}" == f"{wanted:o}", path
        assert status.st_gid == root.stat().st_gid, path
        assert not [name for name in os.listxattr(path) if "acl" in name], path

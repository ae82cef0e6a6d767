"""A store of a group: its members take turns in it, whatever their umasks are."""

from __future__ import annotations

import grp
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import STDOUT, CompletedProcess
from typing import Any

import pytest

from tests.stacks import MODULES, Site, listing
from tests.system.strangers import OtherUser, stranger
from tykky.errors import Exit

#: A group that every machine has, which nobody is a member of who is not told to be.
GROUP = grp.getgrnam("games")
OTHER, SHOWN = grp.getgrnam("man"), grp.getgrnam("mail")


@pytest.fixture
def members(site: Site, place: Path) -> Iterator[tuple[OtherUser, OtherUser]]:
    """Two members of a group, whose root inherits a list of access rights from the folder above."""
    groups = f"{GROUP.gr_gid},{OTHER.gr_gid},{SHOWN.gr_gid}"
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


@pytest.fixture
def others(site: Site, place: Path) -> Iterator[tuple[OtherUser, OtherUser]]:
    """A member of the group that keeps the store, but of no other; and an outsider."""
    groups = f"{GROUP.gr_gid},{SHOWN.gr_gid}"
    staff, outsider = stranger(site, place, 61003, groups), stranger(site, place, 61002)
    yield staff, outsider
    staff.leave()
    outsider.leave()


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
PULLS = """
import os
from tykky.bases.cache import claim
from tykky.config import Config
with claim(Config.load(), "0" * 64) as path:
    path.touch(0o600)
    path.open("a").close()
    os._exit(0)
"""
GONE = """
uninstall hello/2.0
install hello@2.0
uninstall hello/2.0
hold --undo hello/1.0#3
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
        for person in members:  # is killed while a base is pulled
            person.bash(f"umask 077; {sys.executable} -c '{PULLS}'", env=settings)
        check_modes(root, int(permissions["file_mode"], 8), 0o775)
        take_turns(GONE)
        left = [name for name in listing(root) if not name.startswith("bases")]
        assert left == ["db", "journal.jsonl", "modules", "store", "trash"]


def check_modes(root: Path, file: int, folder: int) -> None:
    """All has the modes, the group of the root, and no other rights than these."""
    for path in (root / name for name in listing(root) if not (root / name).is_symlink()):
        status, wanted = path.lstat(), file
        if path.suffix == ".new":
            continue
        if path.is_dir():
            wanted = folder
        elif path.name == "journal.jsonl":  # who may write to the folder may
            wanted = folder & 0o666
        elif path.name.endswith("lock"):  # and nobody else may open it, who could hold it
            wanted = (folder & 0o222) * 3
        elif path.name == "launch" or path.parent.name == "bin":
            wanted |= (file & 0o444) >> 2
        assert f"{status.st_mode & 0o777:o}" == f"{wanted:o}", path
        assert status.st_gid == root.stat().st_gid, path
        assert not [name for name in os.listxattr(path) if "acl" in name], path


#: What an outsider sees of modules, and of the cache that is made of them.
LOOK = """
module avail; module spider; module spider hello/2.0; module whatis hello/2.0; module help hello/2.0
module load hello/1.0; hello
/usr/share/lmod/lmod/libexec/spider -o spiderT "$MODULEPATH" | grep -q hello/2.0
echo cached
"""


@pytest.mark.slow
def test_a_restricted_stack_is_for_its_group(
    site: Site, members: tuple[OtherUser, OtherUser], others: tuple[OtherUser, OtherUser]
) -> None:
    site.hello("low")
    site.hello("hello", "1.0", "2.0", more="needs = 'low'")
    (first, second), (staff, outsider) = members, others
    outsider.env["TYKKY_ROOT"] = staff.env["TYKKY_ROOT"] = first.env["TYKKY_ROOT"]
    root = Path(first.env["TYKKY_ROOT"])
    restricted = {"TYKKY_PERMISSIONS_RESTRICTED": f"hello/2.0={OTHER.gr_name} x={OTHER.gr_name}"}
    for person in (first, second, outsider, staff):
        person.env.update(
            TYKKY_PERMISSIONS_GROUP=GROUP.gr_name,
            TYKKY_PERMISSIONS_DIR_MODE="2775",
            TYKKY_PERMISSIONS_FILE_MODE="0664",
            TYKKY_PERMISSIONS_MODULE_GROUP=SHOWN.gr_name,
            TYKKY_MODULE_FORMAT="both",
            **restricted,
        )
    first.bash("umask 077; tykky install low hello@1.0; tykky install hello@2.0")
    second.bash("umask 002; tykky install --force hello@2.0; tykky rollback hello/2.0")
    prefix = root / "store/hello/2.0"
    conf = prefix / ".tykky/generations/1/launch.conf"
    shown = (prefix, root / "modules/hello", root / "modules/hello/2.0.lua", root / "db/hello")
    seen = first.run("stat", "-c", "%a %G", *shown).stdout.splitlines()
    games, man, mail = (group.gr_name for group in (GROUP, OTHER, SHOWN))
    assert seen == [f"750 {man}", f"2775 {mail}", f"664 {mail}", f"2775 {games}"]
    assert modules(second, root, "module load hello/2.0; hello").stdout == "hello 2.0\n"
    second.run("tykky", "verify")

    # To all others it is there, and closed.
    looked = modules(outsider, root, LOOK)
    assert "hello/2.0" in looked.stdout + looked.stderr
    assert looked.stdout.splitlines()[-2:] == ["hello 1.0", "cached"]
    assert not re.search("(?i)error|permission|denied|members", looked.stdout + looked.stderr)
    for system in MODULES:
        refused = modules(outsider, root, "module load hello/2.0; hello", system, status=None)
        said = " ".join(refused.stderr.split())
        assert f"hello/2.0 is for members of the group '{man}'" in said
        assert refused.stdout == ""
        listed = modules(outsider, root, "module -t avail hello 2>&1", system).stdout
        assert re.findall("hello/[0-9.]*[0-9]", listed) == ["hello/1.0", "hello/2.0"], listed
    for verb in (
        "find",
        "find --packages",
        "find --sizes",
        "info hello",
        "which hello",
        "history",
        "outdated --json",
    ):
        assert outsider.bash(f"tykky {verb}").stderr == "", verb
    assert "closed to you, and left out: hello/2.0" in outsider.run("tykky", "verify").stderr
    asked = ("history", "info #1", "find #1", "verify #1", "hide", "rollback", "uninstall")
    for verb, number in (words.split(" ") if " " in words else (words, "") for words in asked):
        line = f"tykky {verb} hello/2.0{number}"
        said = outsider.bash(line, status=int(Exit.NOT_WRITABLE)).stderr
        errors = [line for line in said.splitlines() if line.startswith("tykky: error: ")]
        assert len(errors) == 1, said
        assert "Traceback" not in said

    # Nor do those harm it who may change all the rest.
    first.run("tykky", "install", "--force", "low", "hello@1.0")
    script = "tykky refresh --check --all; tykky reindex; tykky gc --days 0 -n; tykky gc --days 0"
    said = staff.bash(script, stderr=STDOUT).stdout
    assert re.findall(r"(?m)^  (\S+#1) |(as it is)", said) == [("hello/1.0#1", "")] * 2, said
    assert said.count(f"no pulled image is deleted: {prefix} is closed to you") == 2
    needed = staff.run("tykky", "uninstall", "low", "hello/1.0", status=int(Exit.CONFLICT)).stderr
    assert "low/1.0 is needed by hello/2.0#1" in needed
    assert modules(first, root, "module load hello/2.0; hello").stdout == "hello 2.0\n"

    # What has become wrong is named, and made right.
    first.run("chgrp", "61000", conf)
    first.run("chmod", "0600", prefix / ".tykky/generations/1/record.json")
    first.run("chmod", "0755", prefix)
    first.run("chmod", "2755", root / "db/hello")
    wrong = first.run("tykky", "verify", status=int(Exit.DAMAGED)).stdout
    assert f"'chgrp {games} {conf}'" in wrong
    assert f"'chmod 664 {prefix}/.tykky/generations/1/record.json'" in wrong
    assert f"'chmod 775 {root}/db/hello'" in wrong
    assert f"{prefix} is open to everybody" in wrong
    first.run("tykky", "refresh", "hello/2.0")
    first.run("tykky", "verify")
    assert first.run("stat", "-c", "%a %G", prefix).stdout == f"750 {man}\n"

    # In the trash it is for the group as well.
    first.run("tykky", "uninstall", "hello/2.0")
    (item,) = (root / "trash").iterdir()
    outsider.run("ls", item, status=2)
    first.run("tykky", "install", "hello@2.0")
    # And it is for everybody again.
    open_again = {"TYKKY_PERMISSIONS_RESTRICTED": ""}
    first.run("tykky", "refresh", "hello/2.0", env=open_again)
    assert modules(outsider, root, "module load hello/2.0; hello").stdout == "hello 2.0\n"
    outsider.run("tykky", "verify", env=open_again)


def modules(
    person: OtherUser, root: Path, script: str, system: str = "Lmod 8.6", **options: Any
) -> CompletedProcess[str]:
    """Run a script for which a module system knows the modules of the root."""
    start = (
        f'set +e; {MODULES[system]}\nmodule use "{root}/modules"; set -e; PATH=$PATH:/usr/sbin\n'
    )
    return person.bash(start + script, **options)

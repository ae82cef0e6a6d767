"""Somebody else's store: who may only read it can find, load and run everything in it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks import LMOD, Site, listing
from tests.system.strangers import OtherUser, stranger
from tykky.errors import Exit


@pytest.fixture
def reader(installed: Site, place: Path) -> Iterator[OtherUser]:
    """Somebody with another uid and an empty home, who may only read the installed store."""
    before = state(installed.root)
    person = stranger(installed, place)
    yield person
    person.leave()
    assert state(installed.root) == before


def state(root: Path) -> dict[str, tuple[int, int]]:
    """What is in a store: names with modes and times."""
    found = {}
    for name in listing(root):
        status = (root / name).lstat()
        found[name] = (status.st_mode, status.st_mtime_ns)
    return found


def loaded(site: Site, script: str) -> str:
    """A bash script with the module ``tiny`` loaded."""
    return f'. {LMOD}; module use "{site.modules}"; set -e; module load tiny\n{script}'


def test_reader_is_somebody_else(installed: Site, reader: OtherUser) -> None:
    assert reader.run("id", "-u").stdout.strip() not in ("0", str(os.getuid()))
    done = reader.bash(f"touch {installed.root}/x", status=1)
    assert "Permission denied" in done.stderr


ASKING = {
    "find": "tiny/1.0",
    "find --packages six": "1.17.0",
    "find --format {module}:{by[user]}": "tiny/1.0:",
    "info tiny": "tabulate==0.9.0",
    "log tiny": "tabulate --help",
    "log hello/1.0#1": "hello",
    "diff hello/1.0 tiny": "six",
    "history tiny": "#1",
    "verify": "",
    "verify tiny#1": "",
    "module path": "/modules",
    "module file tiny": "tiny/1.0.lua",
    "list": "tiny",
    "install --plan tiny": "installed already",
    "install tiny": "",
    "refresh --check --all": "",
    "gc --dry-run": "",
    "gc": "",
}


@pytest.mark.parametrize("words", ASKING)
def test_reader_may_ask_everything(installed: Site, reader: OtherUser, words: str) -> None:
    done = reader.run("tykky", *words.split())
    assert ASKING[words] in done.stdout
    assert "Traceback" not in done.stderr


def test_reader_loads_and_runs_everything(installed: Site, reader: OtherUser) -> None:
    prefix = installed.prefix("tiny")
    said = reader.bash(
        loaded(
            installed,
            "python -c 'import sys, tabulate; print(sys.executable)'\n"
            "printf 'a b\\n' | tabulate\n"
            "module load hello/0.9; hello you\n"
            "id -u; python -c 'import os; print(os.getuid())'\n",
        )
    ).stdout.splitlines()
    assert said[0] == f"{prefix}/bin/python"
    assert "a  b" in said
    assert "hello 0.9 you" in said
    assert said[-1] == said[-2]


def test_reader_makes_a_virtual_environment_on_top(
    installed: Site, reader: OtherUser, place: Path
) -> None:
    script = (
        "python -m venv --system-site-packages ~/venv\n"
        "~/venv/bin/python -c 'import tabulate; print(tabulate.__file__)'\n"
        "pip install --user --quiet cowsay==6.1\n"
        "~/.local/bin/cowsay -t moo\n"
    )
    said = reader.bash(loaded(installed, script)).stdout
    assert said.startswith(f"{installed.prefix('tiny')}/lib/")
    assert "moo" in said


@pytest.mark.parametrize(
    "words",
    [
        "install fireworks",
        "install --force hello",
        "uninstall hello/0.9",
        "refresh hello/0.9 --isolation mounts",
        "reindex",
    ],
)
def test_reader_may_not_change_the_store(installed: Site, reader: OtherUser, words: str) -> None:
    done = reader.run("tykky", *words.split(), status=int(Exit.NOT_WRITABLE))
    assert "Traceback" not in done.stderr
    assert str(installed.root) in done.stderr
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines() if line.strip()]


def test_reader_installs_into_a_root_of_their_own(
    installed: Site, reader: OtherUser, place: Path
) -> None:
    home = reader.env["HOME"]
    reader.run("tykky", "install", "hello", "--root", f"{home}/own")
    said = reader.bash(f". {LMOD}; module use {home}/own/modules; module load hello; hello").stdout
    assert said == "hello 1.0\n"


def test_store_on_a_read_only_file_system(site: Site, place: Path) -> None:
    site.hello()
    site("install", "hello")
    site("install", "--force", "hello")
    command = site.prefix("hello") / "bin/hello"
    script = f"""
        mount --rbind {site.root} {site.root}; mount -o remount,ro,bind {site.root}
        if touch {site.root}/x 2>/dev/null; then echo writable; fi
        {command} there
        tykky find --format '{{module}}'
        tykky install hello
        tykky history hello >&2
        tykky verify
        tykky refresh --check hello
        tykky gc --days 0
        ! tykky rollback hello
        TYKKY_PINS={site.prefix("hello")}=1 {command} again
    """
    done = site.user.run(
        *["unshare", "--user", "--map-root-user", "--mount", "--", "bash", "-ec", script]
    )
    assert done.stdout == "hello 1.0 there\nhello/1.0\nhello 1.0 again\n"
    assert "installed already" in done.stderr


def test_store_without_any_write_permission(site: Site) -> None:
    """The owner took the right to write from every file and folder, as archives do."""
    site.hello()
    site("install", "hello")
    paths = [site.root, *(site.root / name for name in listing(site.root))]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
        assert [entry["module"] for entry in site.found()] == ["hello/1.0"]
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    site("uninstall", "hello")


def test_store_moved_elsewhere_says_so_and_runs_nothing_wrong(site: Site, place: Path) -> None:
    """A prefix is the same path for ever; a copy of it elsewhere is not an install."""
    site.hello()
    site("install", "hello")
    shutil.copytree(site.root, place / "copy", symlinks=True)
    (command,) = (place / "copy/store/hello").glob("*/bin/hello")
    done = site.user.run(command, "there", status=None)
    assert done.returncode in (0, 125)
    if done.returncode:
        assert str(site.root) in done.stderr
    else:
        assert done.stdout == "hello 1.0 there\n"

"""Disks that are full or cannot be written to: the cause is said, and the old state is intact."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks import TINY, Site, listing
from tests.support import SPOILT
from tests.system.sabotage import WRITES, sabotaged
from tests.system.wholeness import LITTER, assert_explained, failed
from tykky.errors import Exit
from tykky.files import discard


def elsewhere(site: Site, script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a bash script in namespaces of its own, in which the user may mount."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--", "bash", "-c"]
    own = site.root.parent / "run"
    own.mkdir(mode=0o700, exist_ok=True)
    env = {"TYKKY_RUNTIME_DIR": str(own)}
    return site.user.run(*unshare, script, *words, status=None, env=env)


# -- errors at any operation --------------------------------------------------------------

ERRORS = {
    errno.ENOSPC: Exit.NO_SPACE,
    errno.EIO: Exit.NOT_WRITABLE,
    errno.EDQUOT: Exit.NO_SPACE,
    errno.EROFS: Exit.NOT_WRITABLE,
}
#: What is done, what before that, and what the command says in the end.
CHANGES = {
    "install": ("install hello@1.0", [], "hello 1.0\n"),
    "update": ("install --force hello@1.0", ["install hello@1.0"], "hello 1.0\n"),
    "rollback": (
        "rollback hello --to 1",
        ["install hello@1.0", "install --force hello@1.0"],
        "hello 1.0\n",
    ),
    "refresh": ("refresh hello --isolation mounts", ["install hello@1.0"], "hello 1.0\n"),
    "uninstall": ("uninstall hello", ["install hello@1.0"], ""),
    "undo": (
        "uninstall --undo hello",
        ["install hello@1.0", "uninstall hello"],
        "hello 1.0\n",
    ),
    "gc": (
        "gc --days 0",
        ["install hello@1.0 gone", "install --force hello@1.0", "uninstall gone"],
        "hello 1.0\n",
    ),
    "up to date": ("update hello", ["install hello@1.0", "edit"], "hello 1.0\n"),
    "deprecate": ("deprecate hello --use good", ["install hello@1.0"], "hello 1.0\n"),
    "default": ("default hello/1.0", ["install hello@1.0"], "hello 1.0\n"),
    "hide": ("hide hello", ["install hello@1.0"], "hello 1.0\n"),
    "hold": ("hold hello", ["install hello@1.0"], "hello 1.0\n"),
    # After which gc removes it.
    "retire": ("retire hello/1.0 --use good/1.0", ["install hello@1.0"], ""),
    "reindex": ("reindex", ["install hello@1.0"], "hello 1.0\n"),
    "classic": ("wrap-install -w bin --prefix ../p ../tool", [], "hello 1.0\n"),
    "classic again": (
        "wrap-install -w bin --prefix ../p ../tool",
        ["wrap-install -w bin --prefix ../p ../tool"],
        "hello 1.0\n",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_an_error_at_any_operation_is_told_and_leaves_a_whole_state(
    site: Site, place: Path, change: str
) -> None:
    """Each operation once, with one error or the other, for itself or from there on.

    Every seventh, or as TYKKY_TEST_EVERY says.
    """
    words, before, says = CHANGES[change]
    site = site.with_env(TYKKY_CACHE_DIR=str(place / "cache"), TMPDIR=str(place / "build"))

    def run(words: str, here: Site = site) -> tuple[int, str]:
        program = () if words.startswith("wrap") else ("tykky",)
        done = here.user.run(*program, *words.split(), status=None)
        return done.returncode, done.stderr

    for name in ("hello", "good", "gone"):
        site.hello(name)
    (place / "bin/wrap-install").symlink_to(Path(sys.executable).parent / "wrap-install")
    (place / "tool/bin").mkdir(parents=True)
    (place / "build").mkdir(mode=0o700)
    (place / "tool/bin/hello").write_text("#!/bin/sh\necho hello 1.0\n")
    (place / "tool/bin/hello").chmod(0o755)
    (place / "p").mkdir()
    for each in ["install good", *before]:
        if each == "edit":
            site.hello(more="def finish(self, box):\n    box.write('more', 'more')")
        else:
            assert run(each)[0] == 0, each
    if change == "reindex":
        shutil.rmtree(site.root / "db/hello")
    for folder in ("t", "p"):
        (place / folder).rename(place / f"kept-{folder}")
    below = f"{site.root}:{place}/p:{place}/build:{place}/cache"

    def renew() -> None:
        for folder in ("t", "p", "build", "cache"):
            discard(place / folder)
        for folder in ("t", "p"):
            shutil.copytree(place / f"kept-{folder}", place / folder, symlinks=True)
        (place / "build").mkdir(mode=0o700)

    def wrong(at: int, error: int, onward: dict[str, int]) -> Iterator[str]:
        renew()
        status, said = run(
            words, sabotaged(site, below=below, ops=WRITES, at=at, errno=error, **onward)
        )
        if status not in (Exit.OK, ERRORS[error]) or "Traceback" in said:
            yield f"ended with {status}: {said}"
        if site.user.run(site.root / "store/good/1.0/bin/hello").stdout != "hello 1.0\n":
            yield "another stack was disturbed"
        status, said = run(words)
        if status != Exit.OK and not (change in ("uninstall", "undo") and status == Exit.NOT_FOUND):
            yield f"again: {status}: {said}"
        run("gc --days 0")
        prefix = place / "p" if "classic" in change else site.root / "store/hello/1.0"
        hello = prefix / "bin/hello"
        if (site.user.run(hello).stdout if hello.exists() else "") != says:
            yield "the command does not work"
        status, said = run("verify")
        if status != Exit.OK:
            yield f"verify: {said}"
        there = [*listing(site.root), *listing(place / "p")]
        litter = [path for path in there if re.search(LITTER, path)]
        left = [path for path in listing(place / "build") if "log" not in path]
        if litter or left:
            yield f"{litter} {left} are left"

    renew()
    log = place / "operations"
    assert run(words, sabotaged(site, below=below, ops=WRITES, log=log))[0] == 0
    lines = log.read_text().splitlines()
    # Of what is done to one file, the first and the last.
    alike: dict[str, list[int]] = {}
    for number, line in enumerate(lines, 1):
        alike.setdefault(re.sub("[0-9a-f]{8,}", "X", line), []).append(number)
    points = sorted({number for numbers in alike.values() for number in (numbers[0], numbers[-1])})
    assert len(points) > 4
    complaints = []
    for count, at in enumerate(points):
        error = [*ERRORS][count % 4]
        if count % int(os.environ.get("TYKKY_TEST_EVERY", "7")) == 0:
            SPOILT["errors of disks"] += 1
            found = [*wrong(at, error, {"onward": 1} if count % 2 else {})]
            what = f"{errno.errorcode[error]} at {lines[at - 1]}"
            complaints += [f"{what}: {each}" for each in found]
    assert not complaints, "\n\n".join(complaints)


# -- disks --------------------------------------------------------------------------------


def test_no_space_left_to_build_in(old: Site, place: Path) -> None:
    old.write("tiny", TINY)
    old("lock", "tiny")
    script = "tykky install tiny; echo $?; find build -mindepth 1 -not -path 'build/logs*'"
    mounted = f"cd {place}; " + script
    build = place / "build"
    build.mkdir(exist_ok=True)
    done = elsewhere(old, f'mount -t tmpfs -o size=4m,mode=700 tmpfs "{build}"; {mounted}')
    assert done.stdout == f"{int(Exit.NO_SPACE)}\n"
    assert_explained(done, "no space", remedy="build_dir")


@pytest.mark.parametrize("spec", ["tiny", "hello"])
def test_no_space_left_in_the_store(site: Site, place: Path, spec: str) -> None:
    site.write("tiny", TINY)
    site.hello("hello")
    site("lock", "tiny")
    size = "1m" if spec == "tiny" else "40k"
    folder = place / "small"
    folder.mkdir()
    done = elsewhere(
        site,
        f"""
        mount -t tmpfs -o size={size} tmpfs {folder}
        export TYKKY_ROOT={folder}
        tykky install {spec}
        echo $?
        tykky find --format '{{module}}'
        find {folder}/store {folder}/modules -mindepth 1
        """,
    )
    assert done.stdout == f"{int(Exit.NO_SPACE)}\n"
    said = re.sub("nothing is installed.*\n", "", done.stderr)
    assert "Traceback" not in said
    assert len(re.findall("^tykky: .*[nN]o space", said, re.M)) == 1, said


def test_uninstall_frees_a_disk_that_is_full(site: Site, place: Path) -> None:
    site.hello("hello", "1.0", "2.0")
    folder = place / "small"
    folder.mkdir()
    done = elsewhere(
        site,
        f"""
        mount -t tmpfs -o size=2m tmpfs {folder}
        export TYKKY_ROOT={folder}
        tykky install hello@1.0 hello@2.0 2>/dev/null
        cat /dev/zero 2>/dev/null >{folder}/zeros
        tykky uninstall hello/2.0
        echo $?
        tykky gc --days 0
        echo $?
        tykky find --format '{{module}}'
        {folder}/store/hello/1.0/bin/hello
        """,
    )
    assert done.stdout == "0\n0\nhello/1.0\nhello 1.0\n", done.stderr


@pytest.mark.slow
def test_no_room_for_one_more_file_anywhere_in_the_store(site: Site, place: Path) -> None:
    """The file system of the store takes N files and no more, for every N until it suffices."""
    site.hello("hello")
    folder = place / "small"
    folder.mkdir()
    script = f"""
        for inodes in $(seq 2 40); do
            mount -t tmpfs -o nr_inodes=$inodes tmpfs {folder}
            tykky install hello 2>{place}/said
            status=$?
            echo "$inodes $status $(tykky find --format '{{module}}' 2>&1 | tr '\\n' ' ')"
            grep -q Traceback {place}/said && cat {place}/said
            [ $status = 0 ] && break
            [ $status = 20 ] || cat {place}/said
            umount {folder}
        done
        find {folder} -name '*.new'
        hello=$(echo {folder}/store/hello/*/bin/hello)
        $hello
    """
    site = site.with_env(TYKKY_ROOT=str(folder))
    lines = elsewhere(site, script).stdout.splitlines()
    assert lines[-1] == "hello 1.0"
    *failures, success = [line.split()[1:] for line in lines[:-1]]
    assert success == ["0", "hello/1.0"]
    assert len(failures) > 10
    for status, *found in failures:
        assert status == str(int(Exit.NO_SPACE)), lines
        # What was committed before the disk was full is there, without a module.
        assert found in ([], ["hello/1.0"])


# -- places that cannot be written to -----------------------------------------------------


def read_only(site: Site, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command while a folder is mounted read-only."""
    script = 'mount --rbind "$0" "$0"; mount -o remount,ro,bind "$0"; exec "$@"'
    return elsewhere(site, script, folder, *command)


@pytest.mark.parametrize("what", ["t", "t/store", "t/db", "t/modules"])
def test_read_only_store(old: Site, place: Path, what: str) -> None:
    old.hello("new")
    done = read_only(old, place / what, "tykky", "install", "new")
    assert done.returncode == Exit.NOT_WRITABLE, done.stderr
    assert_explained(done, str(place / what), remedy="root" if what != "t/modules" else "")
    assert "build" not in done.stderr.replace(str(place), ""), "it was built in vain"


@pytest.mark.parametrize("key", ["cache_dir", "build_dir"])
def test_read_only_cache_or_build_directory(old: Site, place: Path, key: str) -> None:
    text = place / "text"
    text.write_text("text")
    digest = hashlib.sha256(b"text").hexdigest()
    old.hello(
        "new", more=f"def equip(self, box):\n    box.fetch('file://{text}', sha256='{digest}')"
    )
    (place / "closed").mkdir(mode=0o700)
    words = ["tykky", "install", "new", "-c", f"{key}={place}/closed"]
    done = read_only(old, place / "closed", *words)
    assert done.returncode == Exit.NOT_WRITABLE, done.stderr
    assert_explained(done, str(place / "closed"), remedy=key)


@pytest.mark.parametrize("what", ["t", "t/db", "t/modules", "t/store/old", "t/store"])
def test_uninstall_from_a_read_only_store(old: Site, place: Path, what: str) -> None:
    done = read_only(old, place / what, "tykky", "uninstall", "old")
    assert done.returncode == Exit.NOT_WRITABLE, done.stderr
    assert_explained(done)


def test_folder_that_others_own(old: Site, place: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = place / "closed"
    closed.mkdir()
    (closed / "file").touch()  # an empty build directory would be made anew
    closed.chmod(0o555)
    old.hello("new")
    failed(old, Exit.NOT_WRITABLE, "install", "new", "--root", closed, says=(str(closed),))
    below = closed / "root"
    failed(old, Exit.NOT_WRITABLE, "install", "new", "--root", below, says=(str(below),))
    old.write("tiny", TINY)
    for key in ("build_dir", "cache_dir", "module_path"):
        done = failed(old, Exit.NOT_WRITABLE, "install", "tiny", "-c", f"{key}={closed}")
        assert str(closed) in done.stderr


def test_root_that_is_a_file(old: Site, place: Path) -> None:
    file = place / "file"
    file.touch()
    old.hello("new")
    done = old("install", "new", "--root", file, status=None)
    assert done.returncode not in (0, 1), done.stderr
    assert_explained(done, str(file))


@pytest.mark.parametrize("how", ["link", "open", "file"])
def test_build_directory_that_somebody_else_could_change(old: Site, place: Path, how: str) -> None:
    if (place / "build").exists():
        shutil.rmtree(place / "build")
    if how == "link":
        (place / "build").symlink_to(place / "home")
    elif how == "file":
        (place / "build").touch()
    else:
        (place / "build").mkdir()
        (place / "build").chmod(0o777)
    old.hello("new")
    failed(old, Exit.NOT_WRITABLE, "install", "new", says=(str(place / "build"),))
    if how != "file":
        log = place / "build/logs/new/1.0-12345678.log"
        log.parent.mkdir(parents=True)
        log.write_text("what a stranger wrote")
    done = failed(old, Exit.NOT_WRITABLE, "log", "--failed", "new", says=(str(place / "build"),))
    assert "stranger" not in done.stdout
    assert f"the build directory {place}/build is no directory" in old("doctor", status=None).stdout
    assert f"the build directory {place}/build is no directory" in old("gc").stderr


def test_a_log_does_not_steer_a_terminal(site: Site) -> None:
    steer = r"printf '\033[31mred\033[0m \033]0;title\007 \033P+q\n'; false"
    site.hello(more=f"def test(self, box):\n    box.run({steer!r})")
    site("install", "hello", status=int(Exit.TEST))
    said = site("log", "hello").stdout
    assert "\nred " in said
    assert not set(said) & {"\033", "\007"}


def test_path_too_long_for_a_shebang(old: Site, place: Path) -> None:
    old.write("tiny", TINY)
    root = place / ("x" * 40) / ("y" * 40)
    failed(old, Exit.PATH_TOO_LONG, "install", "tiny", "--root", root, remedy="shorter")
    assert not root.exists()


def test_path_with_a_blank(old: Site, place: Path) -> None:
    old.write("tiny", TINY)
    failed(old, Exit.PATH_TOO_LONG, "install", "tiny", "--root", place / "a b", says=("blank",))

"""Every failure: one cause, one remedy, an exit code of its own, and the old state intact."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.stacks import TINY, Site
from tests.system.wholeness import assert_explained, failed
from tykky.errors import Exit

TINY_HEAD = TINY.partition("    packages")[0]


def pip_recipe(packages: str, more: str = "") -> str:
    """A recipe of a pip stack with other packages."""
    return f"{TINY_HEAD}    packages = {packages}\n{more}"


# -- the network and the package index ---------------------------------------------------


@pytest.fixture
def offline(old: Site, place: Path) -> Site:
    """The same site without a network: the proxy is a port that nobody listens at."""
    closed = "http://127.0.0.1:9"
    return old.with_env(
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), closed),
        TYKKY_CACHE_DIR=str(place / "cache"),
    )


@pytest.mark.slow
def test_no_network(old: Site, offline: Site) -> None:
    old.write("locked", TINY.replace("Tiny", "Locked"))
    old("lock", "locked")
    old.write("tiny", TINY)
    # At once, since each of them tries several times.
    calls = [("lock", "tiny"), ("install", "tiny"), ("install", "locked")]
    for process in [offline.start(*call) for call in calls]:
        _, said = process.communicate(timeout=300)
        assert process.returncode == Exit.NETWORK, said
        done = subprocess.CompletedProcess(process.args, process.returncode, "", said)
        assert_explained(done, "package index", remedy="network")


def test_unknown_package(old: Site) -> None:
    old.write("tiny", pip_recipe('"tabulate", "surely-no-package-is-named-so"'))
    for verb in ("lock", "install"):
        failed(old, Exit.UNKNOWN_PACKAGE, verb, "tiny", says=("'surely-no-package-is-named-so'",))


def test_unknown_version_of_a_package(old: Site) -> None:
    old.write("tiny", pip_recipe('"tabulate==99.9",'))
    done = failed(old, Exit.RESOLVE, "install", "tiny")
    assert "tabulate==99.9" in done.stderr


def test_packages_that_contradict_each_other(old: Site) -> None:
    old.write("tiny", pip_recipe('"six<1.16", "six>=1.16"'))
    failed(old, Exit.RESOLVE, "install", "tiny", says=("contradict",))


def test_package_that_has_no_wheel(old: Site) -> None:
    old.write("tiny", pip_recipe('"docopt==0.6.2",'))
    failed(old, Exit.RESOLVE, "install", "tiny", says=("'docopt'", "no wheel"), remedy="source")


def test_requirement_that_is_none(old: Site) -> None:
    old.write("tiny", pip_recipe('"six ==== 1",'))
    done = failed(old, Exit.RECIPE, "install", "tiny")
    assert "six ==== 1" in done.stderr


# -- locks --------------------------------------------------------------------------------


def lock_of(site: Site, name: str) -> Path:
    (path,) = (site.repo / name / "locks").iterdir()
    return path


def test_downloaded_file_that_is_not_the_one_in_the_lock(old: Site) -> None:
    old.write("tiny", TINY)
    old("lock", "tiny")
    path = lock_of(old, "tiny")
    lock = json.loads(path.read_text())
    for package in lock["packages"]:
        if package["name"] == "six":
            package["sha256"] = "0" * 64
    path.write_text(json.dumps(lock))
    done = failed(old, Exit.DAMAGED, "install", "tiny", says=("not the file that was expected",))
    assert "six" in done.stderr


def test_lock_that_no_longer_fits_its_recipe(old: Site) -> None:
    old.write("tiny", TINY)
    old("lock", "tiny")
    old.write("tiny", TINY.replace("six==1.17.0", "six==1.16.0"))
    failed(old, Exit.LOCK, "install", "tiny", says=("no longer fits",), remedy="tykky lock tiny")


@pytest.mark.parametrize("packages", ["null", "[1]", '[{"name": "six"}]', '{"a": "b"}'])
def test_lock_with_damaged_packages(old: Site, packages: str) -> None:
    old.write("tiny", TINY)
    old("lock", "tiny")
    path = lock_of(old, "tiny")
    lock = json.loads(path.read_text())
    lock["packages"] = json.loads(packages)
    path.write_text(json.dumps(lock))
    failed(old, Exit.LOCK, "install", "tiny", says=("lock",), remedy="tykky lock")


# -- the host -----------------------------------------------------------------------------


def test_missing_mksquashfs(old: Site, place: Path) -> None:
    old.hello("new")
    bare = old.with_env(PATH=str(place / "bin"))
    failed(bare, Exit.MISSING_TOOL, "install", "new", says=("mksquashfs",), remedy="squashfs-tools")


def test_python_that_the_base_has_not(old: Site) -> None:
    old.write("tiny", TINY.replace("    packages", '    python = "3.99"\n    packages'))
    done = failed(old, Exit.BASE, "install", "tiny", says=("3.99",), remedy="3.99")
    assert re.search(r"it has 3\.\d+", done.stderr)


# -- recipes and hooks --------------------------------------------------------------------


def test_failing_test_of_a_recipe_means_no_install(old: Site) -> None:
    old.hello(more="def test(self, box):\n    box.run('echo so it is; hello && exit 3')")
    done = failed(old, Exit.TEST, "install", "hello", says=("exit status 3",))
    assert "so it is" in done.stderr
    log = re.search(r"log: (\S+)", done.stderr)
    assert log is not None
    assert "so it is" in Path(log[1]).read_text()
    assert "so it is" in old("log", "--failed", "hello").stdout
    assert old("log", "hello", "--path").stdout.strip() == log[1]


@pytest.mark.parametrize(
    ("step", "code"), [("assemble", Exit.BUILD), ("finish", Exit.FINISH), ("test", Exit.TEST)]
)
def test_command_that_fails_in_a_step_has_the_exit_code_of_the_step(
    old: Site, step: str, code: Exit
) -> None:
    old.hello(more=f"def {step}(self, box):\n    box.run('echo why >&2; exit 7')")
    done = failed(old, code, "install", "hello", says=("exit status 7",))
    assert "why" in done.stderr


@pytest.mark.parametrize("step", ["assemble", "finish", "test"])
def test_python_that_fails_in_a_step_is_shown_with_its_line(old: Site, step: str) -> None:
    file = old.hello(more=f"def {step}(self, box):\n    1 / 0  # here")
    done = failed(old, Exit.RECIPE, "install", "hello")
    number = file.read_text().splitlines().index("        1 / 0  # here") + 1
    assert f"{file}:{number}" in done.stderr
    assert "1 / 0  # here" in done.stderr


def test_command_that_the_stack_has_not(old: Site) -> None:
    file = old.hello(more='commands = "hello", "helo"')
    done = failed(old, Exit.RECIPE, "install", "hello", says=("'helo'",), remedy="hello")
    assert f"{file}:" in done.stderr


def test_file_that_cannot_go_into_an_image(old: Site) -> None:
    old.hello(more="def finish(self, box):\n    box.run('mkfifo pipe')")
    failed(old, Exit.SQUASH, "install", "hello", says=("pipe",))


def test_path_outside_of_the_prefix(old: Site, place: Path) -> None:
    old.hello(more=f"def finish(self, box):\n    box.write({str(place / 'x')!r}, 'x')")
    failed(old, Exit.FINISH, "install", "hello", says=("prefix",))
    old.hello(more="def finish(self, box):\n    box.write('../../x', 'x')")
    failed(old, Exit.FINISH, "install", "hello", says=("prefix",))


def test_build_cannot_write_outside_of_its_prefix(old: Site, place: Path) -> None:
    for path in (place / "repo", place / "t", Path("/usr"), Path("/var/lib")):
        old.hello(more=f"def finish(self, box):\n    box.run('touch {path}/x')")
        done = failed(old, Exit.FINISH, "install", "hello")
        assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr
        assert not (path / "x").exists()


@pytest.mark.parametrize("path", ["bin/link", "folder/victim", "folder/new"])
def test_link_out_of_the_prefix_is_not_written_through(old: Site, place: Path, path: str) -> None:
    """What a build made (a link) must not lead a later ``box.write`` elsewhere."""
    target = place / "victim"
    target.write_text("mine")
    old.hello(
        more=f"""
        def finish(self, box):
            box.run(["ln", "-s", {str(target)!r}, "bin/link"])
            box.run(["ln", "-s", {str(place)!r}, "folder"])
            box.write("{path}", "yours")
            box.run("false")
        """
    )
    old("install", "hello", status=int(Exit.FINISH))
    assert target.read_text() == "mine"


def test_failing_hook_is_shown_with_its_line(old: Site) -> None:
    hooks = old.hooks("def before_squash(build):\n    raise RuntimeError('not today')\n")
    old.hello()
    done = failed(old, Exit.CONFIG, "install", "hello", "-c", f"hooks={hooks}", says=("not today",))
    assert f"{hooks}:2" in done.stderr


# -- the command line ---------------------------------------------------------------------


MISTAKES = [
    (["install", "helo"], Exit.SPEC),
    (["install", "hello@7"], Exit.SPEC),
    (["install", "hello+x"], Exit.SPEC),
    (["install", "hello@@"], Exit.SPEC),
    (["install", ""], Exit.SPEC),
    (["uninstall", "hello"], Exit.NOT_FOUND),
    (["log", "hello"], Exit.NOT_FOUND),
    (["info", "helo"], Exit.SPEC),
    (["audit", "helo"], Exit.SPEC),
    (["lock", "helo"], Exit.SPEC),
    (["find", "@@"], Exit.SPEC),
    (["install", "hello", "-c", "rot=/x"], Exit.CONFIG),
    (["install", "hello", "--root", "relative\nline"], Exit.CONFIG),
    (["find", "--format", "{nothing}"], Exit.USAGE),
    (["find", "--format", "{"], Exit.USAGE),
    (["find", "--format", "{name.x}"], Exit.USAGE),
    (["find", "--format", "{installed:>q}"], Exit.USAGE),
    (["module", "file", "hello"], Exit.NOT_FOUND),
]


def test_mistakes_on_the_command_line(old: Site) -> None:
    old.hello()
    for words, code in MISTAKES:
        failed(old, code, *words)
    for words in (["instal"], ["install"], ["install", "--nope"], ["gc", "--days", "x"]):
        assert "Traceback" not in old(*words, status=2).stderr

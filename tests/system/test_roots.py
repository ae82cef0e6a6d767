"""Several roots: searched in order, written to one at a time, one of them out of reach."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks import Site, settle
from tests.support import log_in, new_place, remove
from tykky.errors import Exit
from tykky.resources import resource


def configure(site: Site, **roots: Path) -> Site:
    """The site, with these roots in the user's configuration, of which the first is written to."""
    first = next(iter(roots))
    lines = [f"root: {first}", "roots:", *(f"  {name}: {path}" for name, path in roots.items())]
    file = site.user.home / ".config/tykky/config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    env = {key: value for key, value in site.user.env.items() if key != "TYKKY_ROOT"}
    return Site(type(site.user)(site.user.home, env), site.repo)


@pytest.fixture(scope="module")
def three() -> Iterator[Site]:
    """A user with ``mine``, a project's root, and a central one that nobody may write to.

    ``upper`` of ``mine`` needs ``lower`` of the central root, which has two names; another root
    is not mounted. ``hello`` is in two roots, as another version in each.
    """
    place = new_place()
    site = settle(place, log_in(place))
    for name in ("central", "empty"):
        (place / name).mkdir()
    (place / "link").symlink_to("central")
    site = configure(
        site,
        mine=place / "mine",
        again=place / "link/../mine",
        project=place / "project",
        central=place / "link",
        twice=place / "central",
        gone=place / "empty",
    )
    site.hello("hello", "2.0", "1.0")
    site.hello("lower")
    site.hello("upper", more='needs = "lower"')
    site("--root", "central", "install", "hello@1.0", "lower")
    site("--root", "central", "install", "--force", "lower")
    site("--root", "project", "install", "hello@2.0")
    site("install", "upper")
    site.user.run("chmod", "-R", "a-w", place / "central")
    yield site
    site.user.run("chmod", "-R", "u+w", place / "central")
    remove(place)


def test_find_shows_all_once_and_warns_of_what_is_not_mounted(three: Site) -> None:
    done = three("find")
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert rows == [
        ["MODULE", "ROOT"],
        ["hello/1.0", "central"],
        ["hello/2.0", "project"],
        ["lower/1.0", "central"],
        ["upper/1.0", "mine"],
    ]
    place = three.repo.parent
    warning = f"the root gone ({place}/empty) is not there, or not mounted"
    assert done.stderr == f"tykky: warning: {warning}\n"
    assert {e["module"]: e["root"] for e in three.found()} == {
        "hello/1.0": f"{place}/link",
        "hello/2.0": f"{place}/project",
        "lower/1.0": f"{place}/link",
        "upper/1.0": f"{place}/mine",
    }
    assert three("--root", "central", "find", "--format", "{module}").stdout.split() == [
        "hello/1.0",
        "lower/1.0",
    ]
    probes = three.json("doctor", status=None)["probes"]
    assert [p["found"] for p in probes if p["name"] == "roots"] == [warning]
    # Who writes to another one has all of them, too, and what that one has is the default.
    default = "{default} {root}"
    for root, where in ("project", "project"), ("central", "link"):
        other = three.with_env(TYKKY_ROOT=root)
        found = other("find", "hello", "--format", default).stdout.splitlines()
        assert sorted(found)[1:] == [f"True {place}/{where}"]
    # What is retired in the first hides nothing that can be loaded in the next.
    other = three.with_env(TYKKY_ROOT="project")
    other("retire", "hello/2.0")
    found = other("find", "hello", "--format", default).stdout.splitlines()
    assert sorted(found)[1:] == [f"True {place}/link"]
    other("retire", "--undo", "hello/2.0")


@pytest.mark.parametrize(
    "words",
    [
        ("history", "lower"),
        ("log", "lower"),
        ("info", "lower#1"),
        ("diff", "lower#1", "hello/2.0"),
        ("module", "file", "lower"),
        ("doctor", "lower"),
        ("which", "lower"),
        ("verify", "lower", "hello/2.0", "upper"),
    ],
    ids=lambda words: words[0],
)
def test_verbs_that_ask_find_an_install_in_any_root(three: Site, words: tuple[str, ...]) -> None:
    done = three(*words)
    if words[0] == "module":
        path = Path(done.stdout.strip())
        assert path.is_file()
        assert path.is_relative_to(three.repo.parent / "link/modules")
    three("--root", "mine", *words, status=int(Exit.NOT_FOUND))


@pytest.mark.parametrize("verb", ["uninstall", "rollback", "refresh", "hide"])
def test_verbs_that_change_name_the_other_root_and_leave_it_alone(three: Site, verb: str) -> None:
    done = three(verb, "hello/2.0", status=int(Exit.NOT_FOUND))
    where = f"hello/2.0 is in the root project ({three.repo.parent}/project): --root project"
    assert where in done.stderr
    nowhere = three(verb, "nothing", status=int(Exit.NOT_FOUND)).stderr
    assert ", nor in project" in nowhere
    assert "not mounted" in nowhere


def test_what_another_root_needs_stays(three: Site) -> None:
    """A stack of one root runs on those of another, which know of it as far as it is named."""
    assert three("--root", "mine", "find", "--format", "{needs}").stdout.count("link/store") == 1
    central = three.repo.parent / "central"
    three.user.run("chmod", "-R", "u+w", central)
    try:
        three("--root", "central", "install", "--force", "lower")
        gone = three.json("--root", "central", "gc", "--days", "0")["generations"]
        assert gone == ["lower/1.0#1"]
        done = three("--root", "central", "uninstall", "lower", status=int(Exit.CONFLICT))
        assert f"upper/1.0#1 in mine ({three.repo.parent}/mine)" in done.stderr
        for verb in ("uninstall lower", "gc"):
            done = three("--root", "central", *verb.split(), status=None)
            assert "not mounted; what the stacks in it need, nobody can tell" in done.stderr
    finally:
        three.user.run("chmod", "-R", "a-w", central)
    for more in 'needs = "low"', 'base = "stack:low"':
        three.hello("astray", more=more)
        said = three("install", "astray", status=None).stderr
        assert "not mounted; unless it is there, install it first: tykky install low" in said
    three.hello("on", more='base = "stack:lower"')
    three("install", "on")
    three("uninstall", "on")


def test_a_number_that_is_given_anew_is_not_what_was_needed(site: Site) -> None:
    site.hello("lower")
    site("install", "lower")
    site.hello("upper", more='needs = "lower"')
    own = configure(site, mine=site.repo.parent / "mine", central=site.root)
    own("install", "upper")
    hello = own.prefix("upper") / "bin/hello"
    assert own.user.run(hello).stdout.split() == ["hello", "1.0"]
    file = own.user.home / ".config/tykky/config.yaml"
    file.rename(file.with_suffix(".away"))  # whoever owns the other root does not know of it
    site("uninstall", "lower")
    site("gc", "--days", "0")
    recipe = site.repo / "lower/recipe.py"
    recipe.write_text(recipe.read_text().replace("echo hello", "echo hallo"))
    site("install", "lower")
    file.with_suffix(".away").rename(file)
    assert own.record("lower")["generation"] == 1
    done = own.user.run(hello, status=125)
    assert "another generation 1 of lower/1.0 than there is now" in done.stderr
    assert "upper" in own("verify", status=int(Exit.DAMAGED)).stdout
    own("install", "upper")
    assert own.user.run(hello).stdout.split() == ["hello", "1.0"]


def test_half_an_install_in_the_first_hides_no_whole_one_in_the_second(three: Site) -> None:
    three("install", "hello@2.0")
    own = three.repo.parent / "mine/store/hello/2.0"
    shell = f". {resource('share') / 'setup-env.sh'}; tykky activate hello/2.0; echo $TYKKY_PREFIX"
    try:
        assert three.user.bash(shell).stdout.split() == [str(own)]
        (own / ".tykky/current").unlink()
        done = three.user.bash(shell)
        assert done.stdout.split() == [str(three.repo.parent / "project/store/hello/2.0")]
        assert done.stderr == ""
        assert "=>" in three("history", "hello/2.0").stdout
        assert [e["module"] for e in three.found("hello")].count("hello/2.0") == 2
        three("verify", "hello/2.0")
    finally:
        three("rollback", "hello/2.0", "--to", "1")
        three("uninstall", "hello/2.0")


def test_a_root_says_itself_what_belongs_to_it(site: Site, place: Path) -> None:
    shared = place / "shared"
    shared.mkdir()
    said = 'module_path: lmod\npermissions:\n  dir_mode: "2750"\n  file_mode: "0640"\n'
    (shared / "root.yaml").write_text(said)
    site.hello()
    site("--root", shared, "install", "hello")
    paths = {path: path.stat().st_mode & 0o7777 for path in (shared / "lmod/hello").iterdir()}
    assert {path.name: mode for path, mode in paths.items() if path.name[0] != "."} == {
        "1.0.lua": 0o640
    }
    assert (shared / "store/hello").stat().st_mode & 0o7777 == 0o2750
    site("--root", shared, "verify")
    (shared / "root.yaml").chmod(0o666)
    done = site("--root", shared, "find", status=int(Exit.CONFIG))
    assert "can be written by everybody" in done.stderr
    site("find")


def test_roots_that_share_modules_have_one_default_and_one_lock(site: Site, place: Path) -> None:
    modules = place / "modules"
    site = configure(site, a=place / "a", b=place / "b")
    site.hello("hello", "2.0", "1.0")
    for root, version in ("a", "2.0"), ("b", "1.0"):
        (place / root).mkdir()
        (place / root / "root.yaml").write_text(f"module_path: {modules}\n")
        site("--root", root, "install", f"hello@{version}")
    lmod = f'. /usr/share/lmod/lmod/init/bash; module use "{modules}"; module load hello; hello'
    assert site.user.bash(lmod).stdout == "hello 2.0\n"
    for root in "ab":
        site("--root", root, "verify")
    # Who makes modules of a name in one root waits for who does so in the other.
    with (modules / "hello/.lock").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        both = [site.start("--root", root, "hide", "hello") for root in "ab"]
        time.sleep(1.5)
        assert [each.poll() for each in both] == [None, None]
    assert [each.wait() for each in both] == [0, 0]
    site("--root", "a", "uninstall", "hello")
    shutil.rmtree(place / "a")
    site("--root", "b", "verify")
    site("--root", "b", "uninstall", "hello")
    assert list(modules.iterdir()) == []


def test_modules_of_another_root_within_ones_own_are_left_alone(site: Site, place: Path) -> None:
    """A second root, whose modules lie where the first has its own; then it is not mounted."""
    site = configure(site, a=place / "a", b=place / "b")
    site.hello("hello", "2.0", "1.0")
    folder = place / "a/modules/hello"
    (place / "b").mkdir()
    (place / "b/root.yaml").write_text(f"module_path: {folder.parent}\n")
    site("install", "hello@2.0")
    for words in ("install", "hello@1.0"), ("default", "hello/1.0"):
        site("--root", "b", *words)
    site("hide", "hello/2.0")
    marks = (folder / ".modulerc.lua").read_text()
    assert 'module_version("hello/1.0", "default")' in marks
    assert marks.count("hello/2.0") == 2
    known = {path.name: path.read_text() for path in folder.iterdir()}
    for away in False, True:
        if away:
            (place / "b").rename(place / "away")
        said = site("refresh", "hello").stderr
        assert ("not mounted, or cannot be read: hello/1.0" in said) == away
        site("reindex")
        refused = site("install", "hello@1.0", status=int(Exit.CONFLICT)).stderr
        assert f"belongs to the install {place}/b/store/hello/1.0" in refused
        assert {path.name: path.read_text() for path in folder.iterdir()} == known
    (place / "away").rename(place / "b")
    site("--root", "b", "verify")

"""What of a place may be damaged or changed by hand, and what is then said, kept and mended."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.stacks import Site, listing
from tests.system.sabotage import sabotaged
from tykky.errors import Exit


@pytest.fixture
def two(site: Site) -> Site:
    """A stack of two generations, of which the second is current."""
    site.hello()
    site("install", "hello")
    site("install", "--force", "hello")
    return site


def says(site: Site) -> str:
    return site.user.run(site.prefix() / "bin/hello").stdout


def lose(site: Site, how: str) -> None:
    current = site.prefix() / ".tykky/current"
    current.unlink()
    if how == "dangling":
        current.symlink_to("generations/99")
    elif how == "folder":
        current.mkdir()


@pytest.mark.parametrize("how", ["gone", "dangling", "folder"])
def test_nothing_is_deleted_if_no_generation_is_current_and_rollback_mends_that(
    two: Site, how: str
) -> None:
    lose(two, how)
    said = two("gc", "--days", "0").stderr
    assert "leads to none of its generations; 'tykky rollback hello/1.0' mends that" in said
    assert "no generation is current" in two("verify", "hello", status=Exit.DAMAGED).stdout
    assert "has no current generation" in two("reindex").stdout
    two("rollback", "hello")
    assert two.json("verify") == [
        {"module": f"hello/1.0{sign}", "prefix": str(two.prefix()), "faults": []}
        for sign in ("#1", "")
    ]
    assert says(two) == "hello 1.0\n"


@pytest.mark.parametrize(
    ("lost", "remedy"),
    [
        ("rm -r $H/generations/* $H/current", "tykky doctor --store --fix"),
        ("find $H/generations -type f -delete", "tykky install --force"),  # as cleaners do
        ("rm -r $H/generations/2", "tykky rollback hello/1.0"),  # an older one is there
    ],
)
def test_nothing_forgets_or_deletes_an_image_that_may_be_all_that_is_left(
    two: Site, lost: str, remedy: str
) -> None:
    prefix, (image,) = two.prefix(), two.images()
    two.user.bash(lost, env={"H": str(prefix / ".tykky")})
    assert remedy in two("verify", status=Exit.DAMAGED).stdout
    for words in ("gc --days 0", "refresh hello", "rollback hello", "reindex"):
        two(*words.split(), status=None)
        if two.prefix("hello") == prefix and (prefix / ".tykky/current/record.json").exists():
            return  # it has gone back
        assert image.exists(), words
        assert two.modulefiles() == ["hello/1.0.lua"], words
    two("doctor", "--store", "--fix")
    two("verify")
    assert says(two) == "hello 1.0\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 1, "events": [{"verb": "install"}]}',
        '{"format": 1, "events": [{"verb": "i", "generation": "2", "before": 1, "when": 5,'
        ' "user": "u", "host": "h"}]}',
    ],
)
def test_a_damaged_history_is_named_and_kept_and_makes_nothing_old(two: Site, text: str) -> None:
    hidden = two.prefix() / ".tykky"
    record = hidden / "generations/1/record.json"
    record.write_text(record.read_text().replace('"installed": "20', '"installed": "19'))
    (hidden / "state.json").write_text(text)
    assert "its history " in two("verify", status=Exit.DAMAGED).stdout
    two("gc")
    assert record.exists(), "it was current a moment ago"
    two("rollback", "hello")
    assert (hidden / "state.json.damaged").read_text() == text
    assert two("history", "hello").stdout


@pytest.mark.parametrize("text", ["", "format 2\n"])
def test_a_damaged_launch_file_is_named_and_installed_again(two: Site, text: str) -> None:
    (two.prefix() / ".tykky/current/launch.conf").write_text(text)
    assert "launch.conf is not what was written" in two("verify", status=Exit.DAMAGED).stdout
    assert two.json("install", "hello")[0]["generation"] == 3
    assert says(two) == "hello 1.0\n"


def test_a_command_that_is_something_else_is_named(two: Site) -> None:
    command = two.prefix() / "bin/hello"
    command.unlink()
    shutil.copy("/bin/true", command)
    assert "bin/hello is not the launcher" in two("verify", status=Exit.DAMAGED).stdout
    two("refresh", "hello")
    assert says(two) == "hello 1.0\n"


def test_refresh_says_that_the_image_is_not_there(two: Site) -> None:
    for image in two.images():
        image.write_bytes(b"")
    assert "is damaged or missing" in two("refresh", "hello", status=Exit.DAMAGED).stderr
    assert "is damaged or missing" in two("rollback", "hello", status=Exit.DAMAGED).stderr
    two("install", "hello")
    assert says(two) == "hello 1.0\n"


def test_what_the_database_has_lost_is_named(two: Site) -> None:
    (two.root / "db/hello/1.0.json").unlink()
    assert "is not in the database" in two("verify", status=Exit.DAMAGED).stdout
    two("verify", "hello", status=Exit.NOT_FOUND)
    two("reindex")
    two("verify")


def test_what_is_no_number_is_no_generation(two: Site) -> None:
    folder = two.prefix() / ".tykky/generations"
    for name in ("007", "9" * 23, "٣"):
        (folder / name).mkdir()
    (folder / "5").write_text("")
    assert [each["generation"] for each in two.json("history", "hello")["generations"]] == [1, 2]
    two("install", "--force", "hello")


def test_a_number_is_not_given_again_after_an_uninstall(two: Site) -> None:
    two("uninstall", "hello")
    assert two.json("install", "hello")[0]["generation"] == 3


def test_rollback_that_was_stopped_half_way_is_finished_by_the_same_command(two: Site) -> None:
    two("install", "--force", "hello")
    hidden = two.prefix() / ".tykky"
    (hidden / "current").unlink()  # as if somebody had been killed just after it
    (hidden / "current").symlink_to("generations/2")
    said = two("rollback", "hello").stderr
    assert "hello/1.0#2 was made the current generation by a command that was" in said
    assert "tykky rollback hello/1.0" in said
    assert two.json("rollback", "hello")["generation"] == 3


def test_a_private_umask_takes_nothing_from_those_who_could_read(two: Site) -> None:
    script = "umask 077; tykky install --force hello; tykky rollback hello"
    two.user.bash(script)
    hidden = two.prefix() / ".tykky"
    for path in (
        *(hidden / "images").iterdir(),
        hidden / "state.json",
        two.root / "db/hello/1.0.json",
    ):
        assert path.stat().st_mode & 0o777 == 0o644


def test_what_an_older_generation_needs_stays(site: Site) -> None:
    site.write("low", LOW.format(name="Low", text="echo low", more=""))
    upper = site.write("up", LOW.format(name="Up", text="low", more='needs = "low"'))
    site("install", "low", "up")
    upper.write_text(upper.read_text().replace('needs = "low"', ""))
    site("install", "up")
    for words in (["low"], ["low#1"]):
        assert "is needed by up/1.0#1" in site("uninstall", *words, status=Exit.CONFLICT).stderr
    site("uninstall", "up#1", "low")


def test_what_is_needed_is_what_it_was_and_no_other_of_its_number(site: Site) -> None:
    lower = site.write("low", LOW.format(name="Low", text="echo low", more=""))
    site.write("up", LOW.format(name="Up", text="low", more='needs = "low"'))
    site("install", "low", "up")
    path = site.root / "store/low/1.0/.tykky/generations/1/record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "build": "0" * 64}))
    assert "needs" in site("verify", "up", status=Exit.DAMAGED).stdout
    assert lower.exists()


def test_a_root_by_two_names_is_one_root(site: Site, place: Path) -> None:
    site.write("low", LOW.format(name="Low", text="echo low", more=""))
    site.write("up", LOW.format(name="Up", text="low", more='needs = "low"'))
    site("install", "low", "up")
    (place / "other").symlink_to(site.root)
    site("--root", place / "other", "uninstall", "low", status=Exit.CONFLICT)
    site("--root", place / "other", "install", "--force", "low")
    site("--root", place / "other", "uninstall", "low#1", status=Exit.CONFLICT)
    assert len(list((site.root / "db/low").glob("*.json"))) == 1


@pytest.mark.parametrize("what", ["launch.conf", "record.json"])
def test_gc_keeps_what_can_be_gone_back_to_if_the_current_one_is_damaged(
    two: Site, what: str
) -> None:
    (two.prefix() / ".tykky/current" / what).unlink()
    assert "its current generation is damaged" in two("gc", "--days", "0").stderr
    two("rollback", "hello", "--to", "1")
    assert says(two) == "hello 1.0\n"


def test_what_is_needed_stays_though_who_needs_it_is_damaged(site: Site) -> None:
    site.write("low", LOW.format(name="Low", text="echo low", more=""))
    site.write("up", LOW.format(name="Up", text="low", more='needs = "low"'))
    for _ in range(2):
        site("install", "--force", "low")
        site("install", "--force", "up")
    hidden = site.root / "store/up/1.0/.tykky"
    (hidden / "generations/2/record.json").write_text("{")
    site("uninstall", "low#2", status=Exit.CONFLICT)
    (hidden / "current").unlink()
    site("gc", "--days", "0")
    assert len(site.json("history", "low")["generations"]) == 2
    site("uninstall", "low", status=Exit.CONFLICT)


@pytest.mark.parametrize("lost", ["nothing", "store"])
def test_a_copied_root_never_acts_on_the_original(two: Site, place: Path, lost: str) -> None:
    copy = place / "copy"
    shutil.copytree(two.root, copy, symlinks=True)
    if lost == "store":
        shutil.rmtree(copy / "store/hello")
    before = listing(two.root)
    other = two.with_env(TYKKY_ROOT=str(copy))
    for words in ("refresh hello -c idle=5", "rollback hello", "uninstall hello"):
        said = other(*words.split(), status=Exit.NOT_FOUND).stderr
        assert f"is a copy of {two.root}/store/hello/1.0; install it anew in {copy}" in said
    other("refresh", "--all", "-c", "idle=5")
    other("gc", "--days", "0")
    wrong = "came with a copy of" if lost == "nothing" else "speaks of"
    said = other("verify", status=Exit.DAMAGED).stdout
    assert f"{copy}/db/hello/1.0.json {wrong} {two.root}/store/hello/1.0" in said
    assert listing(two.root) == before
    two("verify")
    assert says(two) == "hello 1.0\n"
    other("install", "hello")
    if lost == "nothing":
        assert "is a copy of what was made at" in other("verify", status=Exit.DAMAGED).stdout
        other("uninstall", "hello#1", "hello#2")
    other("verify")
    two("verify")


def test_the_module_of_what_was_deleted_is_named_and_withdrawn(two: Site) -> None:
    two.hello("other")
    two("install", "other")
    module = two.modules / "hello/1.0.lua"
    shutil.rmtree(two.root / "store/hello/1.0")
    assert "is gone" in two("verify", status=Exit.DAMAGED).stdout
    assert f"{module} belongs to" in two("verify", status=Exit.DAMAGED).stdout
    (two.root / "db/hello/1.0.json").unlink()
    assert f"removed {module}" in two("reindex").stdout
    assert two.modulefiles() == ["other/1.0.lua"]
    assert not module.parent.exists()
    two("verify")


def test_uninstalling_what_was_deleted_takes_its_module_along(two: Site) -> None:
    shutil.rmtree(two.root / "store/hello/1.0")
    two("uninstall", "hello")
    assert two.modulefiles() == two.found() == []


def test_launchers_are_renewed_before_what_they_read(two: Site, place: Path) -> None:
    launcher = two.prefix() / ".tykky/launch"
    with launcher.open("ab") as stream:
        stream.write(b"of an earlier version")
    log = place / "operations"
    sabotaged(two, signal.SIGKILL, log=log)("refresh", "hello", "-c", "idle=5")
    done = log.read_text().splitlines()
    (new,) = [n for n, line in enumerate(done) if line.endswith(f" {launcher}")]
    (command,) = [n for n, line in enumerate(done) if line.endswith("/bin/hello")]
    (current,) = [n for n, line in enumerate(done) if line.endswith("/.tykky/current")]
    assert new < command < current


def test_an_image_that_cannot_be_whole_is_not_installed_already(two: Site) -> None:
    """By its size and first block; a byte in the middle is for 'verify', which reads all."""
    (image,) = two.images()
    whole = image.read_bytes()
    damages = [b"hsq!" + whole[4:], whole[:40] + b"\xff" * 8 + whole[48:], bytes(len(whole))]
    for data in damages:
        image.write_bytes(data)
        done = two.user.run(two.prefix() / "bin/hello", status=None)
        assert (done.returncode, str(image) in done.stderr) == (125, True)
        assert two.json("install", "hello")[0]["did"] == "built"
        assert image.read_bytes() == whole
        assert says(two) == "hello 1.0\n"


LOW = '''\
from tykky.kinds.stack import Stack


class {name}(Stack):
    """One of two that need each other."""

    homepage = "https://hello.example"
    license = "MIT"
    versions = "1.0"
    commands = "*"
    {more}

    def assemble(self, box):
        script = box.write(f"bin/{{self.name}}", "#!/bin/sh\\\\n{text}\\\\n")
        box.run(["chmod", "+x", script])
'''

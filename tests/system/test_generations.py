"""What makes a new generation of an install, and what of it is built."""

from __future__ import annotations

import errno
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stacks import TINY, Site, listing
from tests.system.sabotage import sabotaged
from tykky.errors import Exit


def did(site: Site, *words: str) -> tuple[str, int]:
    """What ``tykky install`` did, and the number of the generation that is current then."""
    (answer,) = site.json("install", *(words or ("hello",)))
    return answer["did"], answer["generation"]


def digests(site: Site, name: str) -> list[str]:
    """The digest of the image of each generation, in their order."""
    folder = site.prefix(name) / ".tykky/generations"
    records = [json.loads(path.read_text()) for path in folder.glob("*/record.json")]
    records.sort(key=lambda record: int(record["generation"]))
    return [image["sha256"] for record in records for image in record["images"]]


def test_nothing_is_done_if_nothing_has_changed(site: Site) -> None:
    file = site.hello()
    assert did(site) == ("built", 1)
    file.write_text("# A remark.\n" + file.read_text().replace("assemble(self", "assemble( self"))
    (file.parent / "__pycache__").mkdir(exist_ok=True)
    (file.parent / ".recipe.py.swp").write_text("an editor's")
    assert did(site) == ("nothing", 1)
    assert site.json("install", "--plan", "hello")[0]["does"] == "nothing"


def test_the_same_lock_gives_the_same_image_in_every_generation_and_one_file(site: Site) -> None:
    site.write("tiny", TINY)
    site("lock", "tiny")
    assert did(site, "tiny") == ("built", 1)
    for number in range(2, 6):
        assert did(site, "tiny", "--force") == ("built", number)
    assert len(digests(site, "tiny")) == 5
    assert len(set(digests(site, "tiny"))) == 1
    assert len(site.images("tiny")) == 1


def test_a_changed_recipe_is_built_at_the_same_place(site: Site) -> None:
    site.hello()
    site("install", "hello")
    prefix = site.prefix()
    site.hello(more="def finish(self, box):\n    box.write('new', 'new')")
    plan = site("install", "--plan", "hello").stdout
    assert "#1; it would be built anew" in plan
    assert did(site) == ("built", 2)
    assert site.prefix() == prefix
    assert len(set(digests(site, "hello"))) == len(site.images()) == 2


def test_a_changed_file_beside_the_recipe_is_built(site: Site) -> None:
    file = site.hello(more="def finish(self, box):\n    box.copy('data/greeting', 'greeting')")
    (file.parent / "data").mkdir()
    (file.parent / "data/greeting").write_text("one")
    assert did(site) == ("built", 1)
    assert did(site) == ("nothing", 1)
    (file.parent / "data/greeting").write_text("two")
    assert did(site) == ("built", 2)


def test_a_changed_file_that_is_copied_from_elsewhere_is_built(site: Site, place: Path) -> None:
    data = place / "data"
    data.write_text("one")
    site.hello(more=f"def finish(self, box):\n    box.copy({str(data)!r}, 'data')")
    assert did(site) == ("built", 1)
    assert did(site) == ("nothing", 1)
    data.write_text("two")
    assert did(site) == ("built", 2)
    data.unlink()
    site("install", "hello", status=int(Exit.FINISH))
    assert site.record()["generation"] == 2


def test_a_changed_tree_of_a_stack_on_disk_is_built(site: Site, place: Path) -> None:
    tool = place / "vendor/bin/tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho one\n")
    tool.chmod(0o755)
    site.write(
        "tool",
        f"""
        from tykky import DiskStack


        class Tool(DiskStack):
            '''A tool from disk.'''

            homepage = "https://example.org"
            license = "MIT"
            versions = "1"
            source = {str(place / "vendor")!r}
            commands = "tool"
        """,
    )
    assert did(site, "tool") == ("built", 1)
    assert did(site, "tool") == ("nothing", 1)
    tool.write_text("#!/bin/sh\necho two, and more\n")
    assert did(site, "tool") == ("built", 2)
    assert site.lmod("module load tool; tool").stdout == "two, and more\n"
    (place / "vendor/bin/more").symlink_to("tool")
    assert did(site, "tool") == ("built", 3)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ("setenv = {'GREETING': 'hi'}", "module load hello; echo $GREETING"),
        ("env = {'GREETING': 'hi'}", "module load hello; show-env GREETING"),
        ("commands = 'hello', 'say'", "module load hello; say hi"),
        ("keywords = 'hi'", "module whatis hello 2>&1 | grep -o hi$"),
        ("family = 'hi'", "module load hello; echo $LMOD_FAMILY_HI_VERSION; echo hi"),
    ],
)
def test_a_change_of_what_users_see_is_published_without_building(
    site: Site, more: str, shown: str
) -> None:
    programs = """
def finish(self, box):
    for name, line in {"say": 'echo "$@"', "show-env": 'printenv "$@"'}.items():
        box.run(["chmod", "+x", box.write(f"bin/{name}", f"#!/bin/sh\\n{line}\\n")])
"""
    site.hello(more=f"commands = 'hello', 'show-env'\n{programs}")
    assert did(site) == ("built", 1)
    first = site.images()
    file = site.hello(more=f"commands = 'hello', 'show-env'\n{more}\n{programs}")
    assert site.json("install", "--plan", "hello")[0]["does"] == "publish"
    done = site("install", "hello")
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]
    assert site.record()["generation"] == 2
    assert site.images() == first
    assert "hi" in site.lmod(shown).stdout.split()
    assert did(site) == ("nothing", 2)
    file.write_text(file.read_text().replace("Says hello", "Greets"))
    assert did(site) == ("published", 3)
    assert "Greets" in site.lmod("module whatis hello 2>&1").stdout


def test_a_recipe_that_is_as_it_was_before_is_not_built_again(site: Site) -> None:
    site.hello()
    assert did(site) == ("built", 1)
    site.hello(more="def finish(self, box):\n    box.write('new', 'new')")
    assert did(site) == ("built", 2)
    site.hello()
    assert did(site) == ("published", 3)
    assert digests(site, "hello")[0] == digests(site, "hello")[2]


def test_an_update_that_fails_leaves_everything_as_it_was(site: Site) -> None:
    site.hello()
    site("install", "hello")
    before = listing(site.root)
    for step in ("assemble", "finish", "test"):
        site.hello(more=f"def {step}(self, box):\n    box.run('false')")
        site("install", "hello", status=None)
        assert listing(site.root) == before
        assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    assert "false" in site("log", "--failed", "hello").stdout
    assert "false" not in site("log", "hello").stdout


def test_a_stack_is_built_again_when_what_it_needs_has_changed(site: Site) -> None:
    site.hello("lower")
    site.hello("upper", more='needs = "lower"')
    site("install", "lower", "upper")
    site.hello("lower", more="def finish(self, box):\n    box.write('new', 'new')")
    site("install", "lower")
    assert site.record("upper")["needs"] == [f"{site.prefix('lower')}#1"]
    assert did(site, "upper") == ("built", 2)
    assert site.record("upper")["needs"] == [f"{site.prefix('lower')}#2"]
    # The old one goes with the last that needs it.
    assert site.json("gc", "--days", "0")["generations"] == ["upper/1.0#1", "lower/1.0#1"]
    # With the same contents under another number, it needs that one.
    for name in ("lower", "upper"):
        file = site.repo / name / "recipe.py"
        file.write_text(file.read_text().replace("Says hello.", "Says it again."))
        assert did(site, name) == ("published", 3)
    assert site.record("upper")["needs"] == [f"{site.prefix('lower')}#3"]
    assert (
        f"need {site.prefix('lower')} 3 " in (site.generation("upper") / "launch.conf").read_text()
    )


def test_a_generation_that_is_needed_stays(site: Site) -> None:
    site.hello("lower")
    site.hello("upper", more='needs = "lower"')
    site("install", "lower", "upper")
    site("install", "--force", "lower")
    assert site.json("gc", "--days", "0")["generations"] == []
    done = site("uninstall", "lower#1", status=int(Exit.CONFLICT))
    assert "upper/1.0" in done.stderr
    site("install", "--force", "upper")
    # What is not current, and may be gone back to, needs it as well.
    assert site.json("gc")["generations"] == []
    site("verify")


def test_old_generations_go_after_a_while_and_the_current_one_never(site: Site) -> None:
    site.hello()
    for _ in range(3):
        site("install", "--force", "hello")
    site("rollback", "hello", "--to", "2")
    assert site.json("gc")["generations"] == []
    wanted = ["hello/1.0#1", "hello/1.0#3"]
    assert site.json("gc", "--days", "0", "--dry-run")["generations"] == wanted
    assert len(site.json("history", "hello")["generations"]) == 3
    assert site.json("gc", "--days", "0")["generations"] == wanted
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    site("verify")


def test_a_certain_generation_is_removed_by_its_number(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site.hello(more="def finish(self, box):\n    box.write('new', 'new')")
    site("install", "hello")
    both = ("uninstall", "hello#1", "hello#2")  # none is removed unless all may be
    assert "in use" in site(*both, status=int(Exit.CONFLICT)).stderr
    assert "deleted at once" in site("uninstall", "--undo", "hello#1", status=None).stderr
    site("uninstall", "hello#7", status=int(Exit.NOT_FOUND))
    site("uninstall", "hello/1.0#1")
    assert len(site.images()) == 1
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"


def test_what_goes_on_if_one_of_several_fails(site: Site) -> None:
    for name in ("one", "two", "three"):
        more = "def test(self, box):\n    box.run('false')" if name == "two" else ""
        site.hello(name, more=more)
    site("install", "one", "two", "three", status=int(Exit.TEST))
    assert [entry["name"] for entry in site.found()] == ["one"]
    done = site("install", "--keep-going", "one", "two", "three", status=int(Exit.TEST))
    rows = [line.split()[:2] for line in done.stdout.splitlines()[1:]]
    assert rows == [["nothing", "one/1.0"], ["failed", "two"], ["built", "three/1.0"]]
    answer: dict[str, Any] = site.envelope(
        "install", "--keep-going", "two", "one", status=int(Exit.TEST)
    )
    assert [each["did"] for each in answer["result"]] == ["failed", "nothing"]
    assert [error["code"] for error in answer["errors"]] == [int(Exit.TEST)]


def test_gc_says_first_what_goes_and_why_and_a_dry_run_says_the_same(site: Site) -> None:
    for name in ("hello", "other", "gone", "left"):
        site.hello(name)
        site("install", name)
    for _ in range(2):
        site("install", "--force", "hello")
        site("install", "--force", "other")
    site("uninstall", "gone")
    site("retire", "left/1.0")
    site("hold", "other/1.0#2", "--reason", "for the paper")
    pins = {"TYKKY_PINS": f"{site.prefix('hello')}=1"}
    keeps = ["--days", "0", "--generations", "1"]
    dry = site("gc", *keeps, "--dry-run")
    assert len(site.found()) == 3
    with subprocess.Popen(["sleep", "60"], env={**site.user.env, **pins}) as session:
        kept = site("gc", *keeps, "--dry-run").stderr
        session.kill()
    assert f"hello/1.0#1 is kept: sleep (process {session.pid}) has it loaded" in kept
    kept = site.with_env(**pins)("gc", *keeps, "--dry-run").stderr
    assert "hello/1.0#1 is kept: this session has it loaded" in kept
    run = site("gc", *keeps)

    def lines(said: str) -> list[str]:
        return [line for line in said.splitlines() if line.startswith("  ")]

    assert lines(dry.stderr) == lines(run.stderr)
    titles = [line.split()[0] for line in lines(run.stderr)]
    assert titles[:3] == ["hello/1.0#1", "left/1.0", "other/1.0#1"]
    assert titles[3].startswith("gone-1.0-")
    assert "deleted 2 generations, 1 retired version, 1 uninstalled stack" in run.stderr
    assert "nothing was deleted" in dry.stderr
    assert [e["generation"] for e in site.json("history", "hello")["generations"]] == [2, 3]
    assert "other/1.0#2 is kept: it is held" in site("gc", "--days", "0").stderr
    assert [e["generation"] for e in site.json("history", "other")["generations"]] == [2, 3]
    assert [e["generation"] for e in site.json("history", "hello")["generations"]] == [3]
    site("verify")


def test_what_is_busy_is_deleted_by_the_next_gc(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site.hello(more="keywords = 'other'\ndef finish(self, box):\n    box.write('more', 'more')")
    site("install", "hello")
    site.hello("gone")
    site("install", "gone")
    site("uninstall", "gone")
    busy = sabotaged(site, match="[.]sqfs", ops="unlink rmdir", errno=errno.EBUSY, at=1, onward=1)
    said = busy("gc", "--days", "0").stderr
    assert "hello/1.0#1: a file is still busy; the next 'tykky gc' deletes it" in said
    assert "gone-1.0" in said and "busy" in said
    assert len(site.images("hello")) == 2
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    site("gc", "--days", "0")
    assert len(site.images("hello")) == 1
    assert listing(site.root / "trash") == []
    site("verify")


def test_what_a_held_generation_needs_is_kept_as_well(site: Site) -> None:
    for name, more in (("low", ""), ("mid", "needs = 'low'"), ("top", "needs = 'mid'")):
        site.hello(name, more=more)
        site("install", name)
    site("hold", "top/1.0#1")
    for name in ("low", "mid", "top"):
        site("install", "--force", name)
    said = site("gc", "--days", "0").stderr
    assert "top/1.0#1 is kept: it is held" in said
    assert "mid/1.0#1 is kept: top/1.0 needs it" in said
    site("verify")
    site("hold", "--undo", "top/1.0#1")
    # A chain of three goes in one call.
    wanted = ["top/1.0#1", "mid/1.0#1", "low/1.0#1"]
    assert site.json("gc", "--days", "0")["generations"] == wanted
    site("verify")
    for word in ("low/1.0", "mid/1.0"):
        assert "is needed by" in site("uninstall", word, status=Exit.CONFLICT).stderr
    # It goes from the top, so that a stop leaves nothing that lacks what it needs.
    gone = [each["module"] for each in site.json("uninstall", "low", "mid", "top")]
    assert gone == ["top/1.0", "mid/1.0", "low/1.0"]
    said = site("uninstall", "--undo", "top", status=Exit.CONFLICT).stderr
    assert "mid/1.0#2, which is not there any more" in said
    site("uninstall", "--undo", "top", "low", "mid")
    assert len(site.found()) == 3
    # One was stopped after the first of them: the same again does the rest.
    site("uninstall", "top")
    assert "top/1.0 is uninstalled already" in site("uninstall", "low", "mid", "top").stderr
    assert site.found() == []

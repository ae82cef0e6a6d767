"""Going back to an earlier generation, and on again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stacks import Site
from tykky.errors import Exit


@pytest.fixture
def updated(site: Site) -> Site:
    """A site with three generations of ``hello``, each of which says its number."""
    for number in (1, 2, 3):
        write(site, number)
        site("install", "hello")
    return site


def write(site: Site, number: int) -> None:
    site.hello(
        more=f"""
        setenv = {{"NUMBER": "{number}"}}

        def finish(self, box):
            box.run("sed -i 's/hello 1.0/number {number}/' bin/hello")
        """
    )


def number(site: Site) -> int:
    """The generation that a new session has, which module, command and database agree on."""
    variable, word, said = site.lmod("module load hello; echo $NUMBER; hello").stdout.split()
    assert (variable, word) == (said, "number")
    (entry,) = site.found("hello")
    assert entry["generation"] == int(said)
    return int(said)


def test_rollback_is_to_what_was_current_before(updated: Site) -> None:
    assert number(updated) == 3
    assert "it was #3" in updated("rollback", "hello").stderr
    assert number(updated) == 2
    updated("rollback", "hello", "--to", "1")
    assert number(updated) == 1
    updated("rollback", "hello")
    assert number(updated) == 2
    updated("verify")


def test_rollback_works_without_the_recipe(updated: Site) -> None:
    (updated.repo / "hello/recipe.py").unlink()
    updated("rollback", "hello")
    assert number(updated) == 2


def test_rollback_is_undone_by_going_on(updated: Site) -> None:
    updated("rollback", "hello", "--to", "1")
    answer = updated.json("rollback", "hello", "--to", "3")
    assert (answer["before"], answer["generation"]) == (1, 3)
    assert number(updated) == 3
    assert "already" in updated("rollback", "hello", "--to", "3").stderr


def test_install_after_a_rollback_goes_on_without_building(updated: Site) -> None:
    updated("rollback", "hello", "--to", "1")
    (answer,) = updated.json("install", "hello")
    assert (answer["did"], answer["generation"]) == ("switched", 3)
    assert number(updated) == 3


def test_who_has_loaded_what_was_rolled_back_keeps_the_commands_that_only_it_has(
    site: Site,
) -> None:
    site.hello()
    site("install", "hello")
    site.hello(
        more="""
        commands = "hello", "other"

        def finish(self, box):
            box.link("bin/other", "hello")
        """
    )
    site("install", "hello")
    site("rollback", "hello")
    command, pin = site.prefix() / "bin/other", {"TYKKY_PINS": f"{site.prefix()}=2"}
    assert site.user.run(command, env=pin).stdout == "hello 1.0\n"
    assert site.user.run(command, status=None).returncode in (126, 127)
    site("uninstall", "hello#2")
    site("refresh", "hello")
    assert not command.exists()


@pytest.mark.parametrize("where", ["--to 7", "--to 0", "gone", "image"])
def test_rollback_to_what_is_not_there_changes_nothing(updated: Site, where: str) -> None:
    words = ["hello", *where.split()] if where.startswith("--") else ["hello", "--to", "1"]
    status = Exit.NOT_FOUND
    if where == "gone":
        updated("uninstall", "hello#1")
    elif where == "image":
        (image,) = [i["file"] for i in record(updated, 1)["images"]]
        (updated.prefix() / ".tykky/images" / image).write_bytes(b"cut")
        status = Exit.DAMAGED
    done = updated("rollback", *words, status=int(status))
    assert "Traceback" not in done.stderr
    assert number(updated) == 3


def record(site: Site, generation: int) -> dict[str, list[dict[str, str]]]:
    import json

    path = site.prefix() / f".tykky/generations/{generation}/record.json"
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_first_generation_has_nothing_before_it(site: Site) -> None:
    site.hello()
    site("install", "hello")
    done = site("rollback", "hello", status=int(Exit.NOT_FOUND))
    assert "none before #1" in done.stderr


def test_rollback_to_what_needs_something_that_has_gone_changes_nothing(site: Site) -> None:
    site.hello("lower")
    site.hello("upper", more='needs = "lower"')
    site("install", "lower", "upper")
    site.hello("upper")
    site("install", "upper")
    (site.root / "store/lower/1.0").rename(site.root / "lost")
    done = site("rollback", "upper", status=int(Exit.CONFLICT))
    assert f"{site.root / 'store/lower/1.0'}#1" in done.stderr
    assert site.record("upper")["generation"] == 2


def test_rollback_from_within_the_stack_itself_is_refused(updated: Site, place: Path) -> None:
    updated.hello(
        more="""
        commands = "inside"

        def finish(self, box):
            box.run(["chmod", "+x", box.write("bin/inside", '#!/bin/sh\\nexec "$@"\\n')])

        def test(self, box):
            box.run("inside true")
        """
    )
    updated("install", "hello")
    command = updated.prefix() / "bin/inside"
    done = updated.user.run(command, "tykky", "rollback", "hello", status=int(Exit.CONFLICT))
    assert "inside the stack" in done.stderr

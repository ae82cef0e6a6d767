"""Installs that are switched to another runtime or isolation, their image untouched."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stacks import Site, as_of_old, listing, recipe
from tykky.contents import of_install
from tykky.errors import Exit


def test_install_is_switched_to_another_runtime_and_back(python: Site) -> None:
    (image,) = python.images("wrapped")
    before = image.stat()
    code = "import os; print('APPTAINER_CONTAINER' in os.environ)"
    script = f'module load wrapped; python3 -c "{code}"'
    assert python.lmod(script).stdout == "False\n"
    python("refresh", "wrapped", "--runtime", "apptainer")
    assert python.lmod(script).stdout == "True\n"
    python("refresh", "wrapped")
    assert python.lmod(script).stdout == "True\n"
    python("refresh", "--all", "--runtime", "native", "--isolation", "mounts")
    assert python.lmod(script).stdout == "False\n"
    assert [record["launch"]["runtime"] for record in generations(python)] == [
        *("native", "apptainer", "native"),
    ]
    assert python.images("wrapped") == [image]
    after = image.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_packages_of_an_image_are_known_after_a_refresh(python: Site) -> None:
    folder = python.generation("wrapped")
    before = of_install(folder)
    as_of_old(folder)
    assert before and not of_install(folder)
    python("refresh", "--all")
    assert of_install(python.generation("wrapped")) == before
    # What somebody has changed since is damage, and not made good.
    path = python.generation("wrapped") / "packages.json"
    path.write_text('[{"name": "x", "version": "1"}]')
    python("refresh", "wrapped")
    assert path == python.generation("wrapped") / "packages.json"
    python("verify", "wrapped", status=Exit.DAMAGED)


def generations(site: Site) -> list[dict[str, Any]]:
    """The records of all generations of the one install."""
    folder = site.prefix("wrapped") / ".tykky/generations"
    return [
        json.loads((folder / n / "record.json").read_text())
        for n in sorted(listing(folder))
        if n.isdecimal()
    ]


def test_refresh_leaves_running_programs_alone(python: Site) -> None:
    prefix = python.prefix("wrapped")
    running = subprocess.Popen(
        [prefix / "bin/cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=python.user.env,
    )
    python("refresh", "wrapped")
    out, _ = running.communicate("still here\n", timeout=60)
    assert out == "still here\n"
    assert list(prefix.rglob(".*.new")) == []


def test_refresh_takes_the_mount_points_of_the_site_again(
    site: Site, debian: Path, outside: Path
) -> None:
    (outside / "data").write_text("42\n")
    recipe(site, f"image = {str(debian)!r}\ncommands = 'cat'\nisolation = 'mounts'")
    site("install", "wrapped")
    script = f"module load wrapped; cat {outside}/data"
    assert site.lmod(script, status=None).returncode != 0
    site("-c", f"mount_points={outside}", "refresh", "wrapped")
    assert site.lmod(script).stdout == "42\n"


@pytest.mark.parametrize(("words", "status"), [((), Exit.USAGE), (("nothing",), Exit.NOT_FOUND)])
def test_refresh_of_nothing_is_one_error(site: Site, words: tuple[str, ...], status: Exit) -> None:
    assert "Traceback" not in site("refresh", *words, status=status).stderr


def test_refresh_makes_a_generation_only_if_the_stack_would_be_entered_in_another_way(
    site: Site,
) -> None:
    site.hello()
    site("install", "hello")
    site("refresh", "hello")
    assert site.record()["generation"] == 1
    site("refresh", "hello", "-c", "idle=5")
    assert site.record()["generation"] == 2
    assert len(site.images()) == 1
    assert "\nidle 5\n" in (site.generation() / "launch.conf").read_text()
    assert site("log", "hello#1").stdout == site("log", "hello#2").stdout
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"


def test_refresh_works_with_the_recipe_gone(site: Site) -> None:
    site.hello(more="setenv = {'GREETING': 'hi'}")
    site("install", "hello")
    shutil.rmtree(site.repo / "hello")
    (site.modules / "hello/1.0.lua").unlink()
    (site.prefix() / "bin/hello").unlink()
    site("refresh", "hello", "-c", "idle=5")
    assert site.lmod("module load hello; echo $GREETING; hello").stdout == "hi\nhello 1.0\n"
    site("verify")


def test_check_says_what_would_change_and_changes_nothing(site: Site) -> None:
    site.hello()
    site("install", "hello")
    assert "nothing would change" in site("refresh", "--check", "--all").stderr
    (site.modules / "hello/1.0.lua").write_text("-- Made by Tykky for ")
    before = listing(site.root)
    done = site("refresh", "--check", "--all", "-c", "idle=5", status=int(Exit.DAMAGED))
    assert f"hello/1.0#1: {site.modules}/hello/1.0.lua is missing or" in done.stdout
    assert "hello/1.0#1: a new generation would be entered in another way" in done.stdout
    assert listing(site.root) == before
    assert (site.modules / "hello/1.0.lua").read_text() == "-- Made by Tykky for "


def test_refresh_of_all_goes_on_after_one_that_fails(site: Site) -> None:
    for name in ("one", "three", "two"):
        site.hello(name)
        site("install", name)
    (site.generation("three") / "record.json").write_text("{")
    answer = site.envelope("refresh", "--all", "-c", "idle=5", status=int(Exit.DAMAGED))
    assert [each["title"] for each in answer["result"]] == ["one/1.0#2", "two/1.0#2"]
    (error,) = answer["errors"]
    assert "three/1.0/.tykky/generations/1/record.json is damaged" in error["cause"]

"""Installs that are switched to another runtime or isolation, their image untouched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stacks import Site, listing, recipe
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

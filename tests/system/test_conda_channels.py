"""Which of several channels a package is taken from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.channel import files, index
from tests.stacks import Site
from tests.support import User
from tests.system.conda_site import make, recipe
from tykky.errors import Exit


@pytest.fixture
def conda(place: Path, user: User) -> Site:
    """A site that knows a second channel, with a newer ``shared``, by the name ``second``."""
    site = make(place, user)
    second = place / "second"
    (second / "noarch").mkdir(parents=True)
    (second / "linux-64").mkdir()
    for name, version, needs in (
        ("shared", "9.0", ()),
        ("only", "1.0", ()),
        ("needy", "1.0", ("shared >=9",)),
    ):
        text = files.File(b"from the second\n")
        package = files.Package(name, version, {f"share/{name}": text}, needs, noarch="generic")
        files.write(package, second)
    index(second)
    aliases = f"{site.user.env['TYKKY_CONDA_ALIASES']} second={second.as_uri()}"
    return site.with_env(TYKKY_CONDA_ALIASES=aliases)


def versions(site: Site, name: str) -> dict[str, str]:
    (path,) = (site.repo / name / "locks").iterdir()
    packages = json.loads(path.read_text())["packages"]
    return {package["name"]: package["version"] for package in packages}


def test_a_package_is_taken_from_the_first_channel_that_has_it(conda: Site) -> None:
    recipe(conda, "first", "channels = 'local', 'second'\npackages = 'shared', 'only'")
    conda("lock", "first")
    assert versions(conda, "first") == {"only": "1.0", "shared": "2.0"}
    recipe(conda, "first", "channels = 'second', 'local'\npackages = 'shared', 'only'")
    conda("lock", "first")
    assert versions(conda, "first")["shared"] == "9.0"


def test_with_strict_priority_a_newer_one_of_a_later_channel_is_not_there(conda: Site) -> None:
    for package in ("shared >=9", "needy"):
        recipe(conda, "newer", f"channels = 'local', 'second'\npackages = '{package}'")
        said = conda("lock", "newer", status=Exit.RESOLVE).stderr
        assert "what is wanted of 'shared' is only in file://" in said
        assert "CHANNEL::shared" in said and "conda.strict_priority" in said
        conda("lock", "newer", "-c", "conda.strict_priority=false")
        assert versions(conda, "newer")["shared"] == "9.0"
        (conda.repo / "newer/locks/1.0-x86_64.json").unlink()


def test_a_spec_takes_its_package_from_the_channel_it_names(conda: Site) -> None:
    recipe(conda, "named", "channels = 'local', 'second'\npackages = 'second::shared'")
    conda("lock", "named")
    assert versions(conda, "named")["shared"] == "9.0"


def test_channels_of_a_command_come_before_those_of_the_stack(conda: Site) -> None:
    lines = "packages = 'activated'\ncommands = ()\n"
    lines += "def finish(self, box):\n    box.run('conda install -y -c second shared')"
    recipe(conda, "changed", lines)
    conda("install", "changed")
    (package,) = conda.json("find", "changed", "--packages", "shared")[0]["packages"]
    assert (package["version"], package["channel"]) == ("9.0", "second")


def test_what_is_there_stays_as_it_is_if_a_command_says_so(conda: Site) -> None:
    line = "conda install -y -c second --freeze-installed needy"
    recipe(
        conda,
        "frozen",
        "packages = 'shared'\ncommands = ()\ndef finish(self, box):\n"
        f"    box.run('if {line}; then exit 1; fi; grep 2 share/shared/version')\n"
        "    box.run('conda install -y -c second needy')",
    )
    conda("install", "frozen")
    found = conda.json("find", "frozen", "--packages")[0]["packages"]
    assert {p["name"]: p["version"] for p in found} == {"needy": "1.0", "shared": "9.0"}


def test_all_packages_are_updated_if_a_command_says_so(conda: Site) -> None:
    lines = "packages = 'shared', 'activated'\ncommands = ()\ndef finish(self, box):\n"
    lines += "    box.run('conda config --add channels second; conda update -y --all')"
    recipe(conda, "updated", lines)
    conda("install", "updated")
    found = conda.json("find", "updated", "--packages")[0]["packages"]
    assert {p["name"]: p["version"] for p in found} == {"activated": "1.0", "shared": "9.0"}

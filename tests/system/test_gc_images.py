"""Pulled images: which ``tykky gc`` deletes, and which it must not."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from tests.images import docker_archive, static_program
from tests.stacks import Site
from tests.system.sabotage import sabotaged
from tykky.errors import Exit

RECIPE = """\
from tykky import ContainerStack


class Wrapped(ContainerStack):
    '''A program of an image.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    image = "docker-archive:{archive}"
    commands = "hello"
"""
FAILING = """
    def test(self, box):
        box.run("hello exit 3")
"""


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return static_program(tmp_path_factory.mktemp("hello"))


@pytest.fixture
def archive(place: Path, hello: bytes) -> Path:
    return docker_archive(place / "image.tar", {"usr/bin/hello": hello})


def images(site: Site) -> list[Path]:
    return [path for path in (site.root / "bases").glob("*.s*") if path.suffix != ".json"]


def grow_old(site: Site, days: float = 8) -> None:
    """Make all images as old as if nothing had used them for days."""
    then = time.time() - days * 86400
    for path in (site.root / "bases").glob("*.json"):
        os.utime(path, (then, then))


def test_image_goes_when_the_last_install_that_runs_on_it_is_deleted(
    site: Site, archive: Path
) -> None:
    site.write("wrapped", RECIPE.format(archive=archive))
    site("install", "wrapped")
    grow_old(site)
    site("gc", "--days", "0")
    assert site.lmod("module load wrapped; hello").stdout.startswith("hello from")
    site("uninstall", "wrapped")
    site("gc")
    assert len(images(site)) == 1, "what is in the trash may still run"
    assert "uninstalled less than a day ago by" in site("gc", "--days", "0", "--dry-run").stderr
    assert len(images(site)) == 1 and len(list((site.root / "trash").iterdir())) == 1
    site("gc", "--days", "0")
    assert list((site.root / "bases").iterdir()) == []


def test_image_that_was_just_pulled_or_built_on_stays(site: Site, archive: Path) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    site("gc", "--days", "0")
    assert len(images(site)) == 1
    grow_old(site, 2)
    site("gc")
    assert len(images(site)) == 1
    # A build uses it, of which there is no record.
    site.write("wrapped", RECIPE.format(archive=archive) + FAILING)
    site("install", "wrapped", status=Exit.TEST)
    site("gc", "--days", "0")
    assert len(images(site)) == 1
    grow_old(site, 2)
    site("gc", "--days", "1")
    assert images(site) == []


def test_image_that_the_configuration_names_stays(site: Site, archive: Path) -> None:
    name = f"docker-archive:{archive}"
    site("base", "pull", name)
    grow_old(site)
    assert site.json("-c", f"bases=mine={name}", "gc")["images"] == []
    (image,) = images(site)
    site("-c", f"base={image}", "gc")
    assert images(site) == [image]
    assert name in site("gc", "--dry-run").stderr
    assert images(site) == [image]
    busy = sabotaged(site, match="[.]new$", ops="unlink", errno=errno.EBUSY, at=1, onward=1)
    assert f"{name} is left: cannot" in busy("gc").stderr
    assert site.json("gc")["images"] == [name]
    assert list((site.root / "bases").iterdir()) == []


def test_images_that_others_may_share_go_only_when_asked_for(site: Site, archive: Path) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    grow_old(site)
    shared = site.with_env(TYKKY_BASES_DIR=str(site.root / "bases"))
    assert "tykky gc --images" in shared("gc").stderr
    assert len(images(site)) == 1
    shared("gc", "--images")
    assert images(site) == []


def test_no_image_is_deleted_as_long_as_an_install_cannot_be_read(
    site: Site, archive: Path
) -> None:
    site.hello()
    site("install", "hello")
    site("base", "pull", f"docker-archive:{archive}")
    grow_old(site)
    record = site.generation("hello") / "record.json"
    text = record.read_text()
    record.write_text("{")
    assert "no pulled image is deleted" in site("gc").stderr
    assert len(images(site)) == 1
    record.write_text(text)
    site("gc")
    assert images(site) == []


def test_half_an_image_that_a_killed_pull_left_goes(site: Site, archive: Path) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    half = site.root / "bases" / ".0123456789abcdef.new"
    half.write_bytes(b"half")
    site("gc")
    assert not half.exists()
    assert len(images(site)) == 1
    site("base", "verify")

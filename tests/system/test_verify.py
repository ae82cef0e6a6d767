"""Damage is found, told apart, and mended without losing anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.stacks import Site
from tykky.errors import Exit


@pytest.fixture
def hello(site: Site) -> Site:
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    return site


def faults(site: Site, module: str) -> list[str]:
    answers = site.json("verify", status=None)
    (found,) = (answer["faults"] for answer in answers if answer["module"] == module)
    return [f"{fault['file']} {fault['wrong']}" for fault in found]


def image(site: Site, spec: str) -> Path:
    (path,) = site.images(spec)
    return path


def test_whole_installs_have_no_faults(hello: Site) -> None:
    assert "verified 2 installs, 0 not whole" in hello("verify").stderr


def test_changed_byte_in_the_image_is_found_and_mended_by_force(hello: Site) -> None:
    path = image(hello, "hello@1.0")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert f"{path}" in hello("verify", "hello@1.0", status=int(Exit.DAMAGED)).stdout
    assert faults(hello, "hello/0.9") == []
    hello("install", "--force", "hello@1.0")
    assert image(hello, "hello@1.0") == path
    hello("verify")


@pytest.mark.parametrize("how", ["truncated", "missing"])
def test_damaged_image_is_built_again_by_install(hello: Site, how: str) -> None:
    path = image(hello, "hello@1.0")
    whole = path.read_bytes()
    path.unlink()
    if how == "truncated":
        path.write_bytes(whole[:-100])
    (answer,) = hello.json("install", "hello@1.0")
    assert (answer["did"], answer["generation"]) == ("built", 2)
    assert image(hello, "hello@1.0").read_bytes() == whole
    assert hello.lmod("module load hello/1.0; hello").stdout == "hello 1.0\n"


def test_missing_command_is_found_and_refreshed(hello: Site) -> None:
    (hello.prefix("hello@1.0") / "bin/hello").unlink()
    assert faults(hello, "hello/1.0") == [f"{hello.prefix('hello@1.0')}/bin/hello is missing"]
    hello("refresh", "hello/1.0")
    assert faults(hello, "hello/1.0") == []


def test_missing_modulefile_is_found_and_refreshed(hello: Site) -> None:
    (hello.modules / "hello/1.0.lua").unlink()
    fault, *_ = faults(hello, "hello/1.0")
    assert fault.endswith("hello/1.0.lua is missing or belongs to another")
    hello("refresh", "hello/1.0")
    assert hello.lmod("module load hello/1.0; hello").stdout == "hello 1.0\n"


def test_damaged_entry_is_mended_by_the_same_install(hello: Site) -> None:
    (hello.root / "db/hello/1.0.json").write_text("{")
    assert len(hello.found()) == 1
    hello("install", "hello@1.0")
    assert len(hello.found()) == 2


def test_lost_database_is_rebuilt(hello: Site) -> None:
    before = hello.found()
    shutil.rmtree(hello.root / "db")
    assert hello.found() == []
    said = hello("reindex").stdout
    assert "entered hello/1.0#1" in said
    assert hello.found() == before
    assert "every install already" in hello("reindex").stderr


def test_damaged_record_is_named_by_reindex_and_left_as_it_is(hello: Site) -> None:
    record = hello.generation("hello@1.0") / "record.json"
    record.write_text("{")
    assert f"{record} is damaged" in hello("reindex").stdout
    assert record.read_text() == "{"
    (fault,) = faults(hello, "hello/1.0")
    assert f"{record} is damaged" in fault


def test_version_never_means_a_variant_that_is_all_that_is_left(site: Site) -> None:
    file = site.hello("hello", more="loud = variant(False, help='shouts')")
    file.write_text("from tykky import variant\n" + file.read_text())
    site("install", "hello", "+loud")
    for name in ("hello/1.0", "hello@1.0"):
        done = site("uninstall", name, status=int(Exit.NOT_FOUND))
        assert "there is hello/1.0-loud" in done.stderr
    assert "step build" in site("log", "hello").stdout
    site("uninstall", "hello")
    assert site.found() == []


def test_what_a_cleaner_of_files_has_taken_is_made_again_from_the_image(site: Site) -> None:
    site.hello("other")
    site("install", "other")
    site("install", "--force", "other")
    site.hello(more="needs = 'other'")
    site("install", "hello")
    old = site.record("hello")
    # How it is entered, and how often what it needs was built, makes no difference to the image.
    site("install", "--force", "other")
    site("install", "--force", "hello", env={"TYKKY_ISOLATION": "mounts"})
    again = site.record("hello")
    assert again["images"] == old["images"]
    assert again["needs"] != old["needs"]
    site("refresh", "hello", "--isolation", "open")
    old = site.record("hello")
    assert old["launch"]["isolation"] == "open"
    for place in (site.root / "store").glob("*/*"):
        for path in place.rglob("*"):  # what is small, and was not read for long
            if path.is_file() and path.suffix != ".sqfs" and "other/1.0/bin" not in str(path):
                path.unlink()
    shutil.rmtree(site.root / "db")
    (site.root / "modules/hello/1.0.lua").unlink()
    said = site("verify", status=Exit.DAMAGED).stdout
    assert "is damaged" in said or "is missing" in said
    proposed = site("doctor", "--store", status=Exit.DAMAGED).stdout
    assert f"write {site.root}/store/hello/1.0 again from its image" in proposed
    assert not (site.root / "store/hello/1.0/.tykky/launch").exists()
    site("doctor", "--store", "--fix")
    for name in ("hello", "other"):
        assert site.lmod(f"module load {name}; hello").stdout == "hello 1.0\n"
    new = site.record("hello")
    same = (
        "build",
        "commands",
        "launch",
        "packages",
        "spec",
        "choices",
        "images",
        "recipe",
        "base",
    )
    for key in same:
        old_value = {**old[key], "file": ""} if key == "recipe" else old[key]
        assert new[key] == old_value, key
    site("verify")
    assert "installed already" in site("install", "hello").stderr
    assert site("doctor", "--store", "--fix").stdout == ""
    # All files and links, and nothing else: gc leaves it, and what was decided comes back as well.
    site("hold", "hello")
    hidden = site.prefix("hello") / ".tykky"
    gone = "find $H $H/../bin ! -type d ! -name '*.sqfs' -delete"
    site.user.bash(gone, env={"H": str(hidden)})
    site("gc", "--days", "0", "--generations", "0")
    said = site("verify", status=Exit.DAMAGED).stdout
    assert "uninstall" not in said
    assert "'tykky doctor --store --fix'" in said
    site("doctor", "--store", "--fix")
    assert "held" in site("find", "hello").stdout
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    site.user.bash(gone + "; rm -r $H/../../../../db", env={"H": str(hidden)})
    site("gc", "--days", "0", "--generations", "0")
    site("doctor", "--store", "--fix")
    # An image that is damaged, too, is no source of anything.
    (image,) = site.images("hello")
    shutil.rmtree(site.root / "store/hello/1.0/.tykky/generations")
    with image.open("r+b") as stream:
        stream.seek(image.stat().st_size // 2)
        stream.write(b"xxxx")
    failed = site("doctor", "--store", "--fix", status=Exit.DAMAGED)
    assert "is whole has a copy" in failed.stderr
    site("install", "--force", "hello")
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"

"""What is installed is built again from what it has kept, and is the same or is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.stacks import Site, listing
from tests.support import User
from tests.system.conda_site import make
from tests.system.conda_site import recipe as conda_recipe
from tests.system.strangers import stranger
from tests.system.test_damage import LOW
from tykky.errors import Exit

#: Extends a recipe of another repository, and uses a file beside itself and one beside that.
OVER = """
from tykky.repos.theirs import Hello as Upstream

class Hello(Upstream):
    needs, base = "low", "stack:low"
    reads = {reads!r},

    def finish(self, box):
        box.copy("tool.sh", "bin/tool")
        box.copy(self.beside("data/theirs.txt"), "share/")
        box.copy({reads!r}, "share/")
        box.run("test -x bin/tool && low && date -r share/theirs.txt >share/date; ls / | sort >ls")
"""


def proof(site: Site, spec: str = "hello", status: int | None = 0) -> dict[str, Any]:
    """What 'rebuild --check' answers; nothing of the root has changed then."""
    before = listing(site.root)
    answer = site.json("rebuild", "--check", spec, status=status)
    assert listing(site.root) == before
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def over(site: Site, place: Path) -> Site:
    """A stack of everything that a recipe can be made of."""
    theirs, given = place / "theirs", place / "given.txt"
    (theirs / "hello/data").mkdir(parents=True)
    site.hello().rename(theirs / "hello/recipe.py")
    (theirs / "repo.yaml").write_text("namespace: theirs\n")
    (theirs / "hello/data/theirs.txt").write_text("theirs")
    given.write_text("given")
    site.write("low", LOW.format(name="Low", text="echo low", more=""))
    site.write("hello", OVER.format(reads=str(given)))
    tool = site.repo / "hello/tool.sh"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    site = site.with_env(TYKKY_REPOS=f"{site.repo}:{theirs}")
    site("install", "low", "hello")
    return site


def test_an_install_is_the_same_when_it_is_built_again_elsewhere(over: Site, place: Path) -> None:
    assert proof(over)["same"]
    over("install", "--force", "hello", "low")
    (first,) = over.images("hello")  # a generation has no part in it
    shutil.rmtree(over.repo)
    shutil.rmtree(place / "theirs")
    other = stranger(over, place)
    other.home.chmod(0o1777)  # where only they replace what is theirs
    env = {"TYKKY_SQUASH_LEVEL": "9", "TYKKY_JOBS": "1", "LC_ALL": "C", "TZ": "Pacific/Apia"}
    env |= {"TYKKY_REPOS": str(other.home)}
    elsewhere = Site(replace(other, env={**other.env, **env}), other.home)
    for spec in ("hello#1", "hello#2"):
        answer = proof(elsewhere, spec)
        assert answer["same"] and answer["rebuilt"].startswith(first.stem)
        assert answer["inputs"] == answer["differences"] == []
    masked = elsewhere.user.bash("umask 077; tykky rebuild --check hello").stdout
    assert f"hello/1.0#2 is what its recipe and its lock give: sha256 {first.stem}" in masked
    assert not (other.home / "build").exists()
    # What it needs, and is built on, may be another by now.
    over.write("low", LOW.format(name="Low", text="echo high", more=""))
    over("install", "low")
    assert proof(elsewhere)["same"]
    # What it has read elsewhere must be there.
    (place / "given.txt").unlink()
    failed = elsewhere("rebuild", "--check", "hello", status=None).stderr
    assert f"not what it was: {place}/given.txt" in failed
    (over.root / "store/low/1.0/.tykky/generations/1").rename(place / "gone")
    failed = elsewhere("rebuild", "--check", "hello#1", status=Exit.NOT_FOUND).stderr
    assert "low/1.0#1, which hello/1.0#1 was built with, is gone" in failed
    other.leave()


def test_a_shipped_recipe_is_the_same_when_it_is_built_again(site: Site, place: Path) -> None:
    if not Path("/usr/include/fftw3.h").exists():
        pytest.skip("FFTW is not installed: apt-get install libfftw3-dev")
    site("install", "fftw-demo")
    other = site.with_env(TYKKY_BUILD_DIR=str(place / "b"), HOME=str(place), TYKKY_JOBS="1")
    assert proof(other, "fftw-demo")["same"]


def test_a_conda_stack_is_the_same_when_it_is_built_again(place: Path, user: User) -> None:
    conda = make(place, user)
    conda_recipe(conda, "right", "packages = 'prefixed'")
    conda("install", "right")
    shutil.rmtree(conda.repo / "right")
    own = conda.with_env(TYKKY_CACHE_DIR=str(place / "c"), TYKKY_BUILD_DIR=str(place / "b"))
    assert proof(own, "right")["same"]


STAMP = """
def finish(self, box):
    import time
    box.write("share-stamp", f"made at {time.time_ns()}\\n")
    box.run("mkdir s; head -c 9 /dev/urandom | gzip >s/x.gz")
    box.run("ln -s $(cat {random}) s/link; touch s/$(cat {random})")
    box.run("head -c $(($(od -An -N1 -i {random}) + 1)) /dev/zero >s/long")
"""


def test_what_is_not_the_same_is_named_with_the_place(site: Site) -> None:
    site.hello(more=STAMP.replace("{random}", "/proc/sys/kernel/random/uuid"))
    site("install", "hello")
    answer = proof(site, status=Exit.DIFFERENT)
    found = {each["path"]: each for each in answer["differences"]}
    stamp = found.pop("share-stamp")
    assert 8 <= stamp["offset"] < 27
    first, second = (bytes.fromhex(side.partition("  ")[0]) for side in stamp["sides"])
    skipped = min(stamp["offset"], 4)
    assert first[:skipped] == second[:skipped] and first[skipped] != second[skipped]
    assert found.pop("s/link")["what"].startswith("leads to ")
    assert "it is compressed" in found.pop("s/x.gz")["what"]
    found.pop("s/long", None)  # may have the same length
    assert sorted(each["what"] for each in found.values()) == [
        "is only in what was built again",
        "is only in what was installed",
    ]
    said = site("rebuild", "--check", "hello", status=Exit.DIFFERENT).stdout
    assert "hello/1.0#1 is not what was built again" in said
    assert "share-stamp differs from byte" in said


def test_what_is_missing_to_build_it_again_is_said(site: Site, place: Path) -> None:
    site.hello(more="def finish(self, box):\n    box.copy('large')")
    large = site.repo / "hello/large"
    large.write_bytes(bytes(17 << 20))
    said = site("install", "hello").stderr
    assert f"{large} is too large to be kept (18" in said
    assert proof(site)["same"]
    folder, whole = site.generation("hello"), large.read_bytes()
    (image,) = site.images("hello")
    cases = {
        large: (b"other", Exit.DAMAGED, "is not what it was"),
        folder / "lock.json": (b"{", Exit.DAMAGED, "lock.json"),
        folder / "recipe/made-of.json": (b"{", Exit.DAMAGED, "made-of.json is damaged"),
        image: (b"x", Exit.DAMAGED, "is not what was installed"),
    }
    for path, (data, code, why) in cases.items():
        good = path.read_bytes()
        path.write_bytes(data)
        failed = site("rebuild", "--check", "hello", status=code).stderr
        assert why in failed and "Traceback" not in failed
        path.write_bytes(good)
    large.unlink()
    assert "is gone" in site("rebuild", "--check", "hello", status=Exit.DAMAGED).stderr
    (folder / "recipe/made-of.json").unlink()  # as of an earlier Tykky
    large.write_bytes(whole)
    assert proof(site)["same"]
    assert "--check" in site("rebuild", "hello", status=Exit.USAGE).stderr

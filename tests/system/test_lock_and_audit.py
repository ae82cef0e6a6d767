"""Locks that are made and checked, audits of recipes, and the list of these."""

from __future__ import annotations

import fnmatch
import re
import shutil
from pathlib import Path

import pytest

from tests import nightly
from tests.indexes import wheel
from tests.stacks import TINY, Site, listing
from tykky.errors import Exit


def test_lock_is_stable_and_checked(site: Site) -> None:
    site.write("tiny", TINY)
    done = site("lock", "--check", "tiny", status=int(Exit.LOCK))
    assert "Traceback" not in done.stderr
    assert listing(site.repo / "tiny") == ["recipe.py"]
    site("lock", "tiny")
    (path,) = (site.repo / "tiny/locks").iterdir()
    before = path.read_bytes()
    assert "unchanged" in site("lock", "tiny").stderr
    assert path.read_bytes() == before
    site("lock", "--check", "tiny")
    site.write("tiny", TINY.replace("six==1.17.0", "six==1.16.0"))
    done = site("lock", "--check", "tiny", status=int(Exit.LOCK))
    assert "six 1.17.0 -> 1.16.0" in done.stderr
    assert path.read_bytes() == before


def test_a_wheel_at_an_address_of_its_own_is_locked_by_its_digest(site: Site, place: Path) -> None:
    file = place / "tykkygood-1.0-py3-none-any.whl"
    file.write_bytes(wheel("tykkygood"))
    site.write("tiny", TINY.replace("six==1.17.0", f"tykkygood @ {file.as_uri()}"))
    site("lock", "tiny")
    site("install", "tiny")
    script = "import tykkygood; print(tykkygood.version)"
    assert site.user.run(str(site.prefix() / "bin/python"), "-c", script).stdout == "1.0\n"
    file.write_bytes(wheel("tykkygood", tykkygood__py="version = 'another'"))
    shutil.rmtree(place / "cache", ignore_errors=True)
    done = site("install", "--force", "tiny", status=None)
    assert done.returncode in (Exit.OK, Exit.DAMAGED)  # the file as it was may be in the cache
    assert site.user.run(str(site.prefix() / "bin/python"), "-c", script).stdout == "1.0\n"


@pytest.mark.parametrize("text", ["[", "5", '{"format": 1}', '{"format": 99}', "[" * 100_000])
def test_damaged_lock_is_named_and_made_anew(installed: Site, site: Site, text: str) -> None:
    site.write("tiny", TINY)
    shutil.copytree(installed.repo / "tiny/locks", site.repo / "tiny/locks")
    (path,) = (site.repo / "tiny/locks").iterdir()
    before = path.read_bytes()
    path.write_text(text)
    for words in ("install --plan", "lock --check", "audit"):
        done = site(*words.split(), "tiny", status=None)
        assert done.returncode in (Exit.LOCK, Exit.RECIPE), words
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr
    assert "it is made anew" in site("lock", "tiny").stderr
    assert path.read_bytes() == before


def test_lock_of_every_choice(site: Site) -> None:
    text = TINY.replace(
        '    packages = "tabulate==0.9.0", "six==1.17.0"\n',
        '    big = variant(False, help="with six")\n\n'
        "    @property\n"
        "    def packages(self):\n"
        '        yield "tabulate==0.9.0"\n'
        "        if self.big:\n"
        '            yield "six==1.17.0"\n\n',
    )
    site.write("tiny", text)
    site("lock", "--all", "tiny")
    locks = sorted(path.name for path in (site.repo / "tiny/locks").iterdir())
    assert locks == ["1.0-big-x86_64.json", "1.0-x86_64.json"]
    site("audit", "tiny")
    site("lock", "--arch", "aarch64", "tiny")
    assert (site.repo / "tiny/locks/1.0-aarch64.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("six==1.17.0", "six==1.16.0", "no longer fits"),
        ('box.run("tabulate --help")', "box.rum()", "rum"),
        ('    packages = "tabulate==0.9.0", "six==1.17.0"\n', "", "no packages"),
        ('license = "MIT"', 'license = "MIT"\n    loads = "no-such-module/1"', "no-such-module/1"),
        ('license = "MIT"', 'licence = "MIT"', "licence"),
        ("class Tiny", "clas Tiny", ""),
        (
            "    def test",
            "    @property\n    def env(self):\n        return {'A B': 1}\n\n    def test",
            "A B",
        ),
        (
            "    def test",
            "    @property\n    def env(self):\n        return 1 / 0\n\n    def test",
            "division by zero",
        ),
    ],
)
def test_audit_finds_each_kind_of_fault(
    site: Site, installed: Site, old: str, new: str, says: str
) -> None:
    site.write("tiny", TINY)
    shutil.copytree(installed.repo / "tiny/locks", site.repo / "tiny/locks")
    site("audit", "tiny")
    assert old in TINY
    site.write("tiny", TINY.replace(old, new))
    done = site("audit", "tiny", status=int(Exit.RECIPE))
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    (answer,) = site.json("audit", "tiny", status=int(Exit.RECIPE))
    assert says in answer["problem"] or not says


def test_audit_misses_a_lock(site: Site) -> None:
    site.write("tiny", TINY)
    done = site("audit", "tiny", status=int(Exit.RECIPE))
    assert "tykky lock tiny" in done.stderr


def test_audit_of_all_shipped_recipes_finds_nothing(site: Site) -> None:
    audited = [answer["spec"] for answer in site.json("audit")]
    # What is not built each night is named there, and has not been renamed since.
    for name in (*nightly.SUITE, *nightly.PLANNED):
        assert fnmatch.filter(audited, name), name


def test_list_shows_recipes(site: Site) -> None:
    site.hello()
    assert re.search(r"^hello +Says hello\.$", site("list").stdout, re.M)
    rows = site.json("list", "hel*")
    assert [row["name"] for row in rows] == ["hello"]

"""Known holes: which installs have them, installs that warn or refuse, updates that mend them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.indexes import address, index, publish
from tests.stacks import HEAD, Site
from tests.ways import PUBLIC
from tykky.errors import Exit

RECIPE = (
    HEAD.format(kind="PipStack")
    + """\
    packages = 'goodpkg', 'second', 'third', 'pip==25.0'
    commands = 'python*'
"""
)
#: What a stack has that it does not get from a lock.
INSIDE = """
def contents(self, box):
    from tykky.contents import Installed
    more = {"channel": "debian-12", "type": "deb", "why": "base"}
    return [Installed("libssl3", "3.0.11-1", "amd64", source="openssl 3.0.11-1", **more)]
"""
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def advise(folder: Path, name: str, fixed: str, *ids: str, **more: Any) -> None:
    """Put an advisory into a mirror."""
    folder.mkdir(exist_ok=True)
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    package = {"ecosystem": more.pop("ecosystem", "PyPI"), "name": name}
    affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
    row = {"id": ids[0], "aliases": ids[1:], "modified": "2026-01-01T00:00:00Z", **more}
    (folder / f"{ids[0]}.json").write_text(json.dumps({**row, "affected": affected}))


def holes(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was found: install, first identifier, and the version that mends it."""
    return [
        (install["module"], each["ids"][0], each["fixed"])
        for install in answer["installs"]
        for each in install["findings"]
        if not each["statement"]
    ]


@pytest.mark.slow
def test_holes_are_found_mended_and_refused(site: Site, place: Path) -> None:
    mirror, file = place / "osv", place / "vex.yaml"
    with index() as web:
        for name in ("goodpkg", "second", "third"):
            publish(web, name, "1.0", 100)
        site.write("mine", RECIPE)
        site = site.with_env(TYKKY_PIP_INDEX_URL=address(web), TYKKY_PIP_EXTRA_INDEX_URLS=PUBLIC)
        site("install", "mine")
        audit = ("audit", "--advisories", mirror)
        done = site(*audit, status=int(Exit.NOT_FOUND))
        assert f"the advisories in {mirror} cannot be read" in done.stderr
        assert "mine" in site("audit", "--advisories", "mine", status=int(Exit.NOT_FOUND)).stderr
        advise(mirror, "other", "", "CVE-9")
        assert "no known holes: 1 install" in site(*audit).stderr
        rated = {"severity": [{"type": "CVSS_V3", "score": CRITICAL}]}
        advise(mirror, "GoodPkg", "2.0", "PYSEC-1", "CVE-1", **rated)
        advise(mirror, "second", "3.0", "CVE-2", database_specific={"severity": "LOW"})
        advise(mirror, "third", "", "CVE-3", database_specific={"severity": "LOW"})
        done = site(*audit, status=int(Exit.VULNERABLE))
        rows = [line.split() for line in done.stdout.splitlines()]
        first = ["critical", "9.8", "goodpkg", "1.0", "2.0", "mine/1", "CVE-1", "PYSEC-1"]
        assert (rows[1], rows[-1]) == (first, ["mine/1", "critical", "9.8", "3", "2"])
        assert "1 of 1 install have known holes: 1 critical, 2 low" in done.stderr
        assert "tykky update --security mine/1" in done.stderr
        site(*audit, "nothing", status=int(Exit.NOT_FOUND))
        assert holes(site.json(*audit, "m*", status=int(Exit.VULNERABLE))) == [
            ("mine/1", "CVE-1", "2.0"), ("mine/1", "CVE-2", "3.0"), ("mine/1", "CVE-3", "")
        ]  # fmt: skip
        # From here on as the site's configuration says.
        site = site.with_env(
            TYKKY_ADVISORIES_OSV=str(mirror), TYKKY_ADVISORIES_STATEMENTS=str(file)
        )
        why = "products: [goodpkg], justification: component_not_present"
        file.write_text(f"- {{vulnerability: CVE-1, status: not_affected, {why}}}\n")
        done = site("audit", "--advisories", "--fail-on", "high")
        assert "does not matter: CVE-1 in goodpkg 1.0, mine/1: component_not_present" in done.stderr
        site("audit", "mine", "--advisories", status=int(Exit.VULNERABLE))
        # What is printed is a file of statements, once somebody has edited it.
        words = ("audit", "--advisories", "--fail-on", "high", "--vex")
        vex = json.loads(site(*words).stdout)
        assert [each["status"] for each in vex["statements"]] == ["not_affected", *["affected"] * 2]
        assert vex["statements"][1]["products"] == [{"@id": "pkg:pypi/second@1.0"}]
        vex["statements"][1] |= {"status": "not_affected", "impact_statement": "not used"}
        file.write_text(json.dumps(vex))
        assert len(holes(site.json("audit", "--advisories", "--fail-on", "high"))) == 1
        file.write_text("[]")
        # Newer ones are there: of second, not yet one without the hole; the third is not touched.
        for name in ("goodpkg", "second", "third"):
            publish(web, name, "2.0", 2)
        (answer,) = site.json("update", "--security", "--dry-run", "mine")
        assert answer["changed"] == {"goodpkg": ["1.0", "2.0"]}
        assert [each["ids"] for each in answer["mends"]] == [["CVE-1", "PYSEC-1"]]
        assert {each["package"]: each["why"] for each in answer["leaves"]} == {
            "second": "the recipe or other packages keep it from 3.0",
            "third": "no version without it is known",
        }
        done = site("update", "--security", "--all")
        assert "mends CVE-1, PYSEC-1 in goodpkg 1.0" in done.stderr
        assert done.stderr.count("CVE-2") == 2 and "mends CVE-1" in site("history", "mine").stdout
        assert holes(site.json("audit", "--advisories", status=int(Exit.VULNERABLE))) == [
            ("mine/1", "CVE-2", "3.0"), ("mine/1", "CVE-3", "")
        ]  # fmt: skip
        (answer,) = site.json("update", "--security", "--all")
        assert answer["did"] == "nothing" and site.record("mine")["generation"] == 2
        assert "--only" in site("update", "--security", "--only", "a", "mine", status=2).stderr
        # What an install would have is told of before it is built, or refused.
        refuse = ("-c", "advisories.on_install=refuse")
        done = site("install", "--force", "mine", *refuse, status=int(Exit.VULNERABLE))
        assert "goodpkg" not in done.stderr and "second 1.0 has CVE-2 (low)" in done.stderr
        assert "\nbuild " not in done.stderr and site.record("mine")["generation"] == 2


def test_what_is_found_in_the_end_is_refused_before_it_is_published(
    site: Site, place: Path
) -> None:
    mirror = place / "osv"
    advise(mirror, "openssl", "3.0.11-1~deb12u2", "DSA-1", ecosystem="Debian:12")
    advise(mirror, "openssl", "3.0.14-1~deb12u1", "DSA-2", ecosystem="Debian:12")
    site = site.with_env(TYKKY_ADVISORIES_OSV=str(mirror))
    site.hello("hello", more=INSIDE)
    refuse = ("-c", "advisories.on_install=refuse")
    done = site("install", "hello", *refuse, status=int(Exit.VULNERABLE))
    assert "libssl3 3.0.11-1 has DSA-2 (unknown); mended in 3.0.14-1~deb12u1" in done.stderr
    assert "DSA-1" not in done.stderr and not site.found() and not site.modulefiles()
    assert "Log:" in done.stderr
    assert "DSA-2" not in site("install", "hello", "-c", "advisories.on_install=ignore").stderr
    assert site("install", "--force", "hello").stderr.count("has DSA-2") == 1
    lenient = (*refuse, "-c", "advisories.fail_on=critical")
    assert "has DSA-2" in site("install", "--force", "hello", *lenient).stderr
    (answer,) = site.json("update", "--security", "hello")
    assert [each["why"][:24] for each in answer["leaves"]] == ["it is not from the lock,"]
    # Those that cannot be read keep nobody from anything, unless that is what a site wants.
    shutil.rmtree(mirror)
    done = site("install", "--force", "hello")
    assert done.stderr.count("nothing is known of holes in hello/1.0") == 1
    done = site("install", "--force", "hello", *refuse, status=int(Exit.NOT_FOUND))
    assert str(mirror) in done.stderr and "on_install=warn" in done.stderr
    assert site.record("hello")["generation"] == 4

"""Advisories against packages: each case was worked out by hand from the rules of its ecosystem."""

from __future__ import annotations

import copy
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tykky.contents import Installed
from tykky.errors import ConfigError, TykkyError
from tykky.inventory import statements
from tykky.inventory.advisories import Finding, Mirror
from tykky.inventory.severity import base_score, rated, worst
from tykky.lock import Package

Event = tuple[str, str]


def osv(name: str, *ranges: Any, ecosystem: str = "PyPI", **more: Any) -> dict[str, Any]:
    """An advisory; a range is a text such as ``0 <2 3 <=4``, or the type and that text."""
    affected: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": name}}
    if "versions" in more:
        affected["versions"] = more.pop("versions")
    rows = [each if isinstance(each, tuple) else ("ECOSYSTEM", each) for each in ranges]
    affected["ranges"] = [{"type": kind, "events": events(text)} for kind, text in rows]
    return {"id": "A-1", "modified": "2026-01-01T00:00:00Z", "affected": [affected], **more}


def events(text: str) -> list[dict[str, str]]:
    """Events: a version is introduced, ``<`` is fixed, ``<=`` is last affected, ``!`` limits."""
    signs = {"<=": "last_affected", "<": "fixed", "!": "limit"}
    found = []
    for word in text.split():
        sign = next((sign for sign in signs if word.startswith(sign)), "")
        found.append({signs.get(sign, "introduced"): word.removeprefix(sign)})
    return found


def put(folder: Path, *advisories: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, advisory in enumerate(advisories):
        (folder / f"{number}.json").write_text(json.dumps(advisory))
    return folder


def pip(name: str, version: str) -> Installed:
    return Installed(name, version, channel="pypi", type="pypi")


def deb(name: str, version: str, source: str = "", channel: str = "debian-12") -> Installed:
    return Installed(name, version, "amd64", channel, type="deb", source=source)


#: What the advisory says, the version that is installed, and the version that mends it: "" if
#: there is none, None if the version does not have the hole.
PYTHON: list[tuple[Any, str, str | None]] = [
    # One range, at and around its ends.
    ("0 <2.0", "1.9", "2.0"),
    ("0 <2.0", "2.0", None),
    ("0 <2.0", "2.0.0", None),
    ("1.0 <2.0", "0.9", None),
    ("1.0 <2.0", "1.0", "2.0"),
    ("1.0 <2.0", "1", "2.0"),
    ("0", "99", ""),
    ("0 <1.10", "1.9", "1.10"),  # by numbers, not by letters
    ("0 <1.9", "1.10", None),
    ("0 <=1.5", "1.5", ""),
    ("0 <=1.5", "1.5.0", ""),
    ("0 <=1.5", "1.5.1", None),
    ("0 <=1.5", "1.5.post1", None),
    ("1.5 <=1.5", "1.5", ""),
    ("<=1.5 1.5", "1.5", ""),
    ("<=1.5 1.5", "1.6", None),
    # Releases before and after.
    ("0 <2.0", "2.0rc1", "2.0"),
    ("0 <2.0", "2.0.dev3", "2.0"),
    ("0 <2.0", "2.0a1", "2.0"),
    ("0 <2.0", "2.0.post1", None),
    ("0 <2.0.post1", "2.0", "2.0.post1"),
    ("0 <2.0rc2", "2.0rc1", "2.0rc2"),
    ("0 <2.0rc2", "2.0b9", "2.0rc2"),
    ("0 <2.0rc2", "2.0", None),
    ("2.0a1 <2.0b1", "2.0a2", "2.0b1"),
    ("2.0 <2.1", "2.0rc1", None),
    ("0 <2.0", "2.0-1", None),  # another spelling of post1
    ("0 <2.0c1", "2.0rc1", None),  # of rc1
    ("0 <v2.0", "1.0", "v2.0"),
    # Epochs.
    ("0 <2.0", "1!1.0", None),
    ("0 <1!1.0", "2.0", "1!1.0"),
    ("1!1.0 <1!2.0", "1.5", None),
    ("1!1.0 <1!2.0", "1!1.5", "1!2.0"),
    # Local versions are builds of the public one.
    ("0 <2.0", "1.9+cu118", "2.0"),
    ("0 <2.0", "2.0+cu118", None),
    ("0 <=1.9", "1.9+cu118", ""),
    ("0 <1.9+site.2", "1.9+site.1", "1.9+site.2"),
    ("0 <1.9+site.2", "1.9+site.2", None),
    # Several events, in any order, and several ranges.
    ("0 <1.2 2.0 <2.3", "1.1", "1.2"),
    ("0 <1.2 2.0 <2.3", "1.2", None),
    ("0 <1.2 2.0 <2.3", "2.2", "2.3"),
    ("0 <1.2 2.0 <2.3", "2.3", None),
    ("<2.3 2.0 <1.2 0", "2.1", "2.3"),
    ("<2.3 2.0 <1.2 0", "1.5", None),
    ("0 <=1.2 2.0 <2.3", "1.3", None),
    ("0 <=1.2 2.0 <2.3", "1.2", "2.3"),
    ("0 <2.0 2.0 <3.0", "2.0", "3.0"),  # mended and introduced again at once
    ("2.0 <2.0", "2.0", None),
    (["0 <1.2", "2.0 <2.3"], "2.1", "2.3"),
    (["0 <1.2", "1.0 <1.4"], "1.1", "1.4"),  # 1.2 has it by the other range
    (["0 <1.2", "1.0 <1.4"], "1.2", "1.4"),
    ("0 !2.0", "1.0", ""),
    ("0 !2.0", "2.0", None),
    ("0 !*", "2.0", ""),
    # Other types of ranges.
    ([("GIT", "0 <0123abc")], "1.0", None),
    ([("SEMVER", "0 <2.0.0")], "2.0.0-rc1", "2.0.0"),
    ([("SEMVER", "1.0.0 <=1.2.0")], "1.2.0+build5", ""),
    ([("SEMVER", "1.0.0 <1.2.0")], "1.2", None),
]

#: The advisory's own release of the distribution; the range; what is installed; what mends it.
DEBIAN: list[tuple[str, str, Installed | Package, str | None]] = [
    ("Debian:12", "0 <1.0-1+deb12u2", deb("x", "1.0-1+deb12u1"), "1.0-1+deb12u2"),
    ("Debian:12", "0 <1.0-1+deb12u2", deb("x", "1.0-1"), "1.0-1+deb12u2"),
    ("Debian:12", "0 <1.0-1+deb12u2", deb("x", "1.0-1+deb12u2"), None),
    ("Debian:12", "0 <1.0-1+deb12u10", deb("x", "1.0-1+deb12u9"), "1.0-1+deb12u10"),
    ("Debian:12", "0 <1.0-1", deb("x", "1.0-1~deb12u1"), "1.0-1"),  # a backport sorts before
    ("Debian:12", "0 <1.0-1", deb("x", "1.0~rc1-1"), "1.0-1"),
    ("Debian:12", "0 <1.0~rc1-1", deb("x", "1.0-1"), None),
    ("Debian:12", "0 <1:1.0-1", deb("x", "2.0-1"), "1:1.0-1"),
    ("Debian:12", "0 <2.0-1", deb("x", "1:1.0-1"), None),
    ("Debian:12", "0 <1.0-1", deb("x", "0:1.0-1"), None),
    ("Debian:12", "0 <1.0-2", deb("x", "1.0+dfsg-1"), None),  # + is after the end
    ("Debian:12", "0 <1.0+dfsg-2", deb("x", "1.0+dfsg-1"), "1.0+dfsg-2"),
    ("Debian:12", "0 <1.10-1", deb("x", "1.9-1"), "1.10-1"),
    ("Debian:12", "0 <=1.0-01", deb("x", "1.0-1"), ""),  # the same number
    ("Debian:12", "0", deb("x", "9-1"), ""),
    ("Debian:11", "0 <9-1", deb("x", "1.0-1"), None),  # of another release
    ("Debian", "0 <9-1", deb("x", "1.0-1"), "9-1"),
    ("Ubuntu:12", "0 <9-1", deb("x", "1.0-1"), None),
    ("Ubuntu:22.04:LTS", "0 <9-1", deb("x", "1-1", channel="ubuntu-22.04"), "9-1"),
    # Source packages, whose version may be another than that of what is made of them.
    ("Debian:12", "0 <1.0-2", deb("libx1", "1.0-1", "x 1.0-1"), "1.0-2"),
    ("Debian:12", "0 <1.0-2", deb("x", "1.0-1", "other 1.0-1"), None),
    ("Debian:12", "0 <1.0-2", deb("libx1", "1:5.0-1", "x 1.0-1"), "1.0-2"),
    ("Debian:12", "0 <1.0-2", deb("libx1", "1:0.5-1", "x 1.0-2"), None),
    ("Debian:12", "0 <=1.0-1", deb("x", "1.0-1+b2"), ""),  # the same source, built again
    ("Debian:12", "0 <1.0-2", pip("x", "1.0"), None),
    # Of R: names are taken as they are, and only numbers count.
    ("CRAN", "0 <1.0-10", Installed("x", "1.0-9", type="cran"), "1.0-10"),
    ("CRAN", "0 <1.0-10", Installed("x", "1.0.10", type="cran"), None),
    ("CRAN", "0 <2", Installed("X", "1.0", type="cran"), None),
    ("CRAN", "0 <2", Package("x", "1", "x_1.tar.gz", "", url="https://h/src/contrib/x"), "2"),
    ("PyPI", "0 <2", Package("x", "1", "x_1.tar.gz", "", url="https://h/src/contrib/x"), None),
    ("Bioconductor", "0 <2", Installed("x", "1.0", type="bioconductor"), "2"),
    ("Bioconductor", "0 <2", Installed("x", "1.0", type="cran"), None),
]

_PY = "py311h0123_0"
#: Names of the advisory, what is installed, and whether it is about that.
NAMES: list[tuple[str, Installed | Package, bool]] = [
    ("Some.Project", pip("some_project", "1"), True),
    ("some-project", pip("Some__Project", "1"), True),
    ("x", pip("X", "1"), True),
    ("xy", pip("x-y", "1"), False),
    ("numpy", Installed("numpy", "1", _PY, "conda-forge", type="conda"), True),
    ("pure", Installed("pure", "1", "pyhd8ed1ab_0", "conda-forge"), True),  # of an older record
    ("old", Installed("old", "1", "np126py311h0_2", "conda-forge"), True),
    ("needs", Installed("needs", "1", "h1_0", type="conda", requires=("python",)), True),
    ("graphviz", Installed("graphviz", "1", "h1_0", "conda-forge", type="conda"), False),
    ("graphviz", Installed("python-graphviz", "1", "pyh1_0", type="conda"), True),
    ("torch", Installed("pytorch", "1", "cuda_py311_0", type="conda"), True),
    ("pytorch", Installed("pytorch", "1", "cuda_py311_0", type="conda"), False),
    ("site", Installed("our-name", "1", "h1_0", type="conda"), True),  # by the configuration
    ("x", Installed("x", "1", "h1", "CRAN", type="cran"), False),
    ("x", Package("x", "1", "x-1-py3-none-any.whl", ""), True),
    ("x", Package("x", "1", "x-1-py311.conda", "", build=_PY, url="https://h/x.conda"), True),
    ("image", Package("image", "1", "docker.io/library/debian:12", ""), False),
    ("source", Package("source", "1", "/appl/program", ""), False),
]


def found(folder: Path, package: Any, *advisories: dict[str, Any]) -> list[Finding]:
    """What there is about a package; nothing is to be warned of."""
    names = {"our-name": "site", "python-graphviz": "graphviz", "pytorch": "torch"}
    mirror = Mirror(put(folder, *advisories), pytest.fail, names)
    return mirror.match([package], "stack/1")


@pytest.mark.parametrize(("said", "version", "fixed"), PYTHON)
def test_version_of_python_has_the_hole(
    tmp_path: Path, said: Any, version: str, fixed: str | None
) -> None:
    ranges = said if isinstance(said, list) else [said]
    holes = found(tmp_path, pip("x", version), osv("x", *ranges))
    assert [hole.fixed for hole in holes] == ([] if fixed is None else [fixed])


@pytest.mark.parametrize(("ecosystem", "said", "package", "fixed"), DEBIAN)
def test_package_of_a_distribution_has_the_hole(
    tmp_path: Path, ecosystem: str, said: str, package: Installed | Package, fixed: str | None
) -> None:
    holes = found(tmp_path, package, osv("x", said, ecosystem=ecosystem))
    assert [hole.fixed for hole in holes] == ([] if fixed is None else [fixed])


@pytest.mark.parametrize(("name", "package", "same"), NAMES)
def test_advisory_is_about_the_project(
    tmp_path: Path, name: str, package: Installed | Package, same: bool
) -> None:
    assert bool(found(tmp_path, package, osv(name, "0"))) is same


@pytest.mark.parametrize(
    ("listed", "said", "version", "has"),
    [
        (["1.0", "1.2"], [], "1.2", True),
        (["1.0", "1.2"], [], "1.1", False),
        (["1.0"], [], "1.0.0", True),
        (["1.0"], [], "1.0+cu118", True),
        (["1.0+cu118"], [], "1.0", False),
        (["2004d"], [], "2004d", True),  # which is no version of Python's, and can be listed
        (["3.0"], ["0 <2.0"], "3.0", True),  # a list adds to ranges
        (["1.0"], [("GIT", "0 <abc")], "1.0", True),
        (["1.0"], ["0 <0.dev-odd"], "1.1", False),  # the list tells, where the range cannot
    ],
)
def test_versions_that_are_listed(
    tmp_path: Path, listed: list[str], said: list[Any], version: str, has: bool
) -> None:
    assert bool(found(tmp_path, pip("x", version), osv("x", *said, versions=listed))) is has


def test_what_cannot_be_compared_is_told_and_never_taken_for_sound(tmp_path: Path) -> None:
    told: list[str] = []
    packages = pip("x", "2004d"), pip("y", "2004d"), pip("z", "1.0")
    put(tmp_path, osv("x", "0 <2.0", id="A"), osv("y", "0", id="B"), osv("z", "0 <odd", id="C"))
    holes = Mirror(tmp_path, told.append).match(packages)
    assert [hole.package for hole in holes] == ["y"]
    assert told == [
        f"nobody can tell whether {each}" for each in ("A is about x 2004d", "C is about z 1.0")
    ]


def test_advisories_on_one_hole_are_one_finding(tmp_path: Path) -> None:
    ghsa = osv("x", "0 <2.0", id="GHSA-1", aliases=["CVE-1"], summary="it is bad")
    ghsa["database_specific"] = {"severity": "MODERATE"}
    pysec = osv("x", "0 <2.1", id="PYSEC-1", aliases=["CVE-1", "SNYK-1"])
    pysec["severity"] = [
        {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
    ]
    other = osv("x", "0 <1.5", id="PYSEC-2")
    chained = osv("x", "0 <3.0", id="OTHER-1", aliases=["SNYK-1"])
    gone = osv("x", "0", id="PYSEC-3", withdrawn="2026-01-02T00:00:00Z")
    one, two = found(tmp_path, pip("x", "1.0"), ghsa, pysec, other, chained, gone)
    assert one.ids == ("CVE-1", "GHSA-1", "OTHER-1", "PYSEC-1", "SNYK-1")
    assert (one.fixed, one.summary, str(one.severity)) == ("3.0", "it is bad", "critical 9.8")
    assert (two.ids, two.fixed, two.severity.level) == (("PYSEC-2",), "1.5", "unknown")
    # The later of two with one identifier counts, whatever file it is in.
    later = {**ghsa, "modified": "2026-02-01T00:00:00Z", "withdrawn": "2026-02-01T00:00:00Z"}
    assert found(tmp_path / "later", pip("x", "1.0"), later, ghsa) == []
    moved = osv("other", "0", modified="2026-02-01T00:00:00Z")
    assert found(tmp_path / "moved", pip("x", "1.0"), moved, osv("x", "0")) == []
    # Debian's view of a hole has its name; what an advisory mends together stays apart.
    view = osv("x", "0", ecosystem="Debian:12", id="DEBIAN-CVE-1", upstream=["CVE-1"])
    both = osv("x", "0", ecosystem="Debian:12", id="DSA-1", upstream=["CVE-1", "CVE-2"])
    holes = found(tmp_path / "debian", deb("x", "1-1"), view, both)
    assert [(hole.ids, hole.upstream) for hole in holes] == [
        (("CVE-1", "DEBIAN-CVE-1"), ()),
        (("DSA-1",), ("CVE-1", "CVE-2")),
    ]


@pytest.mark.parametrize(
    ("vector", "score", "level"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, "critical"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, "medium"),
        ("CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8, "high"),
        ("CVSS:3.1/AV:N/AC:H/PR:H/UI:N/S:C/C:H/I:N/A:N", 5.8, "medium"),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 8.8, "high"),
        ("CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N", 1.7, "low"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, "none"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "critical"),
        ("CVSS:3.1/AV:N", None, "unknown"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None, "unknown"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P", 9.8, "critical"),
    ],
)
def test_severity_is_the_base_score(vector: str, score: float | None, level: str) -> None:
    assert base_score(vector) == score
    assert rated("CVSS_V3", vector).level == level
    assert worst([rated("", "low"), rated("CVSS_V3", vector)]).level == (
        level if score is not None else "low"
    )


def test_hostile_and_broken_files_are_told_of_and_left_out(tmp_path: Path) -> None:
    good = json.dumps(osv("x", "0 <2.0"))
    bad: dict[str, Any] = {
        "none.json": "{",
        "list.json": "[]",
        "deep.json": "[" * 200_000,
        "number.json": '{"id": ' + "9" * 10_000 + "}",
        "id.json": '{"affected": []}',
        "types.json": '{"id": "B", "affected": [{"package": "x"}]}',
        "events.json": json.dumps(osv("x", "0") | {"id": "E"}).replace(
            '[{"introduced": "0"}]', "7"
        ),
        "null.json": json.dumps(osv("x", "5", id="N")).replace('"5"', "null"),
        "long.json": json.dumps(osv("x", "0 <" + "1" * 5000, id="L")),
        "many.json": json.dumps(osv("x", "1 " * 6000, id="M")),
        "latin.json": b'{"id": "\xff"}',
        "huge.json": b" " * ((16 << 20) + 1),
        "broken.zip": "PK",
    }
    mirror = tmp_path / "mirror"
    (mirror / "PyPI").mkdir(parents=True)
    for name, content in bad.items():
        data = content if isinstance(content, bytes) else content.encode()
        (mirror / name).write_bytes(data)
    (mirror / "link.json").symlink_to(put(tmp_path / "outside", osv("x", "0", id="O")) / "0.json")
    (mirror / "loop").symlink_to(mirror)
    os.mkfifo(mirror / "pipe.json")
    (mirror / "ignored.txt").write_text("{")
    with zipfile.ZipFile(mirror / "PyPI/all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.json", good)
        archive.writestr("bomb.json", " " * (15 << 20) + json.dumps(osv("x", "0", id="B")))
        link = zipfile.ZipInfo("inner.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    told: list[str] = []
    here = Mirror(mirror, told.append)
    (hole,) = here.match([pip("x", "1.0")])
    assert (hole.ids, hole.fixed, here.count) == (("A-1",), "2.0", 1)
    left_out = len(bad) + 4  # the two links, the pipe, the bomb
    assert told[-1] == f"{left_out} files of advisories are left out, these among them"
    assert len(told) == 6 and "root:" not in "".join(told)
    assert sorted(tmp_path.iterdir()) == [mirror, tmp_path / "outside"]
    # What cannot be read any more is never taken for having nothing to say.
    moved = mirror.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(TykkyError):
            here.match([pip("y", "1.0")])
    moved.rename(mirror)
    # Members that share their bytes, of which a small file makes a large one.
    overlap = put(tmp_path / "overlap") / "all.zip"
    with zipfile.ZipFile(overlap, "w") as archive:
        archive.writestr("a.json", good + " " * 3000)
        first = archive.infolist()[0]
        for number in range(50):
            again = copy.copy(first)
            again.filename = f"{number}.json"
            archive.filelist.append(again)
    told.clear()
    assert Mirror(overlap, told.append).match([pip("x", "1.0")])
    assert f"{overlap} is left out: more is packed in it than it has bytes" in told
    # The same from a ZIP alone; and what is none.
    assert len(Mirror(mirror / "PyPI/all.zip", told.append).match([pip("x", "1.0")])) == 1
    for path in (
        tmp_path / "gone",
        mirror / "none.json",
        mirror / "broken.zip",
        put(tmp_path / "e"),
    ):
        with pytest.raises(TykkyError) as caught:
            Mirror(path, told.append).match([pip("x", "1.0")])
        assert str(path) in caught.value.cause and caught.value.remedy


STATEMENTS = """\
statements:
  - vulnerability: CVE-1
    products: [x@1.*, "pkg:pypi/y@2.0?arch=any"]
    status: not_affected
    justification: vulnerable_code_not_in_execute_path
  - vulnerability: {name: GHSA-2}
    status: fixed
    stack: stack/*
    until: 2999-01-01
  - {vulnerability: CVE-3, status: not_affected, impact_statement: old, until: 2020-01-01}
  - {vulnerability: CVE-4, status: under_investigation}
"""


def test_statement_takes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(STATEMENTS)
    (as_json := tmp_path / "vex.json").write_text(
        json.dumps(
            {
                "@context": "https://openvex.dev/ns/v0.2.0",
                "@id": "https://example.org/vex",
                "author": "site",
                "version": 1,
                "statements": [
                    {
                        "vulnerability": {"name": "CVE-1"},
                        "products": [{"@id": "pkg:pypi/x@1.0"}],
                        "status": "not_affected",
                        "justification": "component_not_present",
                    }
                ],
            }
        )
    )
    known, standard = statements.read(file), statements.read(as_json)

    def reason(ids: str, package: str, version: str, stack: str = "stack/1") -> str | None:
        said = statements.about(known, ids.split(), package, version, stack)
        return said.reason if said else None

    path = "vulnerable_code_not_in_execute_path"
    assert reason("CVE-1 GHSA-9", "X", "1.5") == reason("CVE-1", "y", "2.0") == path
    assert (
        reason("CVE-1", "x", "2.0")
        is reason("CVE-1", "y", "2.1")
        is reason("CVE-9", "x", "1.5")
        is None
    )
    assert reason("CVE-2 GHSA-2", "any", "1") == "fixed"
    assert reason("GHSA-2", "any", "1", "other/1") is None
    assert reason("CVE-3", "x", "1") is reason("CVE-4", "x", "1") is None
    assert statements.about(standard, ["CVE-1"], "x", "1.0", "any/1") is not None
    assert statements.about(standard, ["CVE-1"], "x", "1.1", "any/1") is None
    for bad in (
        "5",
        "- 5",
        "- {vulnerability: A, status: maybe}",
        "- {vulnerability: A, status: not_affected}",
        "- {vulnerability: A, status: fixed, untill: 2020-01-01}",
        "- {vulnerability: A, status: fixed, until: soon}",
        "- {status: fixed}",
        "- {vulnerability: A, status: fixed, products: x}",
        "- {vulnerability: A, status: fixed, products: [5]}",
        "[" * 5000,
    ):
        file.write_text(bad)
        with pytest.raises(ConfigError):
            statements.read(file)

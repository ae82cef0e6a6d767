"""Bills of materials of records as they may be; those of real installs are in tests/system."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bills import check_cyclonedx, check_spdx
from tykky.contents import Installed
from tykky.errors import ToolError
from tykky.inventory import bill, cyclonedx, purl, spdx
from tykky.store import Record

HEX = "ab" * 32
RECORD = Record(
    *("tool", "1.0", "-x", "tool/1.0-x", "/r/store/tool/1.0-x", "pip", "A tool."),
    installed="2026-11-27T15:00:00Z",
    generation=3,
    build="cd" * 32,
    license="GPLv3",
    homepage="https://tool.example",
    needs=("/r/store/other/2.0#4",),
    needed={"/r/store/other/2.0#4": "ef" * 32},
    images=({"file": "ab.sqfs", "sha256": HEX, "bytes": 1},),
    base={"name": "docker://debian:12", "id": "debian-12", "digest": "12" * 32},
    by={"tykky": "1.0", "user": "me", "host": "here"},
    fetched=({"name": "t.tgz", "url": "https://h.example/t.tgz", "sha256": HEX, "bytes": 9},),
)
PACKAGES = (
    Installed("One.Thing", "1.0", "", "pypi", "MIT", "pypi", "MIT", why="asked", requires=("Two",)),
    Installed("two", "2", "", "pypi", "My own", "pypi", sha256=HEX, url="https://h/a b", size=5),
    Installed("MASS", "7", "", "CRAN", "GPL-2 | GPL-3", "cran"),
    Installed("ring-a", "1", type="conda", build="0", requires=("ring-b", "two", "absent")),
    Installed("ring-b", "1", type="conda", build="0", requires=("ring-a", "bash")),
    Installed("old", "1", "", "pypi"),
    Installed("bash", "5-1", "amd64", "debian-12", type="deb", why="base", requires=("libc6",)),
    Installed("libc6", "2", "amd64", "debian-12", "LicenseRef-x", "deb", why="base"),
    Installed("libc6", "2", "i386", "debian-12", type="deb", why="base"),
    Installed("two", "2", "", "pypi", type="pypi", why="base"),
)

URLS = [
    (Installed("Zope.Interface", "1+l", type="pypi"), "pkg:pypi/zope.interface@1%2Bl"),
    (Installed("a_b", "1", channel="pypi"), "pkg:pypi/a-b@1"),
    (
        Installed("x", "1", type="pypi", url="git+https://h/r@abc"),
        "pkg:pypi/x@1?vcs_url=git%2Bhttps://h/r%40abc",
    ),
    (
        Installed(
            "numpy", "1", "py_0", "conda-forge", type="conda", url="https://h/c/noarch/n.conda"
        ),
        "pkg:conda/numpy@1?build=py_0&channel=conda-forge&subdir=noarch&type=conda",
    ),
    (
        Installed("n", "1", "0", url="file:///c/linux-64/n-1-0.tar.bz2"),
        "pkg:conda/n@1?build=0&subdir=linux-64&type=tar.bz2",
    ),
    (
        Installed("libc6", "1:2.36-9+b1", "amd64", "debian-12", type="deb"),
        "pkg:deb/debian/libc6@1:2.36-9%2Bb1?arch=amd64&distro=debian-12",
    ),
    (
        Installed("openssl", "1:3.0-2.el9", "x86_64", "rocky-9.4", type="rpm"),
        "pkg:rpm/rocky/openssl@3.0-2.el9?arch=x86_64&distro=rocky-9.4&epoch=1",
    ),
    (
        Installed("musl", "1-r0", "x86_64", "alpine-3.20", type="apk"),
        "pkg:apk/alpine/musl@1-r0?arch=x86_64&distro=alpine-3.20",
    ),
    (Installed("MASS", "7.3-60", type="cran"), "pkg:cran/MASS@7.3-60"),
    (Installed("what", "1"), "pkg:generic/what@1"),
]
IMAGES = {
    "docker://debian:12": "oci/debian@sha256:{}?repository_url=docker.io/library/debian&tag=12",
    "docker://me/x@sha256:00": "oci/x@sha256:{}?repository_url=docker.io/me/x",
    "oras://h:5000/a/b:v1": "oci/b@sha256:{}?repository_url=h:5000/a/b&tag=v1",
    "oci-archive:/a/image.tar": "oci/image@sha256:{}",
    "/a/image.sif": "generic/image.sif",
}


@pytest.mark.parametrize(("package", "url"), URLS, ids=[url for _, url in URLS])
def test_packages_have_the_urls_by_which_others_know_them(package: Installed, url: str) -> None:
    assert purl.of_package(package) == url


@pytest.mark.parametrize(("name", "url"), IMAGES.items())
def test_images_have_urls_with_their_digests(name: str, url: str) -> None:
    found = purl.of_image(name, HEX).replace("%3A", ":").replace("%2F", "/")
    assert found == f"pkg:{url.format(HEX)}"


def test_a_bill_is_valid_in_both_formats_and_always_the_same(tmp_path: Path) -> None:
    text = cyclonedx.of_generation(RECORD, PACKAGES).decode()
    assert text == cyclonedx.of_generation(RECORD, PACKAGES).decode()
    found = bill.of_generation(RECORD, PACKAGES)
    assert text == cyclonedx.checked(found)  # as the library would write it
    bom = check_cyclonedx(text)
    parts = {str(part.bom_ref): part for part in bom.components}
    assert len(parts) == len(PACKAGES) + 3
    root = bom.metadata.component
    assert root is not None and str(root.version) == "1.0-x"
    assert [each.content for each in root.hashes] == [HEX]
    assert str(bom.metadata.timestamp) == "2026-11-27 15:00:00+00:00"
    urls = check_spdx(spdx.text(found), tmp_path)
    assert urls == sorted(part.purl for part in (found.root, *found.parts) if part.purl)
    assert spdx.text(found) == spdx.text(found)
    other = bill.of_generation(replace(RECORD, installed="2026-11-28T15:00:00Z"), PACKAGES)
    assert other.serial != found.serial


def test_the_graph_leads_from_the_stack_to_everything() -> None:
    rows = json.loads(cyclonedx.of_generation(RECORD, PACKAGES))["dependencies"]
    graph = {row["ref"]: row.get("dependsOn", []) for row in rows}
    two, ring = "pkg:pypi/two@2", "pkg:conda/ring-{}@1?build=0&type=conda"
    deb = "pkg:deb/debian/{}?arch=amd64&distro=debian-12"
    assert graph["pkg:pypi/one.thing@1.0"] == [two]
    assert graph[ring.format("a")] == [ring.format("b"), two]
    assert graph[ring.format("b")] == [ring.format("a"), deb.format("bash@5-1")]
    assert graph[deb.format("bash@5-1")] == [deb.format("libc6@2")]
    assert deb.format("bash@5-1") in graph["base:docker://debian:12"]
    top = "stack:tool/1.0-x#3"
    assert {"pkg:pypi/one.thing@1.0", "pkg:pypi/old@1", "base:docker://debian:12"} <= {*graph[top]}
    assert "stack:/r/store/other/2.0#4" in graph[top] and two not in graph[top]
    seen, ahead = set[str](), [top]
    while ahead:
        if (ref := ahead.pop()) not in seen:
            seen.add(ref)
            ahead += graph[ref]
    assert seen == graph.keys()


def test_licences_are_expressions_where_they_are_clear_and_else_what_was_said() -> None:
    value = json.loads(cyclonedx.of_generation(RECORD, PACKAGES))
    told = {part["bom-ref"]: part.get("licenses") for part in value["components"]}
    declared = {"acknowledgement": "declared"}
    assert told["pkg:pypi/two@2"] == [{"license": {**declared, "name": "My own"}}]
    assert told["pkg:cran/MASS@7"] == [
        {**declared, "expression": "GPL-2.0-only OR GPL-3.0-only"},
    ]
    assert told["pkg:pypi/old@1"] is None
    assert value["metadata"]["component"]["licenses"][0]["expression"] == "GPL-3.0-only"
    document = json.loads(spdx.text(bill.of_generation(RECORD, PACKAGES)))
    packages = {p["externalRefs"][0]["referenceLocator"]: p for p in reversed(document["packages"])}
    assert packages["pkg:pypi/two@2"]["licenseDeclared"] == "LicenseRef-tykky-My-own"
    assert {"My own", "LicenseRef-x"} == {
        each["extractedText"] for each in document["hasExtractedLicensingInfos"]
    }


ODD = Installed("a b\n\x01", "1 ?#%", "\N{SNOWMAN}", "x/y", "L\n" * 99, "pypi", sha256="no")


@pytest.mark.parametrize(
    ("record", "packages"),
    [
        (Record(*("x", "1", "", "x/1", "/p", "k", "", "no time")), ()),
        (replace(RECORD, base={}, by={}, needs=(), homepage="no address", fetched=()), (ODD, ODD)),
        (replace(RECORD, base={"name": "host", "id": "linux"}), (replace(ODD, url="x:// <>|"),)),
        (replace(RECORD, base={"name": "stack:other", "id": "x", "digest": "y"}), PACKAGES),
    ],
    ids=["nothing", "odd", "odd address", "on a stack"],
)
def test_whatever_a_record_says_its_bill_is_valid(
    record: Record, packages: tuple[Installed, ...], tmp_path: Path
) -> None:
    check_cyclonedx(cyclonedx.of_generation(record, packages).decode())
    check_spdx(spdx.text(bill.of_generation(record, packages)), tmp_path)


def test_without_its_library_spdx_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spdx_tools", None)
    for name in [name for name in sys.modules if name.startswith("spdx_tools.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ToolError) as error:
        spdx.text(bill.of_generation(RECORD, ()))
    assert error.value.remedy == "pip install 'tykky[spdx]'"

"""What is known of the packages of an install: licences, distributions, environments."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import subprocess
import zlib
from pathlib import Path

import pytest

from tykky.bases.image import image_base
from tykky.contents import Installed, of_environment, own, paragraph
from tykky.errors import StepError
from tykky.inventory import filling
from tykky.inventory.licences import conjunction, expression
from tykky.lock import Lock, Package

#: What packages of PyPI, conda, CRAN, Debian and RPM say, and what it is in SPDX.
LICENCES = """
MIT = MIT
mit = MIT
MIT License = MIT
The MIT License (MIT) = MIT
MIT/X11 = MIT
Expat = MIT
BSD License =
BSD =
BSD-like =
BSD 2-Clause = BSD-2-Clause
Simplified BSD = BSD-2-Clause
BSD 3-Clause = BSD-3-Clause
BSD-3-clause = BSD-3-Clause
BSD 3-Clause License = BSD-3-Clause
3-Clause BSD License = BSD-3-Clause
New BSD = BSD-3-Clause
new BSD License = BSD-3-Clause
BSD_3_clause + file LICENSE = BSD-3-Clause
BSD-4-clause-UC = BSD-4-Clause-UC
Apache 2.0 = Apache-2.0
Apache-2 = Apache-2.0
Apache License 2.0 = Apache-2.0
Apache License, Version 2.0 = Apache-2.0
Apache 2 = Apache-2.0
ASL 2.0 = Apache-2.0
Apache Software License =
Apache-2.0 WITH LLVM-exception = Apache-2.0 WITH LLVM-exception
Apache-2.0 OR BSD-3-Clause = Apache-2.0 OR BSD-3-Clause
BSD-3-Clause AND MIT = BSD-3-Clause AND MIT
bsd-3-clause and mit = BSD-3-Clause AND MIT
(MIT OR Apache-2.0) = MIT OR Apache-2.0
MIT License, BSD License =
GPL =
LGPL =
LGPL-2.0-or-later OR GPL =
Intel =
GPLv2 = GPL-2.0-only
GPL-2 = GPL-2.0-only
GPL-2.0 = GPL-2.0-only
GPL-2+ = GPL-2.0-or-later
GPLv2+ = GPL-2.0-or-later
GPL (>= 2) = GPL-2.0-or-later
GPL-2 | GPL-3 = GPL-2.0-only OR GPL-3.0-only
GPLv3 = GPL-3.0-only
GPL-3.0 = GPL-3.0-only
GPL-3.0-only WITH GCC-exception-3.1 = GPL-3.0-only WITH GCC-exception-3.1
GPL-3.0-or-later WITH GCC-exception-3.1 AND MIT = GPL-3.0-or-later WITH GCC-exception-3.1 AND MIT
GNU General Public License v3 or later (GPLv3+) = GPL-3.0-or-later
GNU General Public License v2 (GPLv2) = GPL-2.0-only
GPL-2+ with OpenSSL exception =
GPL-2+ and BSD-3-clause = GPL-2.0-or-later AND BSD-3-Clause
GPLv2+ and (LGPLv2+ or MIT) = GPL-2.0-or-later AND (LGPL-2.0-or-later OR MIT)
LGPL-2.1 = LGPL-2.1-only
LGPLv2.1+ = LGPL-2.1-or-later
LGPL-2.1-or-later = LGPL-2.1-or-later
LGPL-3 = LGPL-3.0-only
GNU Lesser General Public License v3 (LGPLv3) = LGPL-3.0-only
AGPL-3 = AGPL-3.0-only
PSF = PSF-2.0
PSF-2.0 = PSF-2.0
Python Software Foundation License = PSF-2.0
ISC License (ISCL) = ISC
Mozilla Public License 2.0 (MPL 2.0) = MPL-2.0
MPL 2.0 = MPL-2.0
zlib/libpng License = Zlib
bzip2-1.0.6 = bzip2-1.0.6
CC0-1.0 = CC0-1.0
Artistic-2.0 = Artistic-2.0
Unlicense = Unlicense
Boost Software License 1.0 (BSL-1.0) = BSL-1.0
HPND = HPND
public-domain = LicenseRef-scancode-public-domain
Public Domain = LicenseRef-scancode-public-domain
LicenseRef-Site-Owned = LicenseRef-Site-Owned
MIT AND LicenseRef-Other = MIT AND LicenseRef-Other
Proprietary =
file LICENSE =
UNKNOWN =
WITH =
) =
( ) =
( and GPL-3.0 =
see the file COPYING, or ask the authors =
"""


@pytest.mark.parametrize("line", LICENCES.strip().splitlines())
def test_what_people_write_of_a_licence_is_spdx_where_it_is_clear(line: str) -> None:
    text, _, wanted = line.rpartition(" =")
    assert expression(text) == wanted.strip()
    assert expression(wanted) == wanted.strip()  # and stays so


def test_a_field_of_any_length_is_read_in_a_moment() -> None:
    """It took minutes, in which each line was copied once for each line after it."""
    assert paragraph("A: b\n" + " c\n" * 500_000 + "D: e") == {"A": "b" + "\nc" * 500_000, "D": "e"}


def test_licences_that_count_together_are_clear_if_all_are() -> None:
    assert conjunction(["GPL-2+", "Expat", "MIT"]) == "GPL-2.0-or-later AND MIT"
    assert conjunction(["MIT or ISC", "Zlib"]) == "(MIT OR ISC) AND Zlib"
    assert conjunction(["MIT", "permissive"]) == ""


# -- what was installed ---------------------------------------------------------------------------


def project(prefix: Path, name: str, version: str, *lines: str, **files: str) -> None:
    info = prefix / f"lib/python3.11/site-packages/{name}-{version}.dist-info"
    info.mkdir(parents=True)
    head = [f"Name: {name}", f"Version: {version}", *lines, "", "Requires-Dist: no header"]
    (info / "METADATA").write_text("\n".join(head))
    for file, text in files.items():
        (info / file.replace("_json", ".json")).write_text(text)


def test_projects_tell_size_origin_and_which_others_they_require(tmp_path: Path) -> None:
    project(
        *(tmp_path, "One_Thing", "1.0", "License-Expression: mit"),
        *("Requires-Dist: the.other >=2", "Requires-Dist: absent"),
        *("Requires-Dist: old ; python_version < '3.8'", "Requires-Dist: new; extra == 'all'"),
        "Requires-Dist: strange; what is this",
        RECORD=f"one.py,sha256=x,12\n'a,b.py',sha256=x,30\none.pyc,,\nmuch,x,{'9' * 5000}\n",
    )
    direct = {"url": "https://me:secret@example.org/the.whl", "archive_info": {}}
    project(tmp_path, "the-other", "2.0", direct_url_json=json.dumps(direct))
    commit = {"url": "https://example.org/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    project(tmp_path, "new", "1", direct_url_json=json.dumps(commit))
    for name in ("old", "strange"):
        project(tmp_path, name, "1", direct_url_json="no JSON", License="x")
    found = {each.name: each for each in of_environment(tmp_path)}
    one = found["One_Thing"]
    assert (one.type, one.size, one.requires, one.license) == ("pypi", 42, ("the-other",), "mit")
    assert found["the-other"].url == "https://***@example.org/the.whl"
    assert found["new"].url == "git+https://example.org/r.git@abc"
    assert found["old"].url == ""


def test_conda_packages_tell_what_pip_and_r_ones_beside_them_require(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    project(tmp_path, "torch", "2.0")
    project(tmp_path, "mine", "1.0", "Requires-Dist: torch")
    r = tmp_path / "lib/R/library"
    for name, text in {
        "conda": "Package: conda\nVersion: 1.1\n",
        "added": "Package: added\nVersion: 0.4-2\nDepends: R (>= 3.5)\nImports: conda,\n"
        "        utils\nLicense: GPL (>= 2)\nRepository: CRAN\n",
    }.items():
        (r / name).mkdir(parents=True)
        (r / name / "DESCRIPTION").write_text(text)
    row = {"name": "pytorch", "version": "2.0", "build": "0", "sha256": "ab", "license": "BSD"}
    row |= {"url": "https://host/t/token/c/pytorch.conda", "channel": "https://host/c"}
    row |= {"depends": ["python >=3.11", "__glibc >=2.17", "left"]}
    row["files"] = [
        "lib/python3.11/site-packages/torch-2.0.dist-info/METADATA",
        "lib/R/library/conda/DESCRIPTION",
    ]
    row["paths_data"] = {"paths": [{"size_in_bytes": 5}, {"size_in_bytes": 6}, {}]}
    (tmp_path / "conda-meta/pytorch.json").write_text(json.dumps(row))
    left = {"name": "left", "version": "1", "build": "0", "depends": 3, "paths_data": [1]}
    left["files"] = True
    (tmp_path / "conda-meta/left.json").write_text(json.dumps(left))
    found = {each.name: each for each in of_environment(tmp_path)}
    assert [*found] == ["left", "pytorch", "mine", "added"]
    torch = found["pytorch"]
    assert (torch.type, torch.size, torch.requires) == ("conda", 11, ("left",))
    assert torch.url == "https://host/t/***/c/pytorch.conda"
    assert found["mine"].requires == ("pytorch",)
    (tmp_path / "conda-meta/left.json").write_text(json.dumps({**left, "version": ""}))
    with pytest.raises(StepError, match=r"left\.json, which the environment says of a package"):
        list(of_environment(tmp_path))
    added = found["added"]
    assert (added.type, added.version, added.channel) == ("cran", "0.4-2", "CRAN")
    packages = (Package("mine", "1", "m.whl", "cd"), Package("other", "1", "o.whl", "ef"))
    lock = Lock("x", "1", "", "x86_64", {"pip": ["Mine"]}, packages)
    rows = {each.name: each for each in filling.filled(found.values(), lock, {"cd": "https://h/m"})}
    assert {name: each.why for name, each in rows.items()} == {
        **{"left": "added", "pytorch": "added", "mine": "asked", "added": "added"},
    }
    assert (rows["mine"].sha256, rows["mine"].url) == ("cd", "https://h/m")
    (named,) = filling.filled([Installed("vendor's own", "7", license="x")], lock, {})
    assert (named.type, named.why) == ("generic", "added")
    assert (rows["pytorch"].spdx, rows["added"].spdx) == ("", "GPL-2.0-or-later")


# -- what was in the base -------------------------------------------------------------------------

_STATUS = """\
Package: tool
Status: install ok installed
Installed-Size: 12
Architecture: amd64
Source: tool-src (1:2.0-1)
Version: 1:2.0-1+b1
Depends: libc6 (>= 2.36), virtual | other, absent
Description: a tool
 Version: 9

Package: gone
Status: deinstall ok config-files
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9

Package: other
Status: install ok installed
Architecture: all
Provides: virtual (= 1)
Version: 1.0~rc1
"""
_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+

Files: x
License: Expat
 The text.
"""
_APK = """\
C:Q1
P:musl
V:1.2.5-r0
A:x86_64
I:667648
L:MIT
o:musl
p:so:libc.musl-x86_64.so.1=1

P:busybox
V:1.36.1-r2
A:x86_64
I:950272
L:GPL-2.0-only
o:busybox-src
D:so:libc.musl-x86_64.so.1
"""
#: A header as RPM 4.18 has written it, of a package with an epoch and two requirements.
_HEADER = """
eNpVlc2LHEUYxmtmZ9fduIsbP6OIzEHDRtKTqv6o7hZFw0aTAU02GDGKGrvrY7axd3vo6VlGxYP/gB68GPCg4M0IOawHQSSn
ICE3Lx4MelBw1RiDIjmsrtVTz2a04e3qXz1vvfXWZxNCHiNk6glCyOPGbiGkedaUi8aksVlin4bx+cmUM8aa4C3wAvhn8F7w
L6ZsGdsH/tWUc8buB18FPwD+Df5t8DXEexB8HfoS+C/oB8E3EO9J8N/QT4L/AT9vudVCvFfBtTaFcdc8B9bgPfBfBd+K+cnB
8+BPwQvwPw++DfomeBH8OfhO5Pcl+C60/xZ8D/y/t2vQ2gd929i0+bzX6o1F8H3gIXjJxm+8g3hHbfvG++Bj4A/AXbT/EHwa
+sfo/wXo58AvQf8C/i9DvwB+BXwRnCKfy2AJ/hqswN+ANfgKOAd/B67Q/5/gIfgGeAP9b1u+4z2rN2fBF2285jz4B+vfvB38
I/xPgbegn7bcaEA/B57GeTpvz1NjAfExH4294C3sz99t+yns59Y06in4bug+uAeOwKvgR2teJqsqzwunKoqcsI5LvI7K4/FZ
bo7IiLw299HmxtqYZ46uPO24HeoUpZMnlSrbh48faT/TPUWeWx/0lch0piTJs/XhiKwXSSlW7Z0w87bZCXWcIIpZGqSB68pA
ahpxSbWmKWNUpzKWLktTX4uQcS/Rni9p5EY8cVXkc81TRT3cMaQsisq+Jrk7JndnnHtnUIpO2Tc575jnP6OznxtZWQ2TnEye
eTMpe3bt/055lqbJQBETznwuLRdr/VINBko+leXqeLKmBgd2tbrmSNZTg2pSt5K8nhfJ2HlwLNlQK6XS2egAIcxMM+34DiN+
h5sZrUv7ZlGHTu7SsZHd+9V95OYgbyY/zpccKvrVIeKccNtOj4h+VpDeG1mfxOShN89USdlT1Zm+WTJdlGtvTQZ++Nnlbrdd
qVFl+xhW2olITKmOdOhyGUnOUhEkvpd4XCXCpamQKmaxrNcnEoIynqZpGOrYV4knY+H53K7SLKciiNPaIm0WVKWB5/qBCSdF
EHi+y4UOaBQnKpJCu4HLEhqaPUEpD1PleYLs/mh2drYv4EdjttKLXz387rUr3c18/x+fdK+elZd8pmTspdxkRanPTFsdMVdx
HmvqUqVM/NAkGRDTP2OeYJqJkAeybsC0UAmPXBFLX0ahaR2LOJI6DkNTFXlU0dALTECq4/oSMnv4s8nSWP4XZWQXDw==
"""


def rows(root: Path, **files: str | bytes) -> dict[str, Installed]:
    """The packages of a root directory with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    base = image_base("x", "y", root, {})
    return {each.name: each for each in filling.of_base(base)}


def test_debian_packages_of_a_base_are_known(tmp_path: Path) -> None:
    files = {"var/lib/dpkg/status": _STATUS, "etc/os-release": "ID=debian\nVERSION_ID='12'\n"}
    files |= {"usr/share/doc/tool/copyright": _COPYRIGHT, "usr/share/doc/other/copyright": "MIT"}
    found = rows(tmp_path, **files)
    assert [*found] == ["libc6", "other", "tool"]
    assert found["tool"] == Installed(
        *("tool", "1:2.0-1+b1", "amd64", "debian-12", "GPL-2+, Expat", "deb"),
        spdx="GPL-2.0-or-later AND MIT",
        size=12288,
        why="base",
        source="tool-src 1:2.0-1",
        requires=("libc6", "other"),
    )
    assert (found["other"].source, found["other"].license) == ("other 1.0~rc1", "")
    assert own(found.values()) == ()


def test_a_base_without_dpkg_and_with_pip_and_conda_is_known(tmp_path: Path) -> None:
    text = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"
    project(tmp_path / "opt/venv", "six", "1.17.0")
    project(tmp_path / "usr", "debians-own", "1")
    project(tmp_path / "opt/conda/pkgs/numpy-1-0", "unpacked", "1")
    (tmp_path / "opt/conda/conda-meta").mkdir(parents=True)
    (tmp_path / "opt/conda/conda-meta/broken.json").write_text("{")
    status = {"var/lib/dpkg/status.d/base": text, "var/lib/dpkg/status.d/base.md5sums": "a b"}
    found = rows(tmp_path, **status)
    assert {name: (each.type, each.why) for name, each in found.items()} == {
        **{"base-files": ("deb", "base"), "six": ("pypi", "base")},
    }
    image = tmp_path.with_suffix(".sqfs")
    subprocess.run(["mksquashfs", tmp_path, image, "-quiet", "-no-progress"], check=True)
    assert {each.name for each in filling.of_base(image_base("x", "y", image, {}))} == {*found}


def test_packages_of_alpine_and_of_rpm_are_known(tmp_path: Path) -> None:
    found = rows(tmp_path / "alpine", **{"lib/apk/db/installed": _APK})
    assert found["busybox"].requires == ("musl",) and found["busybox"].type == "apk"
    assert (found["musl"].spdx, found["musl"].size) == ("MIT", 667648)
    database = tmp_path / "rocky/var/lib/rpm/rpmdb.sqlite"
    database.parent.mkdir(parents=True)
    blob = zlib.decompress(base64.b64decode(_HEADER))
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        connection.execute("INSERT INTO Packages VALUES (1, ?)", (blob,))
        connection.commit()
    found = rows(tmp_path / "rocky", **{"etc/os-release": "ID='rocky'\nVERSION_ID='9.4'\n"})
    assert found["hello-tool"] == Installed(
        *("hello-tool", "2:1.2-3.el9", "noarch", "rocky-9.4", "GPL-2.0-or-later AND MIT", "rpm"),
        spdx="GPL-2.0-or-later AND MIT",
        size=6,
        why="base",
        source="hello-tool 1.2-3.el9",
    )
    database.write_bytes(database.read_bytes()[:5000])
    assert rows(tmp_path / "rocky") == {}
    for name in ("rpmdb.sqlite", "Packages"):
        database = database.rename(database.with_name(name))
        base = image_base("x", "y", tmp_path / "rocky", {})
        assert filling.unread(base, ()) == f"/var/lib/rpm/{name}"
        assert filling.unread(base, found.values()) == ""

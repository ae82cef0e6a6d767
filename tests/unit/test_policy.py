"""What a site's policy on licences says of packages."""

from __future__ import annotations

import pytest

from tykky.contents import Installed
from tykky.inventory.policy import Policy

POLICY = Policy(
    {
        "deny": ("agpl-*", "sspl-1.0", "gpl-3.0*", "proprietary-*"),
        "ask": ("gpl-*", "licenseref-*", "lgpl-3.0-only", "* with llvm-exception"),
        "allow": (
            *("mit", "apache-2.0", "bsd-*", "gpl-3.0-only", "psf-2.0", "lgpl-*"),
            *("gpl-3.0-only with gcc-exception-3.1", "gpl-?.0-or-later with classpath-*"),
        ),
    },
    unknown="ask",
    exceptions={"cudatoolkit": "we have signed", "nvidia-*": "the same", "weird-name": "old"},
)
OPEN = Policy({"deny": ("gpl-3.0*",), "ask": (), "allow": ()})

#: Licences, and what follows.
CASES = """
MIT = allow
mit = allow
Apache-2.0 = allow
BSD-3-Clause = allow
BSD 3-Clause License = allow
GPL-3.0-only = deny
GPL-3.0-or-later = deny
GPLv3+ = deny
GPL-2.0-only = ask
GPL-2.0+ = ask
LGPL-2.1-or-later = allow
LGPL-3.0-only = ask
AGPL-3.0-only = deny
SSPL-1.0 = deny
ISC = deny
MIT OR GPL-3.0-only = allow
GPL-3.0-only OR MIT = allow
GPL-2.0-only OR GPL-3.0-only = ask
ISC OR AGPL-3.0-only = deny
MIT AND GPL-3.0-only = deny
MIT AND GPL-2.0-only = ask
MIT AND BSD-2-Clause AND PSF-2.0 = allow
MIT AND (GPL-3.0-only OR Apache-2.0) = allow
MIT AND (GPL-3.0-only OR GPL-2.0-only) = ask
GPL-3.0-only OR (MIT AND GPL-2.0-only) = ask
(MIT AND AGPL-3.0-only) OR (Apache-2.0 AND BSD-3-Clause) = allow
(MIT OR ISC) AND (ISC OR SSPL-1.0) = deny
GPL-3.0-only WITH GCC-exception-3.1 = allow
GPL-3.0-or-later WITH GCC-exception-3.1 = deny
GPL-2.0-or-later WITH Classpath-exception-2.0 = allow
GPL-2.0-only WITH Classpath-exception-2.0 = ask
Apache-2.0 WITH LLVM-exception = ask
Apache-2.0 WITH Swift-exception = allow
GPL-3.0-only WITH GCC-exception-3.1 AND MIT = allow
LicenseRef-NVIDIA-EULA = ask
MIT AND LicenseRef-Other = ask
BSD License = ask
 = ask
Proprietary = ask
see COPYING = ask
"""


@pytest.mark.parametrize("line", CASES.strip("\n").splitlines())
def test_a_licence_is_judged_by_its_best_choice_and_its_worst_part(line: str) -> None:
    text, _, wanted = line.rpartition(" = ")
    assert POLICY.verdict(Installed("x", "1", license=text)).answer == wanted


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("cudatoolkit", "allow", "exception: we have signed"),
        ("CudaToolkit", "allow", "exception: we have signed"),
        ("nvidia-cudnn_cu12", "allow", "exception: the same"),
        ("weird.name", "allow", "exception: old"),
        ("cudatoolkit-dev", "deny", "licences.deny"),
    ],
)
def test_packages_with_a_reason_are_excepted(name: str, answer: str, reason: str) -> None:
    verdict = POLICY.verdict(Installed(name, "1", license="AGPL-3.0-only"))
    assert (verdict.answer, verdict.reason) == (answer, reason)


def test_what_is_in_no_list_is_denied_only_if_some_are_allowed() -> None:
    answers = [OPEN.of_licence(spdx)[0] for spdx in ("ISC", "GPL-3.0-only", "", "MIT AND ISC")]
    assert answers == ["allow", "deny", "allow", "allow"]
    verdict = POLICY.verdict(Installed("x", "1", license="MIT AND GPL-3.0-only"))
    assert str(verdict) == "x 1: MIT AND GPL-3.0-only (GPL-3.0-only: licences.deny)"
    assert POLICY.verdict(Installed("x", "1", spdx="ISC")).reason == "not in licences.allow"


def test_packages_of_a_base_count_only_if_they_are_to() -> None:
    packages = [Installed("bash", "5", license="GPL-3.0-or-later", why="base")]
    assert OPEN.judge(packages) == []
    there = Policy({**OPEN.lists}, bases=True)
    assert [each.answer for each in there.judge(packages)] == ["deny"]

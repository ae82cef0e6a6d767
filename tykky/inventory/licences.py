"""Licences as SPDX expressions, of what people write where a licence belongs."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

#: What people call licences, in the plain spelling of ``_plain``, where SPDX has another name.
#: What may mean several (a "BSD License") is in no line: nobody guesses.
_KNOWN = {
    "0BSD": "bsd zero clause, zero clause bsd, bsd 0 clause",
    "AGPL-3.0-only": "agpl 3, agpl v3, agplv3, gnu affero general public license v3",
    "AGPL-3.0-or-later": "agpl 3+, agpl >= 3, agpl v3+, agplv3+, "
    "gnu affero general public license v3 or later",
    "Apache-2.0": "apache 2, apache v2, apache2, apache license 2, apache license v2, al 2, "
    "asl 2, apache software license 2, apache license version 2, apache 2 license, "
    "apache version 2, apache software license version 2, apache v2 license, apachev2, "
    "apache license >= 2, apache license == 2",
    "Artistic-1.0-Perl": "artistic perl",
    "Artistic-2.0": "artistic 2, artistic license 2",
    "BSD-2-Clause": "bsd 2, bsd 2 clause, 2 clause bsd, simplified bsd, freebsd, "
    "bsd 2 clause license, 2 clause bsd license, bsd 2 clauses, bsd2, simplified bsd license, "
    "bsd simplified",
    "BSD-3-Clause": "bsd 3, bsd 3 clause, 3 clause bsd, new bsd, modified bsd, "
    "bsd 3 clause license, 3 clause bsd license, bsd 3 clauses, bsd3, new bsd license, "
    "modified bsd license, "
    "bsd 3 clause new or revised license, revised bsd, revised bsd license, bsd new, "
    "three clause bsd, bsd three clause, the 3 clause bsd license, bsd license 3 clause",
    "BSD-4-Clause": "bsd 4 clause, 4 clause bsd, original bsd",
    "BSL-1.0": "boost, boost 1, boost software license 1, boost software license, bsl 1, "
    "boost software license 1 bsl 1",
    "bzip2-1.0.6": "bzip2",
    "CC0-1.0": "cc0, cc0 1, cc0 1 universal, creative commons zero, creative commons zero 1, "
    "cc0 1 universal cc0 1 public domain dedication",
    "CC-BY-4.0": "cc by 4",
    "CC-BY-SA-4.0": "cc by sa 4",
    "CDDL-1.0": "cddl 1",
    "CECILL-2.0": "cecill 2",
    "CECILL-2.1": "cecill 2 1, cecill 2 1 license",
    "curl": "curl license",
    "EPL-1.0": "epl 1, eclipse public license 1",
    "EPL-2.0": "epl 2, eclipse public license 2, eclipse public license 2 epl 2",
    "EUPL-1.2": "eupl 1 2, european union public licence 1 2 eupl 1 2",
    "FTL": "freetype, ftl",
    "GPL-1.0-or-later": "gpl 1+",
    "GPL-2.0-only": "gpl 2, gpl v2, gplv2, gnu gpl v2, gnu gpl 2, gpl 2 only, gplv2 only, "
    "gnu general public license v2, gnu general public license version 2, "
    "gnu general public license v2 gplv2",
    "GPL-2.0-or-later": "gpl 2+, gpl v2+, gplv2+, gpl >= 2, gpl 2 or later, "
    "gnu general public license v2 or later, gnu general public license v2 or later gplv2+",
    "GPL-3.0-only": "gpl 3, gpl v3, gplv3, gnu gpl v3, gnu gpl 3, gnu gplv3, gpl 3 only, "
    "gnu general public license v3, gnu general public license version 3, "
    "gnu general public license v3 gplv3",
    "GPL-3.0-or-later": "gpl 3+, gpl v3+, gplv3+, gpl >= 3, gpl 3 or later, gplv3 or later, "
    "gnu general public license v3 or later, gnu general public license v3 or later gplv3+, "
    "gnu gplv3+, gnu gpl v3 or later",
    "HPND": "historical permission notice and disclaimer, "
    "historical permission notice and disclaimer hpnd",
    "ISC": "isc, isc license, isc license iscl, iscl",
    "LGPL-2.0-only": "lgpl 2, lgplv2, lgpl v2, gnu lesser general public license v2 lgplv2, "
    "gnu library general public license v2",
    "LGPL-2.0-or-later": "lgpl 2+, lgpl v2+, lgplv2+, lgpl >= 2, "
    "gnu lesser general public license v2 or later lgplv2+",
    "LGPL-2.1-only": "lgpl 2 1, lgplv2 1, lgpl v2 1, gnu lgpl v2 1",
    "LGPL-2.1-or-later": "lgpl 2 1+, lgplv2 1+, lgpl v2 1+, lgpl >= 2 1, lgpl 2 1 or later",
    "LGPL-3.0-only": "lgpl 3, lgplv3, lgpl v3, gnu lgpl v3, gnu lesser general public license v3, "
    "gnu lesser general public license v3 lgplv3",
    "LGPL-3.0-or-later": "lgpl 3+, lgplv3+, lgpl v3+, lgpl >= 3, lgpl 3 or later, "
    "gnu lesser general public license v3 or later lgplv3+",
    "MIT": "mit, mit license, expat, expat license, mit license mit, the mit license, "
    "the mit license mit, mit licence, mit expat, x11 mit, mit x11",
    "LicenseRef-scancode-public-domain": "public domain",
    "MIT-0": "mit no attribution, mit no attribution license mit 0, mit 0",
    "MIT-CMU": "mit cmu, cmu license mit cmu",
    "MPL-1.1": "mpl 1 1, mozilla public license 1 1, mozilla public license 1 1 mpl 1 1",
    "MPL-2.0": "mpl 2, mplv2, mpl v2, mozilla public license 2, mozilla public license version 2, "
    "mozilla public license 2 mpl 2, mpl2",
    "MulanPSL-2.0": "mulan permissive software license v2 mulanpsl 2, mulan psl v2",
    "NCSA": "university of illinois ncsa open source license, ncsa",
    "OFL-1.1": "ofl 1 1, sil open font license 1 1, sil open font license 1 1 ofl 1 1",
    "OLDAP-2.8": "openldap, openldap 2 8",
    "OpenSSL": "openssl",
    "PSF-2.0": "psf 2, psf license, psf, psfl, psf license 2, python software foundation license, "
    "python software foundation license version 2",
    "Python-2.0": "python 2",
    "TCL": "tcl, tcl tk",
    "Unlicense": "unlicense, the unlicense, the unlicense unlicense",
    "UPL-1.0": "upl, universal permissive license upl, upl 1",
    "Vim": "vim",
    "W3C": "w3c, w3c license",
    "WTFPL": "wtfpl, do what the f*ck you want to public license",
    "X11": "x11, mit x11 license x11",
    "Zlib": "zlib, zlib license, zlib libpng, zlib libpng license, zlib libpng license zlib",
    "ZPL-2.1": "zpl 2 1, zope public license 2 1",
}
#: What parts several licences in one text, where that can be nothing else.
_AND, _OR = r"\s+and\s+|\s*&\s*", r"\s+or\s+|\s*\|{1,2}\s*"
#: What the library would take for one of several versions.
_UNCLEAR = frozenset(
    ["gpl", "lgpl", "agpl", "bsd", "apache", "cc", "intel", "unknown", "none", "other"]
)
#: Longer texts are those of licences, and not their names.
_LONGEST = 2000


@cache
def expression(text: str) -> str:
    """The SPDX expression for what a package says of its licence; empty where that is not clear.

    Identifiers of SPDX are taken as they are, in any spelling of their letters; what authors,
    conda, Debian, RPM and the index of Python call licences besides is in a table.
    """
    text = " ".join(text.split())
    # Of R: who holds the copyright; or else a choice, which need not be made.
    text = re.sub(r" [+|] file LICEN[SC]E$", "", text)
    if not text or len(text) > _LONGEST or text.casefold() in _UNCLEAR:
        return ""
    return _spdx(text) or _one(text) or _several(text)


def conjunction(texts: list[str]) -> str:
    """The expression for licences that count all together; empty if one of them is not clear."""
    found = [expression(text) for text in dict.fromkeys(texts)]
    parts = [f"({e})" if " OR " in e and len(found) > 1 else e for e in dict.fromkeys(found)]
    return _spdx(" AND ".join(parts)) if all(found) else ""


def _one(text: str) -> str:
    """The identifier of a licence that goes by another name."""
    return _names().get(_plain(text), "")


def _several(text: str) -> str:
    """The expression for names of licences between words like ``and``, which may be in brackets."""
    for word, parting in (("OR", _OR), ("AND", _AND)):
        parts = re.split(parting, text, flags=re.IGNORECASE)
        if len(parts) > 1 and all(part.count("(") == part.count(")") for part in parts):
            found = [expression(_bare(part)) for part in parts]
            if all(found):
                joined = f" {word} ".join(f"({e})" if " " in e else e for e in found)
                return _spdx(joined)
    return ""


def _bare(text: str) -> str:
    """A text without the brackets around all of it."""
    text = text.strip()
    return text[1:-1] if text[:1] == "(" and text[-1:] == ")" and "(" not in text[1:] else text


def _plain(text: str) -> str:
    """A name without what people write it with or without: signs, ``.0``, case."""
    text = re.sub(r"[(),;:/\"'_-]+", " ", text.casefold())
    text = re.sub(r"\bversion (?=\d)", "v", text)
    text = re.sub(r"\b(v?\d+)(?:\.0)+(?![\d.])", r"\1", text).replace(".", " ")
    return " ".join(text.split())


@cache
def _names() -> dict[str, str]:
    return {_plain(name): key for key, line in _KNOWN.items() for name in line.split(", ")}


def parsed(spdx: str) -> Any:
    """An SPDX expression as the library has it: a symbol, or AND and OR of such."""
    return _licensing().parse(spdx)


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _spdx(text: str) -> str:
    """An expression that is one already, in its usual spelling; empty for any other text."""
    if not _UNCLEAR.isdisjoint(re.split(r"[\s()]+", text.casefold())):
        return ""
    licensing = _licensing()
    # Which the library does not know, although SPDX allows any.
    own = {f"LicenseRef-{word}" for word in re.findall(r"\bLicenseRef-([A-Za-z0-9.-]+)", text)}
    try:
        parsed = licensing.parse(text)
    except Exception:  # whatever comes to the library's mind: "( )" is an IndexError
        return ""
    unknown = {str(key) for key in licensing.unknown_license_keys(parsed)} - own
    return "" if parsed is None or unknown else str(parsed.render())

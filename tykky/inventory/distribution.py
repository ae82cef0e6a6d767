"""The packages of a distribution in an image, from its own database; nothing of it is run."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tykky.bases import ImageBase
from tykky.contents import Installed, number, paragraph
from tykky.files import open_regular
from tykky.inventory.licences import conjunction, expression

_DPKG = ("/var/lib/dpkg/status", "/var/lib/dpkg/status.d/*")
_TYPES = ("deb", "apk", "rpm")
_APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_RPM = ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite")
#: Databases of RPM that only programs of their own kind read.
_UNREAD = tuple(
    f"/{folder}/{name}"
    for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm")
    for name in ("Packages", "Packages.db")
)
_COPYRIGHT = "/usr/share/doc/*/copyright"
#: What begins the copyright files that programs can read.
_FORMAT = re.compile(r"Format(-Specification)?:\s*\S*copyright-format", re.IGNORECASE)
#: How a name in a list of what is needed begins.
_NAME = re.compile(r"[^\s(:<>=~|,]+")

# What of a header of RPM is read: rpm, include/rpm/rpmtag.h and docs/manual/format_header.
_TAGS = {1000: "name", 1001: "version", 1002: "release", 1003: "epoch", 1009: "size"}
_TAGS |= {1014: "license", 1022: "arch", 1044: "source", 1047: "provides", 1049: "requires"}
_TAGS |= {5009: "size"}
_IDENTITY = {"name", "version", "release"}
_INTEGERS = {4: ">I", 5: ">Q"}
_STRINGS = (6, 8, 9)


def packages(base: ImageBase) -> tuple[Installed, ...]:
    """What the distribution in an image has installed. Raises ``TykkyError`` if it is damaged."""
    with base.files(*_DPKG, *_APK, *_RPM, _COPYRIGHT) as files:
        found = [*_debian(files, base.id), *_alpine(files, base.id), *_redhat(files, base.id)]
    return tuple(sorted(found))


def unread(image: ImageBase, found: Iterable[Installed]) -> str:
    """The database of an image that could not be read, if no packages were ``found`` for that."""
    if any(package.type in _TYPES for package in found):
        return ""
    return next(filter(image.listing.is_file, (*_RPM, *_UNREAD)), "")


def _text(path: Path) -> str:
    with open_regular(path) as stream:
        return stream.read().decode(errors="replace")


def _needed(lines: Sequence[str], there: Mapping[str, str]) -> tuple[str, ...]:
    """The packages that are there, of those that lists of what is needed name."""
    words = (_NAME.match(each.strip()) for line in lines for each in re.split(r"[,|\n]", line))
    found = (there.get(word[0]) for word in words if word)
    return tuple(dict.fromkeys(name for name in found if name))


# -- Debian -----------------------------------------------------------------------------------


def _debian(files: Mapping[str, Path], release: str) -> Iterator[Installed]:
    rows = []
    for name in files:
        if name == _DPKG[0] or (name.startswith(_DPKG[1][:-1]) and not name.endswith(".md5sums")):
            for text in re.split(r"\n\s*\n", _text(files[name])):
                row = paragraph(text)
                status = row.get("Status", "install ok installed")  # images without dpkg say none
                if row.get("Package") and row.get("Version") and status.endswith(" installed"):
                    rows.append(row)
    there = _providers((row["Package"], row.get("Provides", "")) for row in rows)
    for row in rows:
        name, version = row["Package"], row["Version"]
        source, _, of = row.get("Source", name).partition(" ")
        licences = _copyright(files, name)
        yield Installed(
            *(name, version, row.get("Architecture", ""), release, ", ".join(licences), "deb"),
            spdx=conjunction(licences) if licences else "",
            size=1024 * number(row.get("Installed-Size", "")),
            why="base",
            source=f"{source} {of.strip('()') or version}",
            requires=_needed([row.get("Pre-Depends", ""), row.get("Depends", "")], there),
        )


def _providers(rows: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Which package is meant by a name: that of the name, or else the first that provides it."""
    known: dict[str, str] = {}
    more: dict[str, str] = {}
    for name, provides in rows:
        known[name] = name
        for each in provides.split(","):
            if word := _NAME.match(each.strip()):
                more.setdefault(word[0], name)
    return more | known


def _copyright(files: Mapping[str, Path], name: str) -> list[str]:
    """The licences that the copyright file of a package names, if it is one for programs."""
    path = files.get(_COPYRIGHT.replace("*", name))
    text = _text(path) if path else ""
    if not _FORMAT.match(text):
        return []
    found = re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE | re.IGNORECASE)
    return [*dict.fromkeys(" ".join(each.split()) for each in found)]


# -- Alpine -----------------------------------------------------------------------------------


def _alpine(files: Mapping[str, Path], release: str) -> Iterator[Installed]:
    path = next((files[name] for name in _APK if name in files), None)
    rows = [] if path is None else [paragraph(text) for text in _text(path).split("\n\n")]
    rows = [row for row in rows if row.get("P") and row.get("V")]
    there = _providers((row["P"], row.get("p", "").replace(" ", ",")) for row in rows)
    for row in rows:
        yield Installed(
            *(row["P"], row["V"], row.get("A", ""), release, row.get("L", ""), "apk"),
            spdx=expression(row.get("L", "")),
            size=number(row.get("I", "")),
            why="base",
            source=f"{row.get('o', row['P'])} {row['V']}",
            requires=_needed(row.get("D", "").split(), there),
        )


# -- RPM --------------------------------------------------------------------------------------


def _redhat(files: Mapping[str, Path], release: str) -> Iterator[Installed]:
    path = next((files[name] for name in _RPM if name in files), None)
    heads: list[dict[str, Any]] = []
    # One that is damaged says nothing, and is told to be unread.
    with contextlib.suppress(sqlite3.Error, struct.error, TypeError):
        if path is not None:
            with contextlib.closing(
                sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
            ) as base:
                heads = [_header(blob) for (blob,) in base.execute("SELECT blob FROM Packages")]
    heads = [head for head in heads if head.keys() >= _IDENTITY and head["name"] != "gpg-pubkey"]
    there = _providers((head["name"], ",".join(head.get("provides", ()))) for head in heads)
    for head in heads:
        epoch = f"{head['epoch']}:" if head.get("epoch") else ""
        source = re.fullmatch(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm", head.get("source", ""))
        needed = _needed(head.get("requires", ()), there)
        yield Installed(
            *(head["name"], f"{epoch}{head['version']}-{head['release']}", head.get("arch", "")),
            *(release, head.get("license", ""), "rpm", expression(head.get("license", ""))),
            size=head.get("size", 0),
            why="base",
            source=f"{source[1]} {source[2]}" if source else "",
            requires=tuple(name for name in needed if name != head["name"]),
        )


def _header(blob: bytes) -> dict[str, Any]:
    """What a header says: one text or number of each tag, of two tags a list of texts."""
    entries, _ = struct.unpack_from(">II", blob)
    found: dict[str, Any] = {}
    for tag, kind, offset, count in struct.iter_unpack(">IIII", blob[8 : 8 + 16 * entries]):
        start, name = 8 + 16 * entries + offset, _TAGS.get(tag)
        if name is None or (name in ("epoch", "size")) != (kind in _INTEGERS):
            continue
        if kind in _INTEGERS:
            found[name] = struct.unpack_from(_INTEGERS[kind], blob, start)[0]
        elif kind in _STRINGS:
            many = name in ("provides", "requires")
            texts = blob[start:].split(b"\0", count if many else 1)[: count if many else 1]
            decoded = [text.decode(errors="replace") for text in texts]
            found[name] = decoded if many else decoded[0]
    return found

"""Advisories as OSV has them, read from a directory or a ZIP of a site's own; no network.

See https://ossf.github.io/osv-schema/. Whatever is wrong with one file, that one is told of and
left out: nothing is unpacked, no link is followed, and nothing grows without a limit.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from tykky.errors import Exit, TykkyError, masked
from tykky.files import open_regular, parse_json
from tykky.inventory.severity import Severity, rated, worst
from tykky.lock import canonical

#: What is looked at, and whether names in it are spelt as those of PyPI.
ECOSYSTEMS = {"PyPI": True, **dict.fromkeys(("Debian", "Ubuntu", "CRAN", "Bioconductor"), False)}
#: More bytes, events, versions and characters of a version or name than any advisory has.
_FILE, _EVENTS, _VERSIONS, _VERSION = 16 << 20, 5_000, 100_000, 200
#: A member of a ZIP that is larger than that, and packed better than this, is a bomb.
_LARGE, _PACKED = 1 << 20, 200
#: What is wrong with so many files is told of each, then only how many there are.
_TOLD = 5
_KINDS = ("introduced", "fixed", "last_affected", "limit")


@dataclass(frozen=True)
class Range:
    """A timeline of a package: pairs of what happens (``introduced`` ...) and in which version."""

    type: str
    events: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Affected:
    """What an advisory says of one package; ``release`` is that of a distribution, or empty."""

    ecosystem: str
    name: str
    release: str
    ranges: tuple[Range, ...]
    versions: tuple[str, ...]
    severity: Severity


@dataclass(frozen=True)
class Advisory:
    """One advisory, as far as it speaks of packages that somebody has."""

    id: str
    modified: str
    aliases: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    summary: str = ""
    withdrawn: bool = False
    affected: tuple[Affected, ...] = ()


@dataclass
class Reading:
    """What was read: the advisories by their identifier, how many there were, and the newest."""

    advisories: dict[str, Advisory] = field(default_factory=dict)
    count: int = 0
    newest: str = ""


def read(source: Path, wanted: Collection[tuple[str, str]], warn: Callable[[str], None]) -> Reading:
    """The advisories about ``wanted`` packages, pairs of ecosystem and name.

    ``source`` is a directory, in which ``.json`` files and ZIPs count however deep they lie, or a
    ZIP. Of two with one identifier, the one that was modified later counts. Raises ``TykkyError``
    if there are none at all; ``warn`` is told what is left out.
    """
    found, problems = Reading(), _Problems(warn)
    for name, content in _documents(source, problems):
        try:
            advisory = _parsed(parse_json(content), wanted)
        except (ValueError, RecursionError) as error:
            problems.tell(name, str(error))
            continue
        found.count += 1
        found.newest = max(found.newest, advisory.modified)
        before = found.advisories.get(advisory.id)
        # One that speaks of other packages by now, or is withdrawn, is needed to know so.
        if before is None or before.modified < advisory.modified:
            found.advisories[advisory.id] = advisory
    problems.end()
    if not found.count:
        cause = f"there are no advisories in {source}"
        raise TykkyError(cause, remedy=_REMEDY, code=Exit.NOT_FOUND)
    return found


_REMEDY = (
    "give a directory or ZIP with files in the OSV format, such as the 'all.zip' of an ecosystem: "
    "share/doc/how-to/know-what-is-vulnerable.md"
)


class _Problems:
    """What is wrong with files: the first few are told one by one."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn, self.count = warn, 0

    def tell(self, name: str, why: str) -> None:
        self.count += 1
        if self.count <= _TOLD:
            self.warn(f"{name} is left out: {masked(why)[:200]}")

    def end(self) -> None:
        if self.count > _TOLD:
            self.warn(f"{self.count} files of advisories are left out, these among them")


def _documents(source: Path, problems: _Problems) -> Iterator[tuple[str, bytes]]:
    """The JSON files of a source, each by its name."""
    try:
        if not source.is_dir():
            with open_regular(source) as stream:
                yield from _members(str(source), stream, problems, alone=True)
            return
        todo = [os.fspath(source)]
        os.scandir(source).close()
    except OSError as error:
        cause = f"the advisories in {source} cannot be read: {error.strerror or error}"
        raise TykkyError(cause, remedy=_REMEDY, code=Exit.NOT_FOUND) from None
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as entries:
                there = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.tell(folder, error.strerror or str(error))
            continue
        for entry in there:
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
            elif not entry.name.endswith((".json", ".zip")):
                continue
            elif entry.is_symlink():
                problems.tell(entry.path, "it is a link")
            else:
                yield from _file(entry.path, problems)


def _file(path: str, problems: _Problems) -> Iterator[tuple[str, bytes]]:
    try:
        with open_regular(Path(path)) as stream:
            if path.endswith(".zip"):
                yield from _members(path, stream, problems)
            elif content := _limited(path, stream, problems):
                yield path, content
    except OSError as error:
        problems.tell(path, error.strerror or str(error))


def _limited(name: str, stream: IO[bytes], problems: _Problems) -> bytes:
    content = stream.read(_FILE + 1)
    if len(content) > _FILE:
        problems.tell(name, f"it has more than {_FILE >> 20} MiB")
        return b""
    return content


def _members(
    path: str, stream: IO[bytes], problems: _Problems, *, alone: bool = False
) -> Iterator[tuple[str, bytes]]:
    """The JSON files of a ZIP, which is never unpacked, so that names in it mean nothing."""
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        if alone:
            cause = f"{path} is neither a directory nor a ZIP: {error}"
            raise TykkyError(cause, remedy=_REMEDY, code=Exit.DAMAGED) from None
        problems.tell(path, str(error))
        return
    size, packed = os.fstat(stream.fileno()).st_size, 0
    for member in archive.infolist():
        packed += member.compress_size
        if packed > size:  # of a few bytes, such a file makes anything
            problems.tell(path, "more is packed in it than it has bytes")
            return
        if not member.filename.endswith(".json"):
            continue
        name = f"{path}:{member.filename}"
        if member.file_size > max(_LARGE, _PACKED * member.compress_size):
            problems.tell(name, "it is packed too well to be an advisory")
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            problems.tell(name, "it is a link")
            continue
        try:
            with archive.open(member) as inside:
                content = _limited(name, inside, problems)
        # NotImplementedError: a compression that nobody knows; RuntimeError: it is encrypted.
        except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError) as e:
            problems.tell(name, str(e))
            continue
        if content:
            yield name, content


# -- one document -------------------------------------------------------------------------------


def _parsed(data: Any, wanted: Collection[tuple[str, str]]) -> Advisory:
    """An advisory from its JSON. Raises ``ValueError``."""
    data = _mapping(data, "it")
    identifier = _text(data.get("id"), "id")
    if not 0 < len(identifier) <= _VERSION:
        raise ValueError("it has no 'id'")
    affected = [_mapping(each, "affected") for each in _list(data, "affected")]
    about = [each for each in affected if _subject(each) in wanted]
    if not about:
        return Advisory(identifier, _text(data.get("modified"), "modified"))
    specific = data.get("database_specific")
    word = specific.get("severity") if isinstance(specific, dict) else None
    given = _severities(data), word
    if identifier.startswith("MAL-"):  # somebody means harm with it
        given = given[0], "critical"
    return Advisory(
        identifier,
        _text(data.get("modified"), "modified"),
        tuple(name for name in _texts(data, "aliases") if len(name) <= _VERSION),
        tuple(name for name in _texts(data, "upstream") if len(name) <= _VERSION),
        _text(data.get("summary"), "summary")[:200],
        data.get("withdrawn") is not None,
        tuple(_affected(each, *given) for each in about),
    )


def _subject(affected: Mapping[str, Any]) -> tuple[str, str]:
    """The ecosystem, without its release, and the name of a package, as it is looked for."""
    package = _mapping(affected.get("package", {}), "package")
    ecosystem = _text(package.get("ecosystem"), "ecosystem").partition(":")[0]
    name = _text(package.get("name"), "name")
    return ecosystem, canonical(name) if ECOSYSTEMS.get(ecosystem) else name


def _affected(data: Mapping[str, Any], severities: list[Severity], word: object) -> Affected:
    ecosystem, name = _subject(data)
    specific = data.get("ecosystem_specific")
    urgency = specific.get("urgency") if isinstance(specific, dict) else None
    versions = _texts(data, "versions")
    ranges = [_range(_mapping(each, "ranges")) for each in _list(data, "ranges")]
    if len(versions) > _VERSIONS or sum(len(each.events) for each in ranges) > _EVENTS:
        raise ValueError("it has more versions than any package")
    scored = worst([*_severities(data), *severities])
    words = worst(rated("", str(text)) for text in (word, urgency) if text)
    return Affected(
        ecosystem,
        name,
        data["package"]["ecosystem"].partition(":")[2],
        tuple(each for each in ranges if each.type != "GIT"),
        tuple(version for version in versions if len(version) <= _VERSION),
        scored or replace(words, vector=scored.vector),
    )


def _range(data: Mapping[str, Any]) -> Range:
    events = []
    for event in _list(data, "events"):
        for kind, version in _mapping(event, "events").items():
            if kind in _KINDS:
                if not 0 < len(_text(version, kind)) <= _VERSION:
                    raise ValueError(f"'{kind}' is no version")
                events.append((kind, version))
    return Range(_text(data.get("type"), "type"), tuple(events))


def _severities(data: Mapping[str, Any]) -> list[Severity]:
    found = [_mapping(each, "severity") for each in _list(data, "severity")]
    return [
        rated(_text(each.get("type"), "type"), _text(each.get("score"), "score")) for each in found
    ]


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"'{name}' is no table")
    return value


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    if not isinstance(value, list | None):
        raise ValueError(f"'{name}' is no list")
    return value or []


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str | None):
        raise ValueError(f"'{name}' is no text")
    return value or ""


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_text(each, name) for each in _list(data, name))

"""What a bill of materials tells of a generation, whatever format it is written in.

All of it is taken from the record and the packages beside it, so the same generation always has
the same bill.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from tykky.contents import Installed, canonical, own
from tykky.host import TIME
from tykky.inventory import purl
from tykky.inventory.licences import expression
from tykky.lock import digest_of

if TYPE_CHECKING:
    from tykky.store import Record

#: What serial numbers are made from, besides the record.
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/tykky/sbom")
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: What may be in an address as it is.
_PLAIN = "%/:?#[]@!$&'()*+,;=~"


@dataclass(frozen=True)
class Part:
    """Something that a stack consists of, or the stack itself.

    ``ref`` is what it is called within the bill, and ``requires`` names others by that. ``kind`` is
    one of the types of CycloneDX. ``license`` is as it was written, ``spdx`` the expression for it;
    ``facts`` are what no field of a format is for.
    """

    ref: str
    name: str
    version: str = ""
    kind: str = "library"
    purl: str = ""
    digests: tuple[str, ...] = ()
    license: str = ""
    spdx: str = ""
    url: str = ""
    description: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bill:
    """A bill: the stack, all that is in it, and when and by which Tykky it was built."""

    root: Part
    parts: tuple[Part, ...]
    serial: uuid.UUID
    made: datetime  # 1970, if the record does not say
    tykky: str


def of_generation(record: Record, packages: Sequence[Installed]) -> Bill:
    """The bill of a generation."""
    brought = own(packages)
    below = [each for each in packages if each.why == "base"]
    parts, beneath = _packages(brought, below)
    others = [*_base(record), *_needed(record)]
    if beneath and others:  # what it runs on, an image or a stack, is the first
        others[0] = replace(others[0], requires=_tops(beneath))
    beside = _unique([*others, *_fetched(record)], {part.ref for part in (*parts, *beneath)})
    asked = {each.name for each in brought if each.why in ("asked", "added")}
    top = (*_tops(parts, asked), *(part.ref for part in beside))
    if not others:
        top += _tops(beneath)
    module = record.module if record.has_module else record.prefix
    root = Part(
        ref=f"stack:{module}#{record.generation}",
        name=record.name,
        version=f"{record.version}{record.suffix}",
        kind="application",
        purl=purl.of_stack(record.name, f"{record.version}{record.suffix}"),
        digests=_digests(image["sha256"] for image in record.images),
        license=record.license,
        spdx=expression(record.license),
        url=_address(record.homepage),
        description=record.description,
        facts=_facts(
            spec=record.spec,
            prefix=f"{record.prefix}#{record.generation}",
            arch=record.arch,
            build=record.build,
            recipe=record.recipe.get("digest", ""),
            commit=" ".join(record.repository.get(key, "") for key in ("commit", "state")).strip(),
            lock=record.lock,
        ),
        requires=top,
    )
    identity = [record.prefix, record.generation, record.build, record.installed, record.by]
    serial = uuid.uuid5(_SPACE, digest_of([*identity, [dict(each) for each in record.images]]))
    every = tuple(sorted((*parts, *beneath, *beside), key=lambda part: part.ref))
    made = datetime(1970, 1, 1, tzinfo=timezone.utc)
    with contextlib.suppress(ValueError):
        made = datetime.strptime(record.installed, TIME).replace(tzinfo=timezone.utc)
    return Bill(root, every, serial, made, record.by.get("tykky", ""))


def _facts(**facts: str) -> dict[str, str]:
    return {f"tykky:{name}": value for name, value in facts.items() if value}


def _digests(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(digest for digest in dict.fromkeys(found) if _DIGEST.fullmatch(digest))


def _address(url: str) -> str:
    """An address without what may not be in one; a path on a disk is none."""
    return quote(url, safe=_PLAIN) if re.match(r"[a-z][a-z0-9+.-]*:", url, re.IGNORECASE) else ""


def _packages(
    brought: Sequence[Installed], below: Sequence[Installed]
) -> tuple[list[Part], list[Part]]:
    """The packages of a stack, and of what it is built on, with what each requires."""
    parts = _unique([_package(each) for each in (*brought, *below)], set())
    known: dict[tuple[bool, str, str], str] = {}
    for package, part in zip((*brought, *below), parts, strict=True):
        is_below, name = package.why == "base", canonical(package.name)
        known.setdefault((is_below, purl.kind_of(package), name), part.ref)
        known.setdefault((is_below, "", name), part.ref)
    found = []
    for package, part in zip((*brought, *below), parts, strict=True):
        # One's own come first, and among them those of the same type.
        sides = (True,) if package.why == "base" else (False, True)
        ways = [(side, kind) for side in sides for kind in (purl.kind_of(package), "")]
        keys = ([(*way, canonical(name)) for way in ways] for name in package.requires)
        refs = [next((known[key] for key in tried if key in known), "") for tried in keys]
        there = (ref for ref in dict.fromkeys(refs) if ref and ref != part.ref)
        found.append(replace(part, requires=tuple(there)))
    return found[: len(brought)], found[len(brought) :]


def _package(package: Installed) -> Part:
    spdx = package.spdx or expression(package.license)
    kept = package.license if spdx and package.license != spdx else ""
    size = str(package.size) if package.size else ""
    url = purl.of_package(package)
    return Part(
        ref=url,
        name=package.name,
        version=package.version,
        purl=url,
        digests=_digests([package.sha256]),
        license=package.license,
        spdx=spdx,
        url=_address(package.url),
        facts=_facts(
            why=package.why,
            channel=package.channel,
            source=package.source,
            size=size,
            license=kept,
        ),
    )


def _unique(parts: Sequence[Part], taken: set[str]) -> list[Part]:
    """The parts, each by a name of its own: what is there twice is counted."""
    found = []
    for part in parts:
        ref, number = part.ref, 2
        while ref in taken:
            ref, number = f"{part.ref}#{number}", number + 1
        taken.add(ref)
        found.append(replace(part, ref=ref))
    return found


def _tops(parts: Sequence[Part], asked: Iterable[str] = ()) -> tuple[str, ...]:
    """The parts from which all others are required: those ``asked`` for, and what is left."""
    wanted, by_ref = {*asked}, {part.ref: part for part in parts}
    required = {ref for part in parts for ref in part.requires}
    first = [p.ref for p in parts if p.name in wanted or p.ref not in required]
    tops, seen = [*first], set[str]()
    for start in (*first, *by_ref):
        if start not in seen and start not in first:  # of a circle
            tops.append(start)
        ahead = [start]
        while ahead:
            ref = ahead.pop()
            if ref in by_ref and ref not in seen:
                seen.add(ref)
                ahead += by_ref[ref].requires
    return tuple(tops)


def _needed(record: Record) -> Iterator[Part]:
    """The stacks that it needs, the one that it is built on first."""
    for need in record.needs:
        path, build = PurePosixPath(need.rpartition("#")[0]), record.needed.get(need, "")
        name, version = path.parent.name, path.name
        yield Part(
            ref=f"stack:{need}",
            name=name,
            version=version,
            kind="application",
            purl=purl.of_stack(name, version, build),
            facts=_facts(prefix=need, build=build),
        )


def _base(record: Record) -> Iterator[Part]:
    """What it runs on; a stack is among those that it needs."""
    name, identity, digest = (record.base.get(key, "") for key in ("name", "id", "digest"))
    if name == "host":
        system, _, version = identity.rpartition("-")
        yield Part(f"base:{identity}", system or identity, version, "operating-system")
    elif name and not name.startswith("stack:"):
        is_file = PurePosixPath(name).suffix in (".sif", ".simg", ".sqfs", ".img")
        yield Part(
            ref=f"base:{name}",
            name=name,
            kind="container",
            purl=purl.of_image(name, digest),
            digests=_digests([digest] if is_file else []),
            facts=_facts(digest=digest, system=identity),
        )


def _fetched(record: Record) -> Iterator[Part]:
    """The files that were downloaded besides packages."""
    for file in record.fetched:
        name, url, sha256 = (str(file.get(key, "")) for key in ("name", "url", "sha256"))
        url, address = _address(url), purl.of_file(name, url, sha256)
        size = _facts(size=str(file.get("bytes", "")))
        yield Part(address, name, "", "file", address, _digests([sha256]), url=url, facts=size)

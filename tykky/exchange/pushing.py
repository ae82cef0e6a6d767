"""An install as an artifact, and that into a registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console
from tykky.bases import cache
from tykky.errors import Exit, StoreError, explained
from tykky.exchange import plain, registries, upload
from tykky.exchange.artifact import (
    FILE,
    IMAGE,
    INSTALL,
    RECORD,
    ROOT,
    Artifact,
    Part,
    build_tag,
    read,
    tag_of,
    told_of,
)
from tykky.exchange.registries import Registry
from tykky.files import digest_file
from tykky.store import Place, Record, signatures
from tykky.store import record as records

if TYPE_CHECKING:
    from tykky.config import Config

#: What a pushed record calls the folder of the image that it runs on.
ROOTS = "/bases"
#: What a part tells of such an image: its settings, as JSON.
SETTINGS = "org.tykky.settings"


@dataclass(frozen=True)
class Sent:
    """What was pushed: how many bytes went, and how many were there already; the manifest's sha256.

    ``by`` is whose signature it has, if that is known.
    """

    module: str
    name: str
    digest: str
    sent: int = 0
    there: int = 0
    tags: tuple[str, ...] = ()


def needed(record: Record) -> Iterator[Record]:
    """The generations that one needs, those first that others of them need.

    Raises ``StoreError`` if one is not there as it was.
    """
    for need in record.needs:
        prefix, _, number = need.rpartition("#")
        found = Place(Path(prefix)).record(int(number))
        if found.build != record.needed.get(need, found.build):
            cause = f"{record.title} needs {need}, which is not what it was"
            raise StoreError(cause, remedy="install it again", code=Exit.DAMAGED)
        yield from needed(found)
        yield found


def artifact_of(record: Record, config: Config, sign: signatures.Signer | None) -> Artifact:
    """An install as it may leave this machine, signed anew. Raises ``TykkyError``."""
    if not record.has_module:
        raise StoreError(
            f"{record.prefix} was made by a classic command, which keeps no recipe",
            remedy="copy it with 'rsync -al': it may lie anywhere",
            code=Exit.USAGE,
        )
    here, homes = Place(Path(record.prefix)), plain.Homes.of(record)
    parts, notes = plain.beside(record, homes), dict[str, str]()
    for part in parts:
        if part.kind == FILE:
            notes[part.title] = f"644 0 {part.sha256}"
            continue
        for name, (data, is_program) in plain.unpacked(part.data, record.title).items():
            mode = "755" if is_program else "644"
            notes[name] = f"{mode} 0 {Part.of(data, FILE).sha256}"
            notes |= {str(p): "755 0 folder" for p in Path(name).parents if p != Path()}
    layers = []
    for image in record.originals:
        path = here.images / image["file"]
        if not path.is_file() or path.stat().st_size != image["bytes"]:
            cause = f"{path} is missing or is not what was installed"
            remedy = f"'tykky verify {record.title}' says what brings it back"
            raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
        layers.append(Part(IMAGE, image["sha256"], image["bytes"], image["file"], path))
    bare = plain.record_of(record, homes, notes)
    if root := _root(record, config):
        layers.append(root)
        launch = {**bare.launch, "root": f"{ROOTS}/{root.title}"}
        bare = replace(bare, launch=launch, base={**bare.base, "image": root.sha256})
    data = records.render(bare)
    plain.check("the record", data, homes, record.title)
    if sign is not None:
        parts.insert(0, Part.of(sign(data), FILE, signatures.NAME))
    config_part = Part.of(data, RECORD, records.NAME)
    return Artifact(INSTALL, config_part, (*layers, *parts), told_of(bare))


def _root(record: Record, config: Config) -> Part | None:
    """The image that an install runs on, which goes with it."""
    path = Path(str(record.launch.get("root") or ""))
    if not path.is_file():
        return None
    pulled = cache.by_digest(config, record.base.get("digest", ""))
    if pulled is not None and cache.file_of(config, pulled) != path:
        pulled = None
    with explained(f"read {path}"):
        size = path.stat().st_size
        digest = pulled.sha256 if pulled and pulled.bytes == size else digest_file(path)
    suffix = "sif" if path.suffix == ".sif" else "sqfs"
    name = cache.name_of(record.base.get("digest", "") or digest, suffix)
    told = {SETTINGS: json.dumps(dict(pulled.config))} if pulled and pulled.config else {}
    return Part(ROOT, digest, size, name, path, notes=told)


@dataclass
class Pusher:
    """Pushes installs to one registry; what it has seen there is not sent twice."""

    registry: Registry
    config: Config
    sign: signatures.Signer | None
    #: In which repository a part is, as far as it is known.
    known: dict[str, str] = field(default_factory=dict)

    def push(self, record: Record, say: Callable[[str], None]) -> Sent:
        """Push one install. Raises ``TykkyError``; then its names mean what they did before."""
        made = artifact_of(record, self.config, self.sign)
        tags = (tag_of(f"{record.version}{record.suffix}", record.arch), build_tag(record.build))
        session = self.registry.session(record.name)
        there = registries.manifest(session, tags[0])
        name = f"{self.registry.path}/{record.name}:{tags[0]}"
        if there and (old := self._same(there, made, name)):
            return Sent(record.module, name, old, 0, made.size)
        parts = {part.sha256: part for part in (*made.layers, made.config)}.values()
        sent = 0
        for number, part in enumerate(parts, 1):
            shown = f"part {number} of {len(parts)}"
            say(shown)
            mounts = {self.known.get(part.sha256, session.repository)} - {session.repository}

            def tell(text: str, shown: str = shown) -> None:
                say(f"{shown}, {text}")

            sent += upload.part(session, part, self.config.cache_dir, tell, mounts)
            self.known[part.sha256] = session.repository
        text = made.manifest()
        upload.manifest(session, text, reversed(tags))
        digest = Part.of(text, "").digest
        return Sent(record.module, name, digest, sent, max(0, made.size - sent), tags)

    def _same(self, text: bytes, made: Artifact, name: str) -> str:
        """The digest of what is there, if it is the same, signed or not to be."""
        old = read(text, name)
        files = [
            {(p.sha256, p.title) for p in a.layers if p.title != signatures.NAME}
            for a in (old, made)
        ]
        signed = any(part.title == signatures.NAME for part in old.layers)
        same = old.config.sha256 == made.config.sha256 and files[0] == files[1]
        return Part.of(text, "").digest if same and (signed or self.sign is None) else ""


def title_of(sent: Sent) -> str:
    """What was pushed, for people."""
    if not sent.tags:
        return f"{sent.module} is there already: {sent.name}"
    return f"{console.size(sent.sent)} sent, {console.size(sent.there)} there already: {sent.name}"

"""Artifacts in one file, for networks that nothing is pulled into.

The file is an archive of an OCI layout, which other programs read, too (``skopeo``, ``oras``), with
a signature of its index: the index has the digests of the manifests, these of all else.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import fetch
from tykky.errors import Exit, StoreError, explained
from tykky.exchange.artifact import MANIFEST, MOST, Artifact, Part
from tykky.files import digest_file, parse_json, replacing, usual_mode
from tykky.store import signatures

if TYPE_CHECKING:
    from tykky.config import Config

_INDEX, _LAYOUT = "index.json", "oci-layout"
#: What gives a manifest in a layout its name: here ``<name>:<tag>``; and its second tag.
_REFERENCE = "org.opencontainers.image.ref.name"
_ALSO = "org.tykky.tags"
_BLOCK = 1 << 20
#: What something that is of another kind than it should be leads to.
_NONE = (TypeError, AttributeError)


@dataclass(frozen=True)
class Named:
    """An artifact with the name and the tags by which it is found."""

    name: str
    tags: Sequence[str]
    artifact: Artifact


def write(
    path: Path,
    artifacts: Sequence[Named],
    sign: signatures.Signer | None,
    say: Callable[[str], None],
) -> int:
    """Write artifacts into one file; its size. Raises ``TykkyError``; then there is none."""
    entries, parts = [], dict[str, Part]()
    for named in artifacts:
        text = Part.of(named.artifact.manifest(), MANIFEST)
        notes = {_REFERENCE: f"{named.name}:{named.tags[0]}", _ALSO: " ".join(named.tags)}
        about = {"artifactType": named.artifact.kind, "annotations": notes}
        entries.append({**text.descriptor, **about})
        for part in (text, named.artifact.config, *named.artifact.layers):
            parts.setdefault(part.sha256, part)
    told = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    index = json.dumps({**told, "manifests": entries}, indent=1).encode()
    with explained(f"write {path}", "-o"), replacing(path) as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            _add(archive, _LAYOUT, b'{"imageLayoutVersion": "1.0.0"}')
            _add(archive, _INDEX, index)
            if sign is not None:
                _add(archive, signatures.NAME, sign(index))
            for number, part in enumerate(parts.values(), 1):
                say(f"part {number} of {len(parts)}")
                _add_part(archive, part)
        os.fchmod(stream.fileno(), usual_mode(0o666))
        return stream.tell()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))


def _add_part(archive: tarfile.TarFile, part: Part) -> None:
    """Add a part that is what it was when its digest was noted. Raises ``StoreError``."""
    name = f"blobs/sha256/{part.sha256}"
    if part.path is None:
        _add(archive, name, part.data)
        return
    info = tarfile.TarInfo(name)
    info.size, info.mode = part.size, 0o644
    with part.path.open("rb") as stream:
        reading = _Reading(stream, hashlib.sha256())
        archive.addfile(info, reading)
    if reading.digest.hexdigest() != part.sha256:
        raise StoreError(
            f"{part.path} is not what was installed: its sha256 is {reading.digest.hexdigest()}",
            remedy="'tykky verify' says what brings it back",
            code=Exit.DAMAGED,
        )


class _Reading(io.RawIOBase):
    """A stream of which the digest is made while it is read."""

    def __init__(self, stream: Any, digest: Any) -> None:
        self.stream, self.digest = stream, digest

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data: bytes = self.stream.read(size)
        self.digest.update(data)
        return data


@dataclass(frozen=True)
class Archive:
    """A file of artifacts as a source; ``entries`` are what its index says."""

    path: Path
    config: Config
    stream: tarfile.TarFile
    entries: Sequence[Mapping[str, Any]]
    index: bytes
    signature: bytes | None

    @property
    def title(self) -> str:
        """The file."""
        return str(self.path)

    def named(self) -> Iterator[tuple[str, str, bytes]]:
        """Each artifact: its name, its first tag, its manifest. Raises ``StoreError``."""
        for entry in self.entries:
            name, _, tag = entry["annotations"][_REFERENCE].partition(":")
            yield name, tag, self._blob(str(entry["digest"]).removeprefix("sha256:"))

    def manifest(self, name: str, tag: str) -> bytes | None:
        """The manifest of a stack by a tag, if there is one."""
        for entry in self.entries:
            notes = entry["annotations"]
            same = notes[_REFERENCE].partition(":")[0] == name
            if same and tag in str(notes.get(_ALSO, "")).split():
                return self._blob(str(entry["digest"]).removeprefix("sha256:"))
        return None

    def _blob(self, sha256: str) -> bytes:
        data = _small(self.stream, f"blobs/sha256/{sha256}", self.path)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise _damaged(self.path, f"a manifest has another sha256 than {sha256}")
        return data

    def fetch(self, name: str, part: Part, say: fetch.Say, cache: Path | None = None) -> Path:
        """A part in the cache of downloads, or in another one, whole. Raises ``TykkyError``."""
        cache = cache or self.config.cache_dir
        kept = cache / "downloads" / part.sha256
        if fetch.kept(part.sha256, cache) is not None:
            return kept
        say(f"unpacking {part.title or part.sha256[:12]}")
        new = kept.with_name(f".{part.sha256}.{secrets.token_hex(4)}")
        with explained(f"unpack {self.path}", "cache_dir"):
            kept.parent.mkdir(parents=True, exist_ok=True)
            try:
                blob = f"blobs/sha256/{part.sha256}"
                with (
                    _open(self.stream, blob, self.path, part.size) as source,
                    new.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target, _BLOCK)
                if (found := digest_file(new)) != part.sha256:
                    raise _damaged(self.path, f"{part.title or 'a part'} has the sha256 {found}")
                return new.replace(kept)
            finally:
                new.unlink(missing_ok=True)


@contextmanager
def reading(path: Path, config: Config) -> Iterator[Archive]:
    """A file that ``write`` has made. Raises ``StoreError`` if it is none, or not a whole one."""
    with contextlib.ExitStack() as stack:
        with explained(f"read {path}"):
            try:
                stream = stack.enter_context(tarfile.open(path, "r:"))
                index = _small(stream, _INDEX, path)
                signed = signatures.NAME in stream.getnames()
                signature = _small(stream, signatures.NAME, path) if signed else None
                entries = parse_json(index)["manifests"]
                for entry in entries:
                    entry["annotations"][_REFERENCE].index(":"), entry["digest"]
            except (tarfile.TarError, EOFError) as error:
                raise _damaged(path, str(error).partition("\n")[0]) from error
            except (ValueError, LookupError, *_NONE) as error:
                raise _damaged(path, "its index does not say what is in it") from error
        yield Archive(path, config, stream, entries, index, signature)


@contextmanager
def _open(stream: tarfile.TarFile, name: str, path: Path, size: int = -1) -> Iterator[Any]:
    try:
        info = stream.getmember(name)
        # A sparse file of a few bytes would fill the disk.
        opened = stream.extractfile(info) if info.isreg() and not info.issparse() else None
    except KeyError:
        opened = None
    if opened is None or size not in (-1, info.size):
        raise _damaged(path, f"it has no {name}, or not of that size")
    with opened:
        yield opened


def _small(stream: tarfile.TarFile, name: str, path: Path) -> bytes:
    with _open(stream, name, path) as opened:
        data: bytes = opened.read(MOST)
        return data


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is nothing that 'tykky bundle' has made, or not whole: {why}",
        remedy="copy it again from where it was made, and compare: sha256sum FILE",
        code=Exit.DAMAGED,
    )

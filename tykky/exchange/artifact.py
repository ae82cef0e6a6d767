"""An install as an OCI artifact: what it consists of, and the names by which it is found.

::

    <registry>/<path>/<name>:<version><suffix>-<arch>     what was pushed last of a version
    <registry>/<path>/<name>:build-<build digest>         the same contents, whoever wants them

    config                record.json, which has the digests of all else
    layers                the images, the lowest first; the image that it runs on, if there is one
                          the signature, lock.json, packages.json, sbom.cdx.json, files.gz
                          recipe.tar

Each layer has the name of its file as its title, so that ``oras pull`` writes these files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tykky.errors import Exit, StepError, TykkyError
from tykky.files import parse_json
from tykky.repos.loading import is_name
from tykky.store import Record

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INSTALL = "application/vnd.tykky.install.v1+json"
RECORD = "application/vnd.tykky.record.v1+json"
#: A squashfs; the image that it runs on, in whatever form; a file and a folder of a generation.
IMAGE = "application/vnd.tykky.image.v1.squashfs"
ROOT = "application/vnd.tykky.root.v1"
FILE = "application/vnd.tykky.file.v1"
FOLDER = "application/vnd.tykky.folder.v1.tar"
#: What builds installs: see :mod:`tykky.exchange.inputs`.
INPUTS = "application/vnd.tykky.inputs.v1+json"
INPUT = "application/vnd.tykky.input.v1"

TITLE = "org.opencontainers.image.title"
#: More than any record or list of files has, in bytes.
MOST = 1 << 28
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")


@dataclass(frozen=True)
class Part:
    """One part of an artifact: its kind, digest and size, and where it is if it is here."""

    kind: str
    sha256: str
    size: int
    title: str = ""
    path: Path | None = None
    data: bytes = b""
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes, kind: str, title: str = "") -> Part:
        """A part that is small."""
        return cls(kind, hashlib.sha256(data).hexdigest(), len(data), title, data=data)

    @property
    def digest(self) -> str:
        """The name that registries know it by."""
        return f"sha256:{self.sha256}"

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a manifest speaks of it."""
        notes = {**({TITLE: self.title} if self.title else {}), **self.notes}
        named = {"annotations": notes} if notes else {}
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size, **named}


@dataclass(frozen=True)
class Artifact:
    """The parts of an artifact; ``notes`` are its annotations."""

    kind: str
    config: Part
    layers: Sequence[Part]
    notes: Mapping[str, str] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Part]:
        """The layers of one kind, in order."""
        return [part for part in self.layers if part.kind == kind]

    @property
    def size(self) -> int:
        """The size of everything."""
        return self.config.size + sum(part.size for part in self.layers)

    def manifest(self) -> bytes:
        """The text that names all parts."""
        text = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": self.kind,
            "config": self.config.descriptor,
            "layers": [part.descriptor for part in self.layers],
            "annotations": dict(self.notes),
        }
        return json.dumps(text, indent=1).encode()


def read(text: bytes, what: str) -> Artifact:
    """The artifact of a manifest. Raises ``StepError`` if it is none that Tykky has made."""
    try:
        found = parse_json(text)
        config, layers = _part(found["config"]), [_part(each) for each in found["layers"]]
        kind = {RECORD: INSTALL, INPUTS: INPUTS}[config.kind]
        notes = found.get("annotations") or {}
        return Artifact(kind, config, layers, {str(k): str(v) for k, v in notes.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StepError(
            f"{what} is nothing that 'tykky push' or 'tykky bundle' has made",
            remedy="images of containers are pulled by 'tykky base pull'; or check the name",
            code=Exit.NOT_FOUND,
        ) from None


def _part(told: Mapping[str, Any]) -> Part:
    found = re.fullmatch(r"sha256:([0-9a-f]{64})", told["digest"])
    size, notes = told["size"], told.get("annotations") or {}
    if not found or type(size) is not int or size < 0:
        raise ValueError("is no descriptor")
    rest = {str(key): str(value) for key, value in notes.items() if key != TITLE}
    return Part(str(told["mediaType"]), found[1], size, str(notes.get(TITLE, "")), notes=rest)


def tag_of(version: str, arch: str) -> str:
    """The tag of a version, with its suffix, for an architecture."""
    return re.sub(r"[^\w.-]", "_", f"{version}-{arch}", flags=re.ASCII)[:128]


def build_tag(build: str) -> str:
    """The tag of the contents that a build digest stands for."""
    return f"build-{build}"


def repository_of(name: str) -> str:
    """What a stack's repository is called below a registry's path. Raises ``TykkyError``."""
    if _REPOSITORY.fullmatch(name) and is_name(name):
        return name
    raise TykkyError(
        f"'{name}' cannot be the name of a repository: these end in a letter or digit, and have "
        "none but single signs between them",
        remedy="name the stack otherwise",
        code=Exit.USAGE,
    )


def told_of(record: Record) -> dict[str, str]:
    """What is told of an install to whoever lists a registry."""
    told = {
        "org.opencontainers.image.title": record.module,
        "org.opencontainers.image.version": f"{record.version}{record.suffix}",
        "org.opencontainers.image.description": record.description,
        "org.opencontainers.image.licenses": record.license,
        "org.opencontainers.image.url": record.homepage,
        "org.opencontainers.image.created": record.installed,
        "org.tykky.spec": record.spec,
        "org.tykky.arch": record.arch,
        "org.tykky.build": record.build,
        "org.tykky.prefix": record.made_with.get(record.prefix, record.prefix),
    }
    return {key: value for key, value in told.items() if value}

"""Images in registries: their digests, and their parts downloaded and verified.

The registry is asked directly (the OCI distribution protocol), so that an image is known by its
digest before anything large is downloaded, a download that breaks off is resumed, and mirrors and
errors are those of all other downloads. What the layers mean is left to programs made for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tykky import fetch
from tykky.bases.base import arch
from tykky.bases.session import Session
from tykky.errors import Exit, StepError, TykkyError
from tykky.files import parse_json

if TYPE_CHECKING:
    from tykky.config import Config

_OCI = "application/vnd.oci.image"
_INDEXES = (
    f"{_OCI}.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    f"{_OCI}.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
#: What OCI calls the layers of Docker.
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{_OCI}.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": f"{_OCI}.layer.v1.tar",
}
#: The kernel's names of architectures, and those that registries use.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Remote:
    """One image of a registry for this machine, known by its manifest.

    ``digest`` is the sha256 of the manifest in hex. ``sources`` are the registries that may have
    its parts: that with the manifest, and those after it.
    """

    sources: Sequence[Session]
    digest: str
    manifest: Mapping[str, Any]


def look_up(target: str, config: Config, digest: str = "") -> Remote:
    """The image that ``host/repository[:tag][@digest]`` names, or that ``digest`` names there.

    Mirrors of the registry are asked first. Raises ``StepError``: no such image, not for this
    architecture, no answer, a wrong digest.
    """
    host, repository, wanted = _split(target)
    if digest:
        wanted = f"sha256:{digest}"
    known = {host, "docker.io"} if host == "registry-1.docker.io" else {host}
    copies = [mirror.partition("/") for name, mirror in config.registry_mirrors if name in known]
    named = [(other, f"{folder}/{repository}".lstrip("/")) for other, _, folder in copies]
    sources = [Session(*each, config.timeout) for each in (*named, (host, repository))]

    def ask(source: Session) -> Remote:
        return _ask(sources[sources.index(source) :], target, wanted)

    try:
        return _first(sources, ask)
    except TykkyError as error:
        if target not in error.cause:
            error.cause = f"the image {target} cannot be had: {error.cause}"
        raise


def _first(
    sources: Sequence[Session], ask: Callable[[Session], _T], say: fetch.Say = lambda _: None
) -> _T:
    """What the first registry answers that can; if none, the last one's error names the first's."""
    *mirrors, last = sources
    causes = []
    for mirror in mirrors:
        try:
            return ask(mirror)
        except StepError as error:
            causes.append(error.cause)
            say(f"{error.cause}; trying the next source")
    try:
        return ask(last)
    except StepError as error:
        if not causes:
            raise
        cause = f"{error.cause}; and before: {causes[0]}"
        raise StepError(cause, remedy=error.remedy, code=error.code) from error


def _ask(sources: Sequence[Session], target: str, wanted: str) -> Remote:
    manifest_of = partial(sources[0].manifest, types=(*_INDEXES, *_MANIFESTS))
    text = manifest_of(wanted)
    manifest = _parsed(text, target)
    if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
        text = manifest_of(for_this(manifest, target))
        manifest = _parsed(text, target)
    parts = [manifest.get("config") or {}, *manifest.get("layers", ())]
    if not all(re.fullmatch(r"sha256:[0-9a-f]{64}", str(part.get("digest"))) for part in parts):
        raise StepError(
            f"the image {target} has a manifest that this Tykky does not understand",
            remedy="pull it with another program into a file, and name that: oci-archive:FILE",
            code=Exit.BASE,
        )
    return Remote(sources, hashlib.sha256(text).hexdigest(), manifest)


def _split(target: str) -> tuple[str, str, str]:
    """The registry, the repository there, and the tag or digest."""
    name, _, digest = target.partition("@")
    host, slash, repository = name.partition("/")
    if not slash or not (re.search(r"[.:]", host) or host == "localhost"):
        host, repository = "registry-1.docker.io", name
    elif host == "docker.io":
        host = "registry-1.docker.io"
    repository, _, tag = repository.partition(":")
    if host == "registry-1.docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    if not re.fullmatch(r"[a-z0-9]+([._/-]+[a-z0-9]+)*", repository):
        raise TykkyError(
            f"'{target}' is no name of an image in a registry",
            remedy="write HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:..., in small letters",
            code=Exit.BASE,
        )
    return host, repository, digest or tag or "latest"


def _parsed(text: bytes, target: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    raise StepError(
        f"the registry's answer for {target} is no manifest",
        remedy="is there a proxy or login page in between? Check the network",
        code=Exit.NETWORK,
    )


def for_this(index: Mapping[str, Any], target: str) -> str:
    """The digest of the manifest in an index that is for this machine."""
    wanted, there = _ARCHITECTURES.get(arch(), arch()), []
    for entry in index.get("manifests", ()):
        made_for = entry.get("platform") or {}
        if made_for.get("os", "linux") == "linux" and made_for.get("architecture") == wanted:
            return str(entry["digest"])
        there.append(str(made_for.get("architecture", "unknown")))
    raise wrong_arch(target, *{*there} - {"unknown"})


def wrong_arch(what: object, *there: str) -> TykkyError:
    """The error for an image that is not for this machine."""
    shown = ", ".join(sorted(map(kernel_name, there))) or "none"
    return StepError(
        f"the image {what} is not for {arch()}, but for {shown}",
        remedy=f"choose an image that was built for {arch()}, or install on another machine",
        code=Exit.BASE,
    )


def kernel_name(name: str) -> str:
    """What the kernel calls an architecture of a registry: ``x86_64`` for ``amd64``."""
    return next((ours for ours, short in _ARCHITECTURES.items() if short == name), name)


def blob(remote: Remote, part: Mapping[str, Any], config: Config, say: fetch.Say) -> Path:
    """One part of an image, verified, in the cache of downloads.

    Raises ``StepError`` if none of the registries that may have it gives it.
    """
    digest = str(part["digest"])

    def download(source: Session) -> Path:
        try:
            return fetch.fetch(
                source.blob(digest),
                digest.removeprefix("sha256:"),
                config.cache_dir,
                headers=source.headers,
                renew=source.renew,
                patience=config.timeout,
                say=say,
            )
        except StepError as error:
            if error.code is not Exit.BUILD:
                raise
            raise StepError(
                error.cause,
                remedy="the registry has the image but not this part of it: push the image "
                "again, or ask who runs the registry",
                code=Exit.BASE,
            ) from error

    return _first(remote.sources, download, say)


def layout(remote: Remote, folder: Path, config: Config, say: fetch.Say) -> list[Path]:
    """Make an OCI layout of an image in a folder, and return the downloads that it links to."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    parts = [remote.manifest["config"], *remote.manifest["layers"]]
    downloads = []
    for number, part in enumerate(parts):

        def tell(text: str, number: int = number) -> None:
            say(f"part {number + 1} of {len(parts)}, {text}")

        path = blob(remote, part, config, tell)
        downloads.append(path)
        link = blobs / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    # The manifest in OCI's words: Docker's differ in the names of types only.
    *layers, last = ({**part} for part in (*remote.manifest["layers"], remote.manifest["config"]))
    last["mediaType"] = f"{_OCI}.config.v1+json"
    for layer in layers:
        kind = str(layer.get("mediaType"))
        layer["mediaType"] = _LAYERS.get(kind, kind)
    manifest = {"schemaVersion": 2, "mediaType": _MANIFESTS[0], "config": last, "layers": layers}
    text = json.dumps(manifest).encode()
    digest = hashlib.sha256(text).hexdigest()
    (blobs / digest).write_bytes(text)
    index(folder, digest, len(text))
    return downloads


def index(folder: Path, digest: str, size: int) -> None:
    """Let a folder be an OCI layout of one image, ``latest``, by the digest of its manifest."""
    folder.mkdir(exist_ok=True)
    entry = {
        "mediaType": _MANIFESTS[0],
        "digest": f"sha256:{digest}",
        "size": size,
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

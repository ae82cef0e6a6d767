"""Images in registries: their digests, and their parts downloaded and verified.

The registry is asked directly (the OCI distribution protocol), so that an image is known by its
digest before anything large is downloaded, a download that breaks off is resumed, and mirrors and
errors are those of all other downloads. What the layers mean is left to programs made for it.

Public names: ``Remote``, ``look_up``, ``layout``, ``blob``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tykky import fetch
from tykky.bases import credentials
from tykky.errors import Exit, StepError, TykkyError

if TYPE_CHECKING:
    from tykky.config import Config

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
#: The kernel's names of architectures, and those that registries use.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
#: No manifest is larger; what claims to be is no manifest.
_MOST = 8 << 20


@dataclass(frozen=True)
class Remote:
    """One image of a registry for one architecture, known by its manifest.

    ``digest`` is the sha256 of the manifest in hex; ``bytes`` what its parts are together.
    """

    address: str
    digest: str
    text: bytes
    manifest: Mapping[str, Any]
    headers: Mapping[str, str]
    bytes: int


def look_up(target: str, arch: str, config: Config, digest: str = "") -> Remote:
    """The image that ``host/repository[:tag][@digest]`` names, or that ``digest`` names there.

    Mirrors of the registry are asked first. Raises ``StepError``: no such image, not for this
    architecture, no answer, a wrong digest.
    """
    host, repository, wanted = _split(target)
    if digest:
        wanted = f"sha256:{digest}"
    for other, name in _mirrors(host, repository, config):
        with suppress(StepError):
            return _ask(_Session(other, name, config.timeout), target, wanted, arch)
    return _ask(_Session(host, repository, config.timeout), target, wanted, arch)


def _mirrors(host: str, repository: str, config: Config) -> Iterator[tuple[str, str]]:
    """The registries, and the names there, where a site has copies."""
    known = {host, "docker.io"} if host == "registry-1.docker.io" else {host}
    for name, mirror in config.registry_mirrors:
        if name in known:
            other, _, folder = mirror.partition("/")
            yield other, f"{folder}/{repository}".lstrip("/")


def _ask(session: _Session, target: str, wanted: str, arch: str) -> Remote:
    text, headers = session.manifest(wanted)
    manifest = _parsed(text, target)
    if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
        text, headers = session.manifest(_for_arch(manifest, target, arch))
        manifest = _parsed(text, target)
    parts = [manifest.get("config") or {}, *manifest.get("layers", ())]
    if not all(re.fullmatch(r"sha256:[0-9a-f]{64}", str(part.get("digest"))) for part in parts):
        raise StepError(
            f"the image {target} has a manifest that this Tykky does not understand",
            remedy="pull it with another program into a file, and name that: oci-archive:FILE",
            code=Exit.BASE,
        )
    return Remote(
        address=session.address,
        digest=hashlib.sha256(text).hexdigest(),
        text=text,
        manifest=manifest,
        headers=headers,
        bytes=sum(int(part.get("size", 0)) for part in parts),
    )


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
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    raise StepError(
        f"the registry's answer for {target} is no manifest",
        remedy="is there a proxy or login page in between? Check the network",
        code=Exit.NETWORK,
    )


def _for_arch(index: Mapping[str, Any], target: str, arch: str) -> str:
    """The digest of the manifest in an index that is for an architecture."""
    wanted, there = _ARCHITECTURES.get(arch, arch), []
    for entry in index.get("manifests", ()):
        made_for = entry.get("platform") or {}
        if made_for.get("os", "linux") == "linux" and made_for.get("architecture") == wanted:
            return str(entry["digest"])
        there.append(str(made_for.get("architecture", "unknown")))
    raise wrong_arch(target, arch, ", ".join(sorted(set(there) - {"unknown"})) or "none")


def wrong_arch(what: object, arch: str, there: str) -> TykkyError:
    """The error for an image that is not for this machine."""
    shown = ", ".join(map(kernel_name, there.split(", ")))
    return StepError(
        f"the image {what} is not for {arch}, but for {shown}",
        remedy=f"choose an image that was built for {arch}, or install on another machine",
        code=Exit.BASE,
    )


def kernel_name(arch: str) -> str:
    """What the kernel calls an architecture of a registry: ``x86_64`` for ``amd64``."""
    return next((name for name, short in _ARCHITECTURES.items() if short == arch), arch)


class _Session:
    """One repository of a registry, with the token that it asks for."""

    def __init__(self, host: str, repository: str, patience: int) -> None:
        scheme = "http" if _is_local(host) else "https"
        self.host = host
        self.repository = repository
        self.patience = patience
        self.address = f"{scheme}://{host}/v2/{repository}"
        self.token: dict[str, str] = {}
        self.known: credentials.Credentials | None = None

    def manifest(self, name: str) -> tuple[bytes, dict[str, str]]:
        """The text of a manifest by tag or digest, and the headers that its parts need."""
        url = f"{self.address}/manifests/{name}"
        accept = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
        answer = self._get(url, {**accept, **self.token})
        if answer.status == 401 and not self.token:
            self.token = self._log_in(answer, url)
            answer = self._get(url, {**accept, **self.token})
        if answer.status != 200:
            raise self._refused(answer, url)
        found = hashlib.sha256(answer.content).hexdigest()
        if name.startswith("sha256:") and name != f"sha256:{found}":
            raise StepError(
                f"{url} is not what was asked for: its sha256 is {found} instead of {name[7:]}",
                remedy="the registry is damaged or not to be trusted; ask who runs it",
                code=Exit.DAMAGED,
            )
        return answer.content, self.token

    def _log_in(self, answer: _Answer, url: str) -> dict[str, str]:
        """The header that the registry's answer asks for: a password, or a token for one."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        self.known = credentials.find(self.host, self.repository)
        if challenge.lower().startswith("basic ") and self.known:
            return self.known.header
        if not challenge.lower().startswith("bearer ") or "realm" not in words:
            raise self._refused(answer, url)
        realm = words.pop("realm")
        query = {"service": words.get("service", ""), "scope": words.get("scope", "")}
        # Who has no password, or would have to send it in the clear, reads what anybody may.
        safe = realm.startswith("https://") or _is_local(urlsplit(realm).netloc)
        given = self._get(realm, self.known.header if self.known and safe else {}, query)
        if given.status != 200:
            raise self._refused(given, url)
        values = _parsed(given.content, self.repository)
        return {"Authorization": f"Bearer {values.get('token') or values.get('access_token', '')}"}

    def _get(
        self, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> _Answer:
        import requests
        from urllib3.exceptions import HTTPError

        timeout = (fetch.CONNECT, self.patience)
        try:
            with requests.get(
                url, headers=headers, params=query, timeout=timeout, stream=True
            ) as answer:
                content = answer.raw.read(_MOST, decode_content=True)
                return _Answer(answer.status_code, answer.reason, answer.headers, content)
        except (requests.RequestException, HTTPError) as error:
            why = fetch.reason(error, self.patience)
            raise fetch.unreachable(
                url, why, silent=fetch.is_silence(error), mirrors="registry_mirrors"
            ) from error

    def _refused(self, answer: _Answer, url: str) -> TykkyError:
        status = answer.status
        cause = f"the registry does not give {url}: it answers {status} {answer.reason}"
        if status == 404:
            return StepError(
                cause, remedy="check the name and the tag of the image", code=Exit.BASE
            )
        if status not in (401, 403):
            remedy = "try again later, or ask who runs the registry"
            return StepError(cause, remedy=remedy, code=Exit.NETWORK)
        if self.known:
            return StepError(
                f"{cause} to '{self.known.user}' of {self.known.source}",
                remedy="check the name of the image and whether that user may read it; as "
                f"somebody else, or with a new password: podman login {self.host}",
                code=Exit.BASE,
            )
        return StepError(
            cause,
            remedy="the image is not public, or there is none of that name; if you may read it: "
            f"podman login {self.host} (docker, skopeo or apptainer do, too)",
            code=Exit.BASE,
        )


def _is_local(host: str) -> bool:
    """Whether a registry is on this machine, where plain http is usual and harmless."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class _Answer:
    """A registry's whole answer."""

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


def blob(remote: Remote, part: Mapping[str, Any], config: Config, say: fetch.Say) -> Path:
    """One part of an image, verified, in the cache of downloads."""
    digest = str(part["digest"])
    return fetch.fetch(
        f"{remote.address}/blobs/{digest}",
        digest.removeprefix("sha256:"),
        config.cache_dir,
        headers=remote.headers,
        patience=config.timeout,
        say=say,
    )


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
    text = _as_oci(remote)
    digest = hashlib.sha256(text).hexdigest()
    (blobs / digest).write_bytes(text)
    entry = {
        "mediaType": _MANIFESTS[0],
        "digest": f"sha256:{digest}",
        "size": len(text),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    index = {"schemaVersion": 2, "manifests": [entry]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return downloads


def _as_oci(remote: Remote) -> bytes:
    """The manifest in OCI's words: Docker's differ in the names of types only."""
    types = {
        "application/vnd.docker.image.rootfs.diff.tar.gzip": "tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar": "tar",
    }
    start = "application/vnd.oci.image"
    layers = []
    for part in remote.manifest["layers"]:
        kind = types.get(str(part.get("mediaType")))
        layers.append({**part, "mediaType": f"{start}.layer.v1.{kind}"} if kind else part)
    config = {**remote.manifest["config"], "mediaType": f"{start}.config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": _MANIFESTS[0], "config": config, "layers": layers}
    return json.dumps(manifest).encode()

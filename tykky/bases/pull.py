"""Pulling: from a registry, an archive or a definition to one image file in the cache.

Parts of images are downloaded and verified here; layers are put on top of each other by programs
made for it: ``apptainer build`` (the result is a SIF), else ``umoci`` (a squashfs).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import fetch
from tykky.bases import cache, debian, registry
from tykky.bases.base import arch
from tykky.bases.cache import Pulled
from tykky.bases.image import open_image, settings_of
from tykky.bases.reference import changed, unreadable
from tykky.bases.stacks import find_stack
from tykky.errors import Exit, StepError, ToolError, TykkyError, from_os_error
from tykky.files import digest_file
from tykky.lock import digest_of

if TYPE_CHECKING:
    from tykky.bases.reference import Reference
    from tykky.bases.registry import Remote
    from tykky.config import Config

_SIF_LAYER = "application/vnd.sylabs.sif.layer.v1.sif"


def identify(reference: Reference, config: Config) -> str:
    """The digest by which a base is known; only a registry's name asks the network.

    A name that was pulled before means what it meant then. Raises ``TykkyError``.
    """
    if reference.scheme == "stack":
        return find_stack(reference.target, config).build
    if reference.scheme == "path" and reference.path.is_dir():
        # A directory may change at any time; its name is all that stays.
        return digest_of(["directory", reference.target])
    if reference.scheme in ("docker", "oras"):
        pulled = cache.by_reference(config, str(reference))
        return pulled.digest if pulled else registry.look_up(reference.target, config).digest
    if reference.scheme == "debian":
        return debian.read(reference.path).digest()
    try:
        return digest_file(reference.path)
    except OSError as error:
        raise unreadable(f"the base {reference}", error) from error


def pull(
    reference: Reference,
    config: Config,
    say: fetch.Say,
    digest: str = "",
    *,
    again: bool = False,
) -> Pulled:
    """Pull what a reference means now (or meant, by ``digest``), unless it is there.

    With ``again``, an image that is there is made anew if its file is not what it was.

    Raises ``TykkyError``; then nothing has changed but for downloads that can be resumed.
    """
    remote = None
    if reference.scheme in ("docker", "oras"):
        remote = registry.look_up(reference.target, config, digest)
        found = remote.digest
    else:
        found = identify(reference, config)
    if digest and found != digest:
        raise changed(reference, found, digest)
    with cache.claim(config, found) as new:
        pulled = cache.by_digest(config, found)
        before = pulled.references if pulled else ()
        names = tuple(dict.fromkeys((*before, str(reference))))
        if pulled is None or (again and cache.problem_of(config, pulled)):
            pulled = _make(reference, names, remote, found, new, config, say)
        elif names != before:
            pulled = replace(pulled, references=names)
            cache.describe(config, pulled)
    return pulled


def _make(
    reference: Reference,
    names: tuple[str, ...],
    remote: Remote | None,
    digest: str,
    new: Path,
    config: Config,
    say: fetch.Say,
) -> Pulled:
    downloads: list[Path] = []
    settings: Mapping[str, Any] = {}
    try:
        with _scratch(config) as scratch:
            if remote is not None and reference.scheme == "oras":
                downloads = [_sif_layer(remote, reference, config, say)]
                shutil.copyfile(downloads[0], new)
                suffix = "sif"
            elif remote is not None:
                downloads = registry.layout(remote, scratch / "layout", config, say)
                settings = _settings(_parsed(downloads[0], reference), reference)
                suffix = _unpack(f"oci:{scratch}/layout", new, scratch, config, say)
            elif reference.scheme == "debian":
                debian.build(reference.path, new, scratch, config, say)
                suffix = "sqfs"
            else:
                settings = _settings(_archived(reference), reference)
                suffix = _unpack(f"{reference.scheme}:{reference.path}", new, scratch, config, say)
    except OSError as error:
        raise from_os_error(error, f"pull {reference}") from error
    image = open_image(new)
    if image.arch not in ("", arch()):
        raise registry.wrong_arch(reference, image.arch)
    say("a digest of the whole image")
    pulled = Pulled(
        references=names,
        digest=digest,
        file=cache.name_of(digest, suffix),
        sha256=digest_file(new),
        bytes=image.bytes,
        arch=arch(),
        pulled=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        config=settings or image.config,
    )
    cache.keep(config, new, pulled)
    for path in downloads:
        path.unlink(missing_ok=True)
    return pulled


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    from tykky.tools.scratch import Scratch

    scratch = Scratch(config.build_dir / secrets.token_hex(8))
    with scratch.held():
        yield scratch.top


def _parsed(path: Path, reference: Reference) -> Mapping[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise StepError(
            f"the configuration of the image {reference} is damaged: {error}",
            remedy="the image was pushed so; ask who made it",
            code=Exit.DAMAGED,
        ) from error


def _archived(reference: Reference) -> dict[str, Any]:
    """The configuration of the image in an ``oci-archive`` or ``docker-archive``."""
    kind, path = reference.scheme, reference.path
    try:
        with tarfile.open(path) as archive:
            if kind == "docker-archive":
                name = _load(archive, "manifest.json")[0]["Config"]
            else:
                found = _load(archive, "index.json")
                while "config" not in found:  # an index may lead to another one
                    found = _load(archive, _blob(found["manifests"][0]["digest"]))
                name = _blob(found["config"]["digest"])
            return dict(_load(archive, name))
    except OSError as error:
        raise unreadable(f"the archive {path}", error) from error
    except (tarfile.TarError, EOFError, KeyError, IndexError, TypeError, ValueError) as error:
        # Of a file that is no archive at all, every form that was tried is told in a line.
        why = str(error).strip().partition("\n")[0].removesuffix(":") or "it ends early"
        raise TykkyError(
            f"{path} is no {kind}, or not a whole one: {why}",
            remedy="write it again: skopeo copy SOURCE oci-archive:FILE",
            code=Exit.DAMAGED,
        ) from error


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _load(archive: tarfile.TarFile, name: str) -> Any:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is no file")
    with stream:
        return json.loads(stream.read(8 << 20))


def _settings(said: Mapping[str, Any], reference: Reference) -> Mapping[str, Any]:
    """What the configuration of an image says of its environment; it names the machine, too."""
    made_for = str(said.get("architecture", ""))
    if made_for and registry.kernel_name(made_for) != arch():
        raise registry.wrong_arch(reference, made_for)
    return settings_of(said)


def _sif_layer(remote: Remote, reference: Reference, config: Config, say: fetch.Say) -> Path:
    layers = [part for part in remote.manifest["layers"] if part.get("mediaType") == _SIF_LAYER]
    if len(layers) != 1:
        raise StepError(
            f"{reference} is no image in SIF format",
            remedy=f"if it is an ordinary container image, write docker://{reference.target}",
            code=Exit.BASE,
        )
    return registry.blob(remote, layers[0], config, say)


def _unpack(source: str, new: Path, scratch: Path, config: Config, say: fetch.Say) -> str:
    """Make an image file of layers with the program that this machine has; its suffix."""
    say("putting the layers together")
    program = shutil.which("apptainer") or shutil.which("singularity")
    if program:
        line = [program, "--silent", "build", "--force", "--disable-cache", str(new), source]
        _run(line, scratch)
        return "sif"
    layout = source.removeprefix("oci:")
    if not source.startswith("oci:"):
        layout = str(scratch / "layout")
        _run(["skopeo", "copy", "--quiet", source, f"oci:{layout}:latest"], scratch)
    line = ["umoci", "unpack", "--rootless", "--image", f"{layout}:latest", str(scratch / "bundle")]
    _run(line, scratch)
    debian.pack(scratch / "bundle/rootfs", new, config)
    return "sqfs"


def _run(line: list[str], scratch: Path) -> None:
    """Run a program that unpacks images. Raises ``ToolError`` or ``StepError``."""
    temporary = str(scratch)
    variables = {name: os.environ[name] for name in ("PATH", "HOME", "USER") if name in os.environ}
    variables |= {"TMPDIR": temporary, "LANG": "C.UTF-8"}
    variables |= {"APPTAINER_TMPDIR": temporary, "SINGULARITY_TMPDIR": temporary}
    if not shutil.which(line[0]):
        raise ToolError(
            f"this machine has neither apptainer nor {Path(line[0]).name}, one of which is needed "
            "to unpack container images",
            remedy="install apptainer, or umoci and skopeo; or pull on a machine that has it and "
            "name the SIF",
        )
    debian.run(line, variables, "is the archive whole, and of the kind that its name says?")

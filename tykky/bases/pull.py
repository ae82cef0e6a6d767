"""Pulling: from a registry, an archive or a definition to one image file in the cache.

Parts of images are downloaded and verified here; layers are put on top of each other by programs
made for it: ``apptainer build`` (the result is a SIF), else ``umoci`` (a squashfs).
"""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
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
from tykky.files import digest_file, parse_json, read_json
from tykky.lock import digest_of

if TYPE_CHECKING:
    from tykky.bases.reference import Reference
    from tykky.bases.registry import Remote
    from tykky.config import Config

_SIF_LAYER = "application/vnd.sylabs.sif.layer.v1.sif"
#: What gives an image in an OCI layout its name.
_TAG = "org.opencontainers.image.ref.name"


def identify(reference: Reference, config: Config, *, again: bool = False) -> str:
    """The digest by which a base is known; only a registry's name asks the network.

    A name that was pulled before means what it meant then, unless it is asked ``again``. Raises
    ``TykkyError``.
    """
    if reference.scheme == "stack":
        return find_stack(reference.target, config).build
    if reference.scheme == "path" and reference.path.is_dir():
        # A directory may change at any time; its name is all that stays.
        return digest_of(["directory", reference.target])
    if reference.scheme in ("docker", "oras"):
        pulled = None if again else cache.by_reference(config, str(reference))
        return pulled.digest if pulled else registry.look_up(reference.target, config).digest
    if reference.scheme == "debian":
        return debian.read(reference.path).digest()
    if reference.scheme == "oci":
        with _parts(reference) as load:
            return _manifest(load, reference)[0]
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
                with _parts(reference) as load:
                    settings = _settings(_configuration(load, reference), reference)
                source = str(reference)
                if reference.scheme == "oci":
                    source = f"oci:{_one_of(reference, digest, scratch / 'layout')}"
                suffix = _unpack(source, new, scratch, config, say)
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
        return dict(read_json(path))
    except (ValueError, TypeError) as error:
        raise StepError(
            f"the configuration of the image {reference} is damaged: {error}",
            remedy="the image was pushed so; ask who made it",
            code=Exit.DAMAGED,
        ) from error


@contextmanager
def _parts(reference: Reference) -> Iterator[Callable[[str], Any]]:
    """What reads a part of the image in an archive or a layout, by the name that it has there."""
    kind, path = reference.scheme, _folder_and_tag(reference)[0]
    try:
        if kind == "oci":
            yield lambda name: read_json(path / name)
        else:
            with tarfile.open(path) as archive:
                yield partial(_load, archive)
    except OSError as error:
        raise unreadable(f"the {'image' if kind == 'oci' else 'archive'} {path}", error) from error
    except (tarfile.TarError, EOFError, KeyError, IndexError, TypeError, ValueError) as error:
        # Of a file that is no archive at all, every form that was tried is told in a line.
        why = str(error).strip().partition("\n")[0].removesuffix(":") or "it ends early"
        raise TykkyError(
            f"{path} is no {kind}, or not a whole one: {why}",
            remedy="write it again: skopeo copy SOURCE oci-archive:FILE",
            code=Exit.DAMAGED,
        ) from error


def _folder_and_tag(reference: Reference) -> tuple[Path, str]:
    """Where an image is on disk, and which of those that are there."""
    folder, colon, tag = reference.target.rpartition(":")
    if reference.scheme != "oci" or not colon or reference.path.is_dir() or "/" in tag:
        return reference.path, ""
    return Path(folder), tag


def _configuration(load: Callable[[str], Any], reference: Reference) -> dict[str, Any]:
    """What an image says of itself."""
    if reference.scheme == "docker-archive":
        return dict(load(load("manifest.json")[0]["Config"]))
    return dict(load(_blob(_manifest(load, reference)[1]["config"]["digest"])))


def _manifest(load: Callable[[str], Any], reference: Reference) -> tuple[str, dict[str, Any]]:
    """The digest, in hex, and the manifest of an image in the form of OCI."""
    found, tag = load("index.json"), _folder_and_tag(reference)[1]
    there: dict[str, list[Any]] = {}
    for entry in found["manifests"]:
        there.setdefault((entry.get("annotations") or {}).get(_TAG, ""), []).append(entry)
    several = len({each[0]["digest"] for each in there.values()}) > 1
    if tag not in there if tag else several:
        raise TykkyError(
            f"{reference} is {'not there' if tag else 'more than one image'}: the layout has "
            + (", ".join(filter(None, there)) or "no tags"),
            remedy="name one of them: oci:DIR:TAG",
            code=Exit.BASE,
        )
    entries, digest = there[tag] if tag else found["manifests"], ""
    while "config" not in found:  # an index may lead to another one
        digest = entries[0]["digest"]
        if len({entry["digest"] for entry in entries}) > 1:
            digest = registry.for_this({"manifests": entries}, str(reference))
        found = load(_blob(digest))
        entries = found.get("manifests", ())
    return digest.removeprefix("sha256:"), found


def _one_of(reference: Reference, digest: str, folder: Path) -> Path:
    """Make an OCI layout that has only the image that is meant, since programs differ in tags."""
    blobs = _folder_and_tag(reference)[0] / "blobs"
    registry.index(folder, digest, (blobs / "sha256" / digest).stat().st_size)
    (folder / "blobs").symlink_to(blobs)
    return folder


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _load(archive: tarfile.TarFile, name: str) -> Any:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is no file")
    with stream:
        return parse_json(stream.read(8 << 20))


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

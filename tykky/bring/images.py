"""Containers: what programs an image has of its own, and whether they use graphics processors.

The image is listed and some of its files are read; nothing of it is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tykky import bases
from tykky.bases import ImageBase, cache
from tykky.bases.image import open_image
from tykky.bring.found import Found, Left
from tykky.contents import paragraph
from tykky.errors import Exit, TykkyError
from tykky.files import parse_json

if TYPE_CHECKING:
    from tykky.config import Config

#: How references begin that are no paths.
SCHEMES = ("docker://", "oras://", "oci:", "oci-archive:", "docker-archive:")
#: Where images have what was put into them, in the order in which it is looked at.
_OWN = ("/opt/*/bin", "/opt/*/*/bin", "/opt/bin", "/usr/local/bin", "/usr/local/*/bin", "/app/bin")
#: More programs of a directory than these are offered by its name.
_MANY = 40
#: What nobody opens a container for, although it lies where its own programs do.
_ASIDE = re.compile(
    r"docker-\S*|entrypoint\S*|gosu|tini|dumb-init|s6-\S*|\S*\.(sh|bat|la|so|md|txt)|\..*"
    r"|(ba|da|z|tc|c)?sh|env|_entrypoint.sh"
)
#: How the names of labels begin, now and formerly.
_LABELS = ("org.opencontainers.image.", "org.label-schema.", "")
_NVIDIA = re.compile(
    r"/usr/local/cuda[^/]*|.*/lib(cudart|cublas|cudnn|nvrtc|torch_cuda)[\w-]*\.so[.\d]*"
    r"|.*/site-packages/nvidia"
)
_AMD = re.compile(r"/opt/rocm[^/]*|.*/lib(amdhip64|rocblas|MIOpen|torch_hip)\.so[.\d]*")
#: What a recipe says where nothing tells it, and the words that go with that.
UNKNOWN = "not known yet"
CORRECT = "it is not told there: write it into the recipe"


@dataclass(frozen=True)
class Image:
    """An image that was looked into: what it says of itself, and the program that it starts."""

    base: ImageBase
    labels: Mapping[str, str]
    starts: str

    def label(self, *names: str) -> str:
        """What the first of some labels that is there says."""
        found = (self.labels.get(start + name) for name in names for start in _LABELS)
        return next((text for text in found if text), "")


def is_image(path: Path) -> bool:
    """Whether a file is a SIF or squashfs, or a directory the root of a container."""
    if path.is_dir():
        return (path / ".singularity.d").is_dir() or (
            (path / "bin/sh").exists() and (path / "etc").is_dir() and (path / "usr").is_dir()
        )
    try:
        open_image(path)
    except TykkyError as error:  # one that is damaged is one; reading it says so
        return error.code != Exit.DAMAGED or "neither a SIF" not in error.cause
    return True


def read(path: Path, config: Config) -> Found:
    """The recipe of an image in a file or directory. Raises ``TykkyError``."""
    return of_reference(str(path.absolute()), config)


def of_reference(
    text: str,
    config: Config,
    wanted: Iterable[str] = (),
    *,
    hint: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Found:
    """The recipe of what a reference means, which is pulled to be looked into.

    ``wanted`` are the commands, if somebody has said them; ``hint`` is what the stack is called,
    which may tell which of the programs are meant. Raises ``TykkyError``.
    """
    image = _look(text, config, say)
    reference = _spelt(text)
    left: list[Left] = []
    commands = tuple(wanted) or tuple(_commands(image, _name(text), hint))
    if not commands:
        why = "no program is its own, or named as it is: name in 'commands' what users come for"
        left.append(Left(f"the commands of {reference}", why))
        commands = ("sh",) if image.base.which("sh") else ("*",)
    gpu = _gpu(image.base)
    homepage = image.label("documentation", "url", "source", "homepage") or _page(reference)
    license = image.label("licenses", "license") or UNKNOWN
    left += [Left("the documentation's address", CORRECT)] if homepage == UNKNOWN else []
    left += [Left("the licence", CORRECT)] if license == UNKNOWN else []
    fields: dict[str, object] = {
        "homepage": homepage,
        "license": license,
        "image": reference,
        "commands": commands,
        **({"gpu": gpu} if gpu else {}),
    }
    about = image.label("description", "title", "summary") or f"Programs of {reference}."
    version = version_of(text) or image.label("version")
    programs = (path for command in commands for path in image.base.programs(command))
    first = next(programs, "").rpartition("/")[2]
    tests = (f"command -v {first}",) if first else ()
    return Found("ContainerStack", fields, {}, tuple(left), version, about, tests)


def _look(text: str, config: Config, say: Callable[[str], None]) -> Image:
    if re.match(r"(docker|oras)://[^/]*@[^/]*/", text):  # which no message may repeat
        cause = "the address of an image has no user and password in it"
        remedy = "log in, as with 'podman login' or 'apptainer registry login', and leave them out"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    found = bases.provide(bases.find(text, config, folder=Path.cwd()), config, say)
    if not isinstance(found, ImageBase):
        cause = f"'{text}' is no container"
        remedy = "give a SIF, a squashfs image, or docker://..."
        raise TykkyError(cause, remedy=remedy, code=Exit.BASE)
    pulled = cache.by_digest(config, found.digest)
    settings: Mapping[str, Any] = (pulled.config if pulled else {}) or (
        found.file.config if found.file else {}
    )
    labels = settings.get("Labels")
    said = {str(k): str(v) for k, v in labels.items()} if isinstance(labels, Mapping) else {}
    with found.files("/.singularity.d/labels.json") as files:
        for file in files.values():
            try:
                more = parse_json(file.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(more, dict):
                said |= {str(k): str(v) for k, v in more.items() if isinstance(v, str)}
    starts = next(
        (str(words[0]) for key in ("Entrypoint", "Cmd") if (words := listed(settings.get(key)))), ""
    )
    return Image(found, said, starts)


def listed(value: object) -> list[Any]:
    """A value that should be a list, and is an empty one if it is none."""
    return value if isinstance(value, list) else []


def _spelt(text: str) -> str:
    """A reference as a recipe has it: files by their whole path."""
    scheme, colon, target = text.partition(":")
    if colon and scheme in ("oci", "oci-archive", "docker-archive"):
        return f"{scheme}:{Path(target).absolute()}"
    return text


def _last(text: str) -> str:
    """The last part of a reference or path, without its scheme and digest."""
    for scheme in SCHEMES:
        text = text.removeprefix(scheme)
    return text.partition("@")[0].rstrip("/").rpartition("/")[2]


def _name(text: str) -> str:
    """What an image is called: ``samtools`` of ``docker://quay.io/biocontainers/samtools:1.21``."""
    last = _last(text)
    name = re.split(r"[:_]|-\d|\.sif$|\.sqfs$|\.img$|\.tar$", last)[0]
    return name.lower()


def version_of(text: str) -> str:
    """The version that the tag of an image says, or the name of its file; empty if it is none."""
    last = re.sub(r"\.(sif|sqfs|simg|img|tar)$", "", _last(text))
    found = re.search(r"[:_-]v?(\d[\w.-]*)$", last)
    version = found[1].partition("--")[0] if found else ""
    return version if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", version) else ""


def _page(reference: str) -> str:
    """The page of an image of a registry that has pages."""
    if not reference.startswith("docker://"):
        return UNKNOWN
    path = re.split("[@]", reference.removeprefix("docker://"))[0]
    path = re.sub(r":[^/]*$", "", path)
    host, slash, rest = path.partition("/")
    if not slash or "." not in host:
        return f"https://hub.docker.com/{'r/' + path if slash else '_/' + path}"
    if host in ("docker.io", "index.docker.io"):
        return f"https://hub.docker.com/r/{rest}"
    return f"https://{host}/{'repository/' if host == 'quay.io' else ''}{rest}"


# -- commands -------------------------------------------------------------------------------


def _commands(image: Image, name: str, hint: str) -> list[str]:
    """The programs that users come for: those of the package that an image is named after, else
    those that were put into it, else those of packages that were asked for; with the one that it
    starts.
    """
    base = image.base
    chosen = sorted({*_of_package(base, name)}) or sorted({*_of_package(base, hint)})
    chosen = chosen or [*_own(base)]
    chosen = chosen or sorted({*_of_debian(base, _asked_of_debian(base))})
    if image.starts and (path := _path(image, image.starts)):
        own = PurePosixPath(path).name
        if not _ASIDE.fullmatch(own) and own not in {PurePosixPath(c).name for c in chosen}:
            chosen.append(own if _on_path(image.base, path) else path)
    if not chosen:
        found = [*image.base.programs(f"{name}*")] if re.fullmatch(r"[\w.+-]+", name) else []
        chosen = sorted({PurePosixPath(path).name for path in found})
    return [text for text in chosen if not re.search(r"[\s,\x00-\x1f\x7f\ud800-\udfff]", text)]


def _path(image: Image, program: str) -> str:
    found = image.base.which(program) if not program.startswith(".") else None
    return str(found) if found else ""


def _on_path(base: ImageBase, path: str) -> bool:
    """Whether a program is the one that its name means."""
    place = PurePosixPath(path)
    return str(base.which(place.name)) == path


def _of_package(base: ImageBase, name: str) -> Iterator[str]:
    """The programs of the conda or Debian package of that name, as names or paths."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]*", name):
        return
    tops = ("/usr/local", "/opt/*", "/opt/*/envs/*")
    with base.files(*(f"{top}/conda-meta/{name}-[0-9]*.json" for top in tops)) as files:
        for path, file in files.items():
            try:
                said = parse_json(file.read_bytes())
            except ValueError:
                continue
            top = PurePosixPath(path).parent.parent
            own = listed(said.get("files")) if isinstance(said, dict) else []
            yield from _programs(base, (str(top / str(each)) for each in own))
    yield from _of_debian(base, [name])


def _of_debian(base: ImageBase, names: Iterable[str]) -> Iterator[str]:
    """The programs of some packages of Debian."""
    folder = "/var/lib/dpkg/info"
    patterns = (f"{folder}/{name}{end}" for name in names for end in (".list", ":*.list"))
    with base.files(*patterns) as files:
        for file in files.values():
            yield from _programs(base, file.read_bytes().decode(errors="replace").splitlines())


def _asked_of_debian(base: ImageBase) -> list[str]:
    """The packages of Debian that somebody has asked for, as far as that was noted."""
    status, states = "/var/lib/dpkg/status", "/var/lib/apt/extended_states"
    with base.files(status, states) as files:
        if states not in files:
            return []
        rows = {
            path: [*map(paragraph, file.read_bytes().decode(errors="replace").split("\n\n"))]
            for path, file in files.items()
        }
    by_itself = {row["Package"] for row in rows[states] if row.get("Auto-Installed") == "1"}
    found = (row for row in rows.get(status, ()) if row.get("Priority") in ("optional", "extra"))
    names = [row["Package"] for row in found if row.get("Package", "") not in by_itself]
    return [name for name in names if re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name)]


def _programs(base: ImageBase, paths: Iterable[str]) -> Iterator[str]:
    """Which of some files are programs, as names if these mean them."""
    for path in paths:
        is_own = PurePosixPath(path).parent.name in ("bin", "sbin")
        if is_own and base.listing.is_program(path):
            yield PurePosixPath(path).name if _on_path(base, path) else path


def _own(base: ImageBase) -> Iterator[str]:
    """The programs that lie where images have what was put into them; many by their directory."""
    seen: set[str] = set()
    for pattern in _OWN:
        for folder in base.listing.glob(pattern):
            found = [path for path in base.programs(f"{folder}/") if _is_own(path, seen)]
            seen |= {PurePosixPath(path).name for path in found}
            if len(found) > _MANY:
                yield f"{folder}/"
            else:
                yield from (PurePosixPath(p).name if _on_path(base, p) else p for p in found)


def _is_own(path: str, seen: Iterable[str]) -> bool:
    name = PurePosixPath(path).name
    return not _ASIDE.fullmatch(name) and name not in seen


def _gpu(base: ImageBase) -> str:
    """The make of graphics processors that an image has libraries for; empty if for none."""
    there = base.listing.kinds
    nvidia = any(_NVIDIA.fullmatch(path) for path in there) or any(
        name in base.environment for name in ("NVIDIA_REQUIRE_CUDA", "CUDA_VERSION")
    )
    if nvidia:
        return "nvidia"
    return "amd" if any(_AMD.fullmatch(path) for path in there) else ""

"""The packages of an environment: found by solving, downloaded, installed at a prefix.

A package is one file that is kept in the cache under its sha256 and digested again at each use,
so that the cache needs few inodes, and nothing in it that is damaged is ever installed. It is
unpacked below the prefix itself, whose files it then becomes.

Public names: ``Request``, ``Done``, ``solve``, ``pinned``, ``download``, ``install``,
``link_scripts``, ``python_of``, ``stem_of``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tykky import fetch
from tykky.conda.channels import Channel
from tykky.conda.credentials import private, public
from tykky.conda.environment import Pinned
from tykky.conda.process import Scene, perform
from tykky.console import plural
from tykky.errors import Exit, StepError
from tykky.lock import Package

if TYPE_CHECKING:
    from tykky.config import Config

#: How many packages are downloaded at once.
DOWNLOADS = 8

_ENDINGS = (".conda", ".tar.bz2")


@dataclass(frozen=True)
class Request:
    """What is wanted of an environment: specs, where from, and for which machines."""

    specs: tuple[str, ...]
    channels: tuple[Channel, ...]
    subdir: str
    virtual_packages: tuple[tuple[str, str, str], ...]
    strict: bool = True


def solve(request: Request, scene: Scene, **more: Any) -> tuple[Package, ...]:
    """The packages that satisfy a request. Raises ``TykkyError`` with the solver's reasons."""
    near = _on_disk(request, scene.config)
    job = {
        "do": "solve",
        "specs": [_renamed(spec, near) for spec in request.specs],
        "channels": [near.get(channel.url, channel.url) for channel in request.channels],
        "subdir": request.subdir,
        "virtual_packages": request.virtual_packages,
        "strict": request.strict,
        "cache": str(scene.config.cache_dir / "conda"),
        "mirrors": _mirrors(request.channels, scene.config),
        **more,
    }
    far = {copy: url for url, copy in near.items()}
    rows = perform(job, scene)["packages"]
    return tuple(_package(row, _renamed(public(row["url"]), far), scene.config) for row in rows)


def _on_disk(request: Request, config: Config) -> dict[str, str]:
    """Channels of which a mirror on disk has a copy, and where."""
    found: dict[str, str] = {}
    for mirror in (mirror for mirror in config.mirrors if mirror.startswith("file:")):
        for channel in request.channels:
            copy = fetch.on_mirror(mirror, channel.url)
            folder = Path(unquote(urlsplit(copy).path))
            if any((folder / name).is_dir() for name in (request.subdir, "noarch")):
                found.setdefault(channel.url, copy)
    return found


def _renamed(text: str, places: Mapping[str, str]) -> str:
    """An address, or a spec that begins with one, with another beginning."""
    for old, new in places.items():
        if text.startswith((f"{old}/", f"{old}::")):
            return new + text[len(old) :]
    return text


def _mirrors(channels: Iterable[Channel], config: Config) -> dict[str, list[str]]:
    """Where to look for each channel on the network: on the mirrors, then at its own place."""
    mirrors = [mirror for mirror in config.mirrors if mirror.startswith("http")]
    found = {}
    for url in (channel.url for channel in channels if channel.url.startswith("http")):
        own = private(url, config)
        if mirrors or own != url:
            places = (*(fetch.on_mirror(mirror, url) for mirror in mirrors), own)
            found[f"{url}/"] = [f"{place}/" for place in places]
    return found


def _package(row: dict[str, Any], url: str, config: Config) -> Package:
    sha256, size = row["sha256"], row["size"]
    if not sha256:  # old channels have md5 only
        path, sha256 = fetch.fetch_unpinned(
            private(url, config), config.cache_dir, patience=config.timeout
        )
        size = path.stat().st_size
    return Package(
        name=row["name"],
        version=row["version"],
        file=unquote(Path(urlsplit(url).path).name),
        sha256=sha256,
        size=size,
        build=row["build"],
        url=url,
        license=row["license"],
    )


def python_of(packages: Iterable[Package]) -> str:
    """The ``major.minor`` of the Python among conda packages, or an empty string."""
    for package in packages:
        if package.is_conda and package.name == "python":
            return ".".join(package.version.split(".")[:2])
    return ""


def download(
    packages: Sequence[Package], config: Config, say: Callable[[str], None]
) -> dict[str, Path]:
    """The files of conda packages in the cache, by sha256, downloaded if they are not there.

    Raises ``StepError`` for the first that cannot be had or is not what the lock says.
    """

    def one(package: Package) -> Path:
        return fetch.fetch(
            package.url,
            package.sha256,
            config.cache_dir,
            mirrors=config.mirrors,
            source=private(package.url, config),
            patience=config.timeout,
            say=say,
        )

    with ThreadPoolExecutor(DOWNLOADS) as pool:
        pending = {package.sha256: pool.submit(one, package) for package in packages}
        try:
            return {sha256: future.result() for sha256, future in pending.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@dataclass(frozen=True)
class Done:
    """What was installed: the names, each after those that it depends on.

    ``machine`` are the virtual packages of this machine and their versions.
    """

    names: tuple[str, ...]
    machine: Mapping[str, str]


def install(
    packages: Sequence[Package],
    prefix: Path,
    scene: Scene,
    *,
    subdir: str,
    specs: Sequence[str] = (),
    present: Container[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Done:
    """Make the environment at ``prefix`` consist of exactly these conda packages.

    Those whose sha256 is ``present`` are there already. Raises ``StepError``.
    """
    missing = [package for package in packages if package.sha256 not in present]
    files = download(missing, scene.config, say)
    rows = [
        {
            "file": str(files.get(package.sha256, "")),
            "name": package.file,
            "stem": stem_of(package.file),
            "url": package.url,
            "channel": package.channel,
            "sha256": package.sha256,
        }
        for package in packages
    ]
    say(f"{plural(len(packages), 'package')} into a conda environment")
    job = {"do": "install", "prefix": str(prefix), "packages": rows, "specs": list(specs)}
    result = perform({**job, "subdir": subdir}, scene)
    return Done(tuple(result["done"]), result["machine"])


def stem_of(file: str) -> str:
    """A package's file name without its ending."""
    for ending in _ENDINGS:
        file = file.removesuffix(ending)
    return file


def pinned(wanted: Sequence[Pinned], subdir: str, config: Config) -> tuple[Package, ...]:
    """The packages of an explicit list; those without a sha256 are downloaded to know it.

    Raises ``StepError`` for one that is not for ``subdir``, and for a file that has another md5
    than the list says.
    """
    for one in wanted:
        if (found := one.url.rsplit("/", 2)[-2]) not in (subdir, "noarch"):
            raise StepError(
                f"the explicit list has packages for {found}, and {subdir} is wanted: {one.url}",
                remedy="write one list for each architecture; or an environment.yml, which is "
                "solved for each",
                code=Exit.RESOLVE,
            )
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        return tuple(pool.map(lambda one: _pinned(one, config), wanted))


def _pinned(wanted: Pinned, config: Config) -> Package:
    file = unquote(Path(urlsplit(wanted.url).path).name)
    name, version, build = stem_of(file).rsplit("-", 2)
    sha256, size = wanted.sha256, 0
    if not sha256:
        path, sha256 = fetch.fetch_unpinned(
            private(wanted.url, config), config.cache_dir, patience=config.timeout
        )
        size = path.stat().st_size
        if wanted.md5 and wanted.md5 != (found := _md5(path)):
            raise StepError(
                f"{wanted.url} has the md5 {found}, and the list says {wanted.md5}",
                remedy="the channel or something on the way altered it; do not install it",
                code=Exit.DAMAGED,
            )
    return Package(name, version, file, sha256, size, build, wanted.url)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class LinkScript:
    """A script of a package: the command that runs it, and the variables that it needs."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]


def link_scripts(root: Path, prefix: Path, names: Iterable[str]) -> Iterator[LinkScript]:
    """What packages want to be run when they are in place, in the order of ``names``.

    ``root`` is where the environment at ``prefix`` is on disk.
    """
    for name in names:
        script = f"bin/.{name}-post-link.sh"
        if not (root / script).is_file():
            continue
        (path,) = (root / "conda-meta").glob(f"{name}-[0-9]*.json")
        record = json.loads(path.read_text(encoding="utf-8"))
        variables = {
            "PREFIX": str(prefix),
            "ROOT_PREFIX": str(prefix),
            "CONDA_PREFIX": str(prefix),
            "PKG_NAME": name,
            "PKG_VERSION": record["version"],
            "PKG_BUILDNUM": str(record["build_number"]),
        }
        yield LinkScript(name, ("/bin/bash", str(prefix / script)), variables)

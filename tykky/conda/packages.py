"""The packages of an environment: found by solving, downloaded, installed at a prefix.

A package is one file that is kept in the cache under its sha256 and digested again at each use,
so that the cache needs few inodes, and nothing in it that is damaged is ever installed. It is
unpacked below the prefix itself, whose files it then becomes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tykky import fetch
from tykky.conda.channels import Channel, on_disk, private, public, qualify, subdir_of
from tykky.conda.environment import Environment, Pinned
from tykky.conda.process import Scene, perform
from tykky.config.parsing import cutoff
from tykky.console import plural
from tykky.contents import of_python
from tykky.errors import Exit, RecipeError, StepError
from tykky.files import digest_file, parse_json, read_within
from tykky.lock import Package
from tykky.tools.overlay import NoLayers
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.lock import Lock


def solve(
    wanted: Environment,
    scene: Scene,
    *,
    subdir: str,
    virtual_packages: Sequence[tuple[str, str, str]],
    strict: bool,
    **more: Any,
) -> tuple[Package, ...]:
    """The packages that satisfy the specs. Raises ``TykkyError`` with the solver's reasons.

    ``more`` is what is known of the environment that is there: ``prefix``, ``free``, ``freeze``; or
    what is ``held``, as specs.
    """
    end = cutoff(scene.config.conda.quarantine)
    specs, channels = qualify(wanted.specs, wanted.channels, scene.config)
    near = _on_disk(channels, subdir, scene.config)
    job = {
        "do": "solve",
        "specs": [_renamed(spec, near) for spec in specs],
        "channels": [near.get(channel.url, channel.url) for channel in channels],
        "subdir": subdir,
        "virtual_packages": virtual_packages,
        "strict": strict,
        "cache": str(scene.config.cache_dir / "conda"),
        "mirrors": _mirrors(channels, scene.config),
        "cutoff": end.isoformat() if end else "",
        **more,
    }
    far = {copy: url for url, copy in near.items()}
    rows = perform(job, scene)["packages"]
    return tuple(_package(row, _renamed(public(row["url"]), far), scene.config) for row in rows)


def _on_disk(channels: Iterable[Channel], subdir: str, config: Config) -> dict[str, str]:
    """Channels of which a mirror on disk has a copy, and where."""
    found: dict[str, str] = {}
    for mirror in config.mirrors:
        for channel in channels:
            copy = fetch.on_mirror(mirror, channel.url)
            folders = on_disk([f"{copy}/{subdir}", f"{copy}/noarch"])
            if any(folder.is_dir() for folder in folders):
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


def _package(row: Mapping[str, Any], url: str, config: Config) -> Package:
    """A package at an address; without a sha256 (old channels have none) it is downloaded."""
    fields = {**row, "url": url, "file": _file_of(url)}
    md5 = fields.pop("md5")
    if not fields["sha256"]:
        path, fields["sha256"] = fetch.fetch_unpinned(
            private(url, config), config.cache_dir, patience=config.timeout
        )
        fields["size"] = path.stat().st_size
        if md5 and md5 != (found := digest_file(path, "md5")):
            raise StepError(
                f"{url} has the md5 {found} instead of {md5}",
                remedy="the channel or something on the way altered it; do not install it",
                code=Exit.DAMAGED,
            )
    return Package(**fields)


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

    def package(one: Pinned) -> Package:
        parts = _stem_of(_file_of(one.url)).rsplit("-", 2)
        row = dict(zip(("name", "version", "build"), parts, strict=True))
        return _package({**row, "sha256": one.sha256, "md5": one.md5}, one.url, config)

    return tuple(fetch.together(package, wanted))


def _file_of(url: str) -> str:
    return unquote(Path(urlsplit(url).path).name)


def _stem_of(file: str) -> str:
    return file.removesuffix(".conda").removesuffix(".tar.bz2")


def python_of(packages: Iterable[Package]) -> str:
    """The ``major.minor`` of the Python among conda packages, or an empty string."""
    for package in packages:
        if package.is_conda and package.name == "python":
            return ".".join(package.version.split(".")[:2])
    return ""


def with_pip(
    conda: tuple[Package, ...],
    requirements: Sequence[str],
    *,
    arch: str,
    source: Sequence[str],
    config: Config,
    scratch: Scratch,
    held: Sequence[Package] = (),
) -> tuple[Package, ...]:
    """Conda packages, and what has to be added to them from the package index.

    The environment is made in the scratch directory for that, to see what its Python would; so
    it works for other architectures, too, because nothing in it is run. Raises ``TykkyError``.
    """
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    from tykky.tools import uv

    python = python_of(conda)
    if not python:
        raise RecipeError(
            "the recipe has requirements for pip, and no Python",
            remedy="add 'python' to its packages",
        )
    scratch.root.mkdir(parents=True, exist_ok=True)
    scene = Scene(config, scratch, {scratch.root: scratch.root})
    install(conda, scratch.root, scene, subdir=subdir_of(arch))
    present: dict[str, str] = {}
    for project in of_python(scratch.root):
        with contextlib.suppress(InvalidVersion):  # no resolver could speak of it
            present[canonicalize_name(project.name)] = str(Version(project.version))
    found = uv.resolve(
        requirements,
        python=python,
        arch=arch,
        source=source,
        config=config,
        present=present,
        held=held,
    )
    return (*conda, *found)


def download(
    packages: Sequence[Package], config: Config, say: Callable[[str], None]
) -> dict[str, Path]:
    """The files of packages in the cache, by sha256, downloaded if they are not there.

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

    return dict(zip((p.sha256 for p in packages), fetch.together(one, packages), strict=True))


def install(
    packages: Sequence[Package],
    prefix: Path,
    scene: Scene,
    *,
    subdir: str,
    specs: Sequence[str] = (),
    present: Container[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[str], dict[str, str]]:
    """Make the environment at ``prefix`` consist of exactly these conda packages.

    Those whose sha256 is ``present`` are there already. Returned are the names, each after those
    that it depends on, and this machine's virtual packages with their versions. Raises
    ``StepError``.
    """
    missing = [package for package in packages if package.sha256 not in present]
    files = download(missing, scene.config, say)
    rows = [_row(package, files) for package in packages]
    say(f"{plural(len(packages), 'package')} into a conda environment")
    job = {"do": "install", "prefix": str(prefix), "packages": rows, "specs": list(specs)}
    job["files"] = list(map(str, files.values()))
    result = perform({**job, "subdir": subdir}, scene)
    return result["done"], result["machine"]


def _row(package: Package, files: Mapping[str, Path]) -> dict[str, str]:
    return {
        "file": str(files.get(package.sha256, "")),
        "name": package.file,
        "stem": _stem_of(package.file),
        "url": package.url,
        "channel": package.channel,
        "sha256": package.sha256,
    }


def change(
    before: Lock,
    after: Lock,
    prefix: Path,
    scene: Scene,
    *,
    subdir: str,
    say: Callable[[str], None],
) -> tuple[list[str], dict[str, str]]:
    """Make of the conda packages of one lock, which are at ``prefix``, those of another.

    What ``install`` returns, of what has come. Raises ``StepError``; ``NoLayers`` if the result
    would not be what a new environment is.
    """
    old, new = _by_file(before), _by_file(after)
    gone = [package for key, package in old.items() if key not in new]
    come = [package for key, package in new.items() if key not in old]
    if any(package.name == "python" for package in gone):
        raise NoLayers("Python itself is another one")
    kept = [
        {**_row(package, {}), "package": package.name, "moved": package.url != old[key].url}
        for key, package in new.items()
        if key in old
    ]
    files = download(come, scene.config, say)
    say(f"{plural(len(come), 'package')} into a conda environment, {len(gone)} out")
    job = {
        "do": "change",
        "prefix": str(prefix),
        "packages": [_row(package, files) for package in come],
        "gone": [_stem_of(package.file) for package in gone],
        "kept": kept,
        "python": [_stem_of(p.file) for p in old.values() if p.name == "python"],
        "specs": list(after.asked.get("specs", ())),
        "earlier": list(before.asked.get("specs", ())),
        "files": list(map(str, files.values())),
        "subdir": subdir,
    }
    result = perform(job, scene)
    return result["done"], result["machine"]


def _by_file(lock: Lock) -> dict[tuple[str, str], Package]:
    return {(p.name, p.sha256): p for p in lock.packages if p.is_conda}


def link_scripts(
    root: Path, prefix: Path, names: Iterable[str]
) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """What packages want to be run when they are in place, in the order of ``names``.

    Of each: what it is, in words; its command; the variables that it needs. ``root`` is where the
    environment at ``prefix`` is on disk.
    """
    for name in names:
        script = f"bin/.{name}-post-link.sh"
        if not (root / script).is_file():
            continue
        path = next((root / "conda-meta").glob(f"{name}-[0-9]*.json"), root / "conda-meta" / name)
        try:
            record = parse_json(read_within(root, path))
        except ValueError:
            record = {}
        if not {"version", "build_number"} <= record.keys():
            cause = f"{path.name}, which the environment says of a package, cannot be read"
            raise StepError(cause, remedy="install another version of that package")
        variables = {
            **dict.fromkeys(("PREFIX", "ROOT_PREFIX", "CONDA_PREFIX"), str(prefix)),
            "PKG_NAME": name,
            "PKG_VERSION": record["version"],
            "PKG_BUILDNUM": str(record["build_number"]),
        }
        what = f"what {name} does when it is in place"
        yield what, ["/bin/bash", str(prefix / script)], variables

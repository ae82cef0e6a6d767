"""What installs are built from, fetched ahead of time: into the caches, or into one file.

Packages and what recipes download lie in the cache by their sha256, where builds look first; images
are among the bases. With these, and the recipes with their locks, nothing is asked of a network.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tykky import bases, console, fetch
from tykky import lock as locks
from tykky.bases import cache
from tykky.bases.cache import Pulled
from tykky.bases.reference import resolve
from tykky.build import locking
from tykky.build.box import FETCHED, PlanBox
from tykky.build.keeping import folders_of
from tykky.conda import packages as conda
from tykky.errors import Exit, StoreError, explained
from tykky.exchange import plain
from tykky.exchange.archive import Archive
from tykky.exchange.artifact import INPUT, INPUTS, Artifact, Part
from tykky.exchange.sources import small
from tykky.files import bring, digest_file, make_folder, parse_json, replacing, write_file
from tykky.kinds.r import RStack, files_of
from tykky.recipe import guarded, recipe_code
from tykky.resources import resource
from tykky.spec import parse_one
from tykky.tools import uv, wheels

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.repos import Repos
    from tykky.spec import Spec
    from tykky.store import Store

#: What an input is: a file that is downloaded, an image, an archive of recipes, of advisories.
_DOWNLOAD, _BASE, _RECIPES, _ADVISORIES = "download", "base", "recipes", "advisories"
#: What a recipe's steps are asked for what they would download.
_STEPS = ("assemble", "equip", "finish", "seal", "prove", "test")
_KIND, _ABOUT = "org.tykky.kind", "org.tykky.about"


@dataclass(eq=False, kw_only=True)
class _FetchBox(PlanBox):
    """Writes down what would be done, and does of it what needs the network."""

    say: Callable[[str], None] = lambda _: None
    files: dict[str, Path] = field(default_factory=dict)
    addresses: dict[str, Path] = field(default_factory=dict)
    unpinned: list[str] = field(default_factory=list)

    def fetch(self, url: str, *, sha256: str = "", name: str = "") -> Path:
        """Download a file that is known by its digest."""
        path = super().fetch(url, sha256=sha256, name=name)
        if not sha256:
            self.unpinned.append(url)
            return path
        config = self.config
        how: dict[str, Any] = {"mirrors": config.mirrors, "patience": config.timeout}
        kept = fetch.fetch(url, sha256, config.cache_dir, say=self.say, **how)
        self.files[path.relative_to(FETCHED).name] = self.addresses[url] = kept
        return path


@dataclass
class Inputs:
    """What was fetched: files with their names, images, folders of recipes with further files.

    ``addresses`` are those of what recipes download by themselves.
    """

    files: dict[str, tuple[str, Path]] = field(default_factory=dict)
    addresses: dict[str, Path] = field(default_factory=dict)
    images: dict[str, Pulled] = field(default_factory=dict)
    recipes: dict[str, tuple[bytes, bool]] = field(default_factory=dict)
    specs: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(path.stat().st_size for _, path in self.files.values()) + sum(
            pulled.bytes for pulled in self.images.values()
        )


@dataclass
class Fetcher:
    """Fetches what stacks are built from; each once."""

    config: Config
    repos: Repos
    store: Store
    inputs: Inputs = field(default_factory=Inputs)

    def fetch(self, spec: Spec, say: Callable[[str], None]) -> None:
        """All that one stack is built from, and those that it needs. Raises ``TykkyError``."""
        config, arch = self.config, bases.arch()
        recipe = cast("Stack", self.repos.select(spec))
        if (title := str(recipe.spec)) in self.inputs.specs:
            return
        self.inputs.specs.append(title)
        say(title)
        place = self.store.place(recipe.name, f"{recipe.version}{recipe.suffix}")
        lock = locking.settled_lock(recipe, config, arch, place, say).lock
        for other in self._needed(recipe, arch):
            self.fetch(other, say)
        pip = [p for p in lock.packages if not (p.is_conda or p.is_r)]
        others = [package for package in lock.packages if package.is_conda]
        found = wheels.provide(pip, uv.indexes(config), config, say, {})
        self.inputs.files |= {path.name: (name, path) for name, path in found.items()}
        if isinstance(recipe, RStack):
            r = files_of(recipe, lock, config, say)
            self.inputs.files |= {p.sha256: (p.file, path) for p, path in r.items()}
        names = {package.sha256: package.file for package in others}
        for sha256, path in conda.download(others, config, say).items():
            self.inputs.files[sha256] = (names[sha256], path)
        base = self._base(recipe, arch, lock, say)
        box = _FetchBox(place.prefix, recipe.directory, base, lock, config, say=say)
        for method in _STEPS:
            with recipe_code(recipe, method):
                getattr(recipe, method)(box)
        self.inputs.files |= {path.name: (name, path) for name, path in box.files.items()}
        self.inputs.addresses |= box.addresses
        for url in box.unpinned:
            self.inputs.remarks.append(f"{title} downloads {url}, which has no digest: not fetched")
        if source := guarded(recipe, "source") if hasattr(recipe, "source") else ():
            what = f"{title} builds {', '.join(source)} from source"
            self.inputs.remarks.append(f"{what}: what that asks of the index is not fetched")
        if guarded(recipe, "network"):
            self.inputs.remarks.append(f"{title} uses the network: what it asks is not fetched")
        self._keep_recipe(recipe, arch, lock)

    def _needed(self, recipe: Stack, arch: str) -> Iterator[Spec]:
        yield from guarded(recipe, "needs")
        if spec := _stack_below(recipe, arch, self.config):
            yield spec

    def _base(
        self, recipe: Stack, arch: str, lock: locks.Lock, say: Callable[[str], None]
    ) -> bases.Base:
        if _stack_below(recipe, arch, self.config):
            return bases.host()  # of which nothing is asked
        found = bases.provide(recipe.find_base(self.config, arch, lock), self.config, say)
        if pulled := cache.by_digest(self.config, found.digest):
            self.inputs.images[pulled.sha256] = pulled
        return found

    def _keep_recipe(self, recipe: Stack, arch: str, lock: locks.Lock) -> None:
        """Have the recipe with its lock, and those that it extends."""
        builtin = resource("repo").resolve()
        homes, every = plain.Homes.own(), self.inputs.recipes
        for folder in folders_of(recipe):
            if builtin in folder.resolve().parents:
                continue  # which is wherever Tykky is
            above = folder.parent.name
            beside = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
            for path in (*beside, *folder.parent.glob("repo.yaml")):
                name = f"{above}/{path.relative_to(folder.parent)}"
                data = path.read_bytes()
                plain.check(name, data, homes, str(recipe.spec))
                every[name] = (data, bool(path.stat().st_mode & 0o100))
        if builtin not in recipe.directory.resolve().parents:
            own = locks.path_of(recipe, arch).relative_to(recipe.directory.parent)
            text = locks.render(lock).encode()
            every[f"{recipe.directory.parent.name}/{own}"] = (text, False)


def _stack_below(recipe: Stack, arch: str, config: Config) -> Spec | None:
    """The stack that is the base of a recipe."""
    named = guarded(recipe, "base") or config.base
    named = named.get(arch, "") if isinstance(named, Mapping) else named
    base = resolve(str(named), config.bases, recipe.directory)
    return parse_one(base.target) if base.scheme == "stack" else None


def put_on_mirror(inputs: Inputs, folder: Path, store: Store) -> int:
    """Put what recipes download where a mirror in a folder has it; how many files. ``mirrors``
    then names that folder, or where a server shows it. Raises ``TykkyError``.
    """
    for url, kept in inputs.addresses.items():
        target = Path(fetch.on_mirror(str(folder), url))
        if ".." in target.parts:
            raise StoreError(f"{url} can be on no mirror", remedy="correct the recipe")
        with explained(f"write to the mirror {folder}"):
            make_folder(target.parent, store.permissions)
            bring(kept, target, store.permissions, link=False)
    return len(inputs.addresses)


def artifact_of(inputs: Inputs, config: Config) -> Artifact:
    """All that was fetched, and the advisories of the site, as an artifact."""
    layers = []
    for sha256, (name, path) in sorted(inputs.files.items()):
        layers.append(_layer(_DOWNLOAD, sha256, path, name))
    for sha256, pulled in sorted(inputs.images.items()):
        path = cache.file_of(config, pulled)
        keys = ("references", "digest", "arch", "pulled", "config", "file")
        about = {key: getattr(pulled, key) for key in keys}
        layers.append(_layer(_BASE, sha256, path, pulled.file, json.dumps(about)))
    if inputs.recipes:
        data, notes = plain.packed(inputs.recipes), {_KIND: _RECIPES}
        packed = Part.of(data, INPUT, "recipes.tar")
        layers.append(Part(INPUT, packed.sha256, packed.size, packed.title, None, data, notes))
    if (osv := config.advisories.osv) is not None and osv.is_file():
        layers.append(_layer(_ADVISORIES, digest_file(osv), osv, osv.name))
    told = json.dumps({"format": 1, "specs": inputs.specs}).encode()
    return Artifact(INPUTS, Part.of(told, INPUTS, "inputs.json"), layers)


def _layer(kind: str, sha256: str, path: Path, name: str, about: str = "") -> Part:
    notes = {_KIND: kind, **({_ABOUT: about} if about else {})}
    return Part(INPUT, sha256, path.stat().st_size, name, path, notes=notes)


def take(
    archive: Archive, artifact: Artifact, store: Store, config: Config, say: Callable[[str], None]
) -> dict[str, Any]:
    """Put what an artifact of inputs has where builds look for it; what there was.

    Raises ``TykkyError``.
    """
    specs = _specs(small(archive, "inputs", artifact.config), archive.title)
    counts = {"files": 0, "images": 0}
    recipes: list[str] = []
    advisories = ""
    for number, part in enumerate(artifact.layers, 1):
        say(f"part {number} of {len(artifact.layers)}")
        kind = part.notes.get(_KIND)
        if kind == _DOWNLOAD:
            archive.fetch("", part, say)
            counts["files"] += 1
        elif kind == _BASE:
            _keep_image(archive, part, config, say)
            counts["images"] += 1
        elif kind == _RECIPES:
            recipes = _lay_recipes(small(archive, "inputs", part), store, archive.title)
        elif kind == _ADVISORIES:
            path, target = archive.fetch("", part, say), store.root / "advisories.zip"
            with explained(f"write {target}"):
                with path.open("rb") as source, replacing(target) as stream:
                    shutil.copyfileobj(source, stream)
                    store.permissions.apply(Path(stream.name))
                path.unlink()
            advisories = str(target)
    return {**counts, "recipes": recipes, "advisories": advisories, "specs": specs}


def _specs(text: bytes, title: str) -> list[str]:
    """What the inputs are said to be for."""
    try:
        return [*map(str, parse_json(text)["specs"])]
    except (ValueError, KeyError, TypeError):
        cause = f"{title} does not say what its inputs are for"
        raise StoreError(cause, remedy="ask who has made it", code=Exit.DAMAGED) from None


def _keep_image(archive: Archive, part: Part, config: Config, say: Callable[[str], None]) -> None:
    try:
        about = parse_json(part.notes[_ABOUT])
        names, digest = tuple(map(str, about["references"])), str(about["digest"])
        suffix = "sif" if str(about["file"]).endswith(".sif") else "sqfs"
        rest = (str(about["arch"]), str(about["pulled"]), dict(about["config"]))
    except (ValueError, KeyError, TypeError) as error:
        cause = f"{archive.title} has an image of which nothing is told: {error}"
        raise StoreError(cause, remedy="ask who has made it", code=Exit.DAMAGED) from None
    if not fetch.is_sha256(digest):
        raise StoreError(f"{archive.title} has an image without a digest", code=Exit.DAMAGED)
    with cache.claim(config, digest) as new:
        pulled = cache.by_digest(config, digest)
        if pulled is not None and not cache.problem_of(config, pulled):
            return
        path = archive.fetch("", part, say)
        shutil.copyfile(path, new)
        file = cache.name_of(digest, suffix)
        cache.keep(config, new, Pulled(names, digest, file, part.sha256, part.size, *rest))
        path.unlink(missing_ok=True)


def _lay_recipes(data: bytes, store: Store, title: str) -> list[str]:
    """Lay recipes out below the root; the repositories that they make."""
    top, files = store.root / "recipes", plain.unpacked(data, title)
    with explained(f"write {top}"):
        make_folder(top, store.permissions)
        for name, (text, is_program) in files.items():
            for above in [*reversed(Path(name).parents)][1:]:
                make_folder(top / above, store.permissions)
            write_file(top / name, text, store.permissions)
            store.permissions.apply(top / name, executable=is_program)
    return sorted({str(top / name.partition("/")[0]) for name in files})


def shown(inputs: Inputs) -> str:
    """What was fetched, for people."""
    files = console.plural(len(inputs.files), "file")
    images = f", {console.plural(len(inputs.images), 'image')}" if inputs.images else ""
    return f"{files}{images}, {console.size(inputs.size)}"

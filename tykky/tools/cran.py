"""Repositories of R packages in the form of CRAN: what they have, what of it is needed, and files.

Such a repository has an index, ``src/contrib/PACKAGES``, that says of each package what it needs,
and older versions in ``src/contrib/Archive``. It gives no digest that would do, so what is chosen
is downloaded when it is locked. Of several repositories, the first that has a package decides.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import fetch
from tykky.contents import paragraph
from tykky.errors import Exit, StepError, did_you_mean
from tykky.files import digest_file
from tykky.lock import Package
from tykky.tools.wheels import public

if TYPE_CHECKING:
    from tykky.config import Config

#: What R itself consists of, which no repository has.
_R = frozenset(
    (
        *("R", "base", "compiler", "datasets", "graphics", "grDevices", "grid", "methods"),
        *("parallel", "splines", "stats", "stats4", "tcltk", "tools", "translations", "utils"),
    )
)
_NEEDS = ("Depends", "Imports", "LinkingTo")
_WISH = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9.]*)\s*\(?\s*((?:(?:>=|<=|==|!=|>|<)\s*[\w.-]+\s*,?\s*)*)\)?\s*"
)
_BOUND = re.compile(r"(>=|<=|==|!=|>|<)\s*([0-9][0-9A-Za-z]*(?:[.-][0-9A-Za-z]+)*)")


@dataclass(frozen=True)
class Wish:
    """A package that is wanted: its name, and what its version has to be."""

    name: str
    bounds: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Read ``data.table>=1.15`` or ``data.table (>= 1.15)``. Raises ``ValueError``."""
        found = _WISH.fullmatch(text)
        if not found:
            raise ValueError(text)
        bounds = tuple(bound.groups() for bound in map(_BOUND.fullmatch, _parts(found[2])) if bound)
        if len(bounds) != len(_parts(found[2])):
            raise ValueError(text)
        return cls(found[1], bounds)  # type: ignore[arg-type]

    @property
    def exact(self) -> str:
        """The only version that will do, if one is named."""
        return next((version for sign, version in self.bounds if sign == "=="), "")

    def allows(self, version: str) -> bool:
        """Whether a version will do."""
        return all(_holds(order(version), sign, order(bound)) for sign, bound in self.bounds)

    def __str__(self) -> str:
        return " ".join((self.name, ", ".join(map(" ".join, self.bounds)))).strip()


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def order(version: str) -> tuple[int, ...]:
    """What versions of R packages are compared by: their numbers, whatever is between them."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _holds(version: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    if sign == "==":
        return version == bound
    if sign == "!=":
        return version != bound
    return (
        version > bound
        if sign == ">"
        else version < bound
        if sign == "<"
        else (version >= bound if sign == ">=" else version <= bound)
    )


@dataclass(frozen=True)
class Repository:
    """A repository of packages; ``agent`` is how a program has to call itself to get others."""

    url: str
    agent: str = ""

    @property
    def contrib(self) -> str:
        """Where its index and its files are."""
        return f"{self.url.rstrip('/')}/src/contrib"

    @property
    def headers(self) -> dict[str, str]:
        """What a request brings along."""
        return {"User-Agent": self.agent} if self.agent else {}


@dataclass
class Resolver:
    """Finds what is needed. ``version`` is that of R, and ``there`` are packages that it has."""

    repositories: Sequence[Repository]
    version: str
    there: Mapping[str, str]
    config: Config
    held: Mapping[str, Package] = field(default_factory=dict)
    _indexes: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def resolve(self, wishes: Sequence[Wish]) -> tuple[Package, ...]:
        """All that has to be installed, in the order of names. Raises ``StepError``."""
        queue = [(wish, "") for wish in wishes]
        chosen: dict[str, tuple[dict[str, str], str, Repository]] = {}
        asked = {wish.name: wish for wish in wishes}
        while queue:
            wish, by = queue.pop(0)
            if self._is_there(wish, by, asked):
                continue
            if wish.name not in chosen:
                own = asked.get(wish.name, wish)
                said, url, repository = self._found(own, by)
                chosen[wish.name] = said, url, repository
                queue += [(need, said["Package"]) for need in needs(said)]
            version = chosen[wish.name][0]["Version"]
            if not wish.allows(version):
                raise _unfit(wish, by, version, asked.get(wish.name))
        rows = [chosen[name] for name in sorted(chosen)]
        return tuple(fetch.together(lambda row: self._package(*row), rows))

    def _is_there(self, wish: Wish, by: str, asked: Mapping[str, Wish]) -> bool:
        """Whether R has it. Raises ``StepError`` for another R that is wanted."""
        if wish.name == "R" and not wish.allows(self.version):
            raise StepError(
                f"{by} needs {wish}, and the base has R {self.version}",
                remedy="choose a base with another R, or an earlier 'snapshot'",
                code=Exit.RESOLVE,
            )
        if wish.name in _R:
            return True
        own = asked.get(wish.name, wish)
        known = self.there.get(wish.name, "")
        return bool(known) and wish.allows(known) and own.allows(known)

    def _found(self, wish: Wish, by: str) -> tuple[dict[str, str], str, Repository]:
        """What is said of the package that will do, where it is, and in which repository."""
        if kept := self.held.get(wish.name):
            path = download(kept, self.repositories, self.config, lambda _: None)
            home = _home(kept, self.repositories)
            return description(path, kept.url), kept.url, home
        for repository in self.repositories:
            said = self._index(repository).get(wish.name)
            if said is None:
                continue
            file = f"{wish.name}_{said['Version']}.tar.gz"
            folder = said.get("Path", "")
            place = f"{folder}/{file}" if re.fullmatch(r"\w[\w.]*(/\w[\w.]*)*", folder) else file
            if wish.exact and not wish.allows(said["Version"]):
                return self._archived(wish, repository, said["Version"])
            return said, f"{repository.contrib}/{place}", repository
        names = {name for each in self.repositories for name in self._index(each)}
        needs = f", which {by} needs" if by else ""
        raise StepError(
            f"no repository has the R package '{wish.name}'{needs}: "
            + ", ".join(each.url for each in self.repositories),
            remedy=did_you_mean(wish.name, sorted(names))
            or "correct its name; of Bioconductor, say the release: bioconductor = '3.20'",
            code=Exit.UNKNOWN_PACKAGE,
        )

    def _archived(
        self, wish: Wish, repository: Repository, newest: str
    ) -> tuple[dict[str, str], str, Repository]:
        """What :meth:`_found` gives, of a version that is not the newest."""
        url = f"{repository.contrib}/Archive/{wish.name}/{wish.name}_{wish.exact}.tar.gz"
        try:
            path, _ = self._downloaded(url, repository)
        except StepError as error:
            if error.code == Exit.NETWORK:
                raise
            raise StepError(
                f"{repository.url} has {wish.name} {newest}, and no {wish.exact} in its archive",
                remedy="choose another version, or a 'snapshot' of the day when it was the newest",
                code=Exit.UNKNOWN_PACKAGE,
                details=(error.cause,),
            ) from error
        return description(path, url), url, repository

    def _index(self, repository: Repository) -> Mapping[str, dict[str, str]]:
        if repository.url not in self._indexes:
            self._indexes[repository.url] = self._read(repository)
        return self._indexes[repository.url]

    def _read(self, repository: Repository) -> dict[str, dict[str, str]]:
        try:
            path, _ = self._downloaded(f"{repository.contrib}/PACKAGES.gz", repository)
            text = gzip.decompress(path.read_bytes()).decode(errors="replace")
        except (OSError, EOFError, zlib.error, StepError) as error:
            if isinstance(error, StepError) and error.code == Exit.NETWORK:
                raise
            path, _ = self._downloaded(f"{repository.contrib}/PACKAGES", repository)
            text = path.read_bytes().decode(errors="replace")
        found: dict[str, dict[str, str]] = {}
        for part in re.split(r"\n\s*\n", text):
            said = paragraph(part)
            name, version = said.get("Package", ""), said.get("Version", "")
            if not (
                re.fullmatch(r"[A-Za-z][A-Za-z0-9.]*", name) and _BOUND.fullmatch(f"=={version}")
            ):
                continue
            if name not in found or order(found[name]["Version"]) < order(version):
                found[name] = said
        if not found:
            raise StepError(
                f"{repository.url} is no repository of R packages: its index names none",
                remedy="check its address: 'tykky config why r.cran', or that in the recipe",
                code=Exit.RESOLVE,
            )
        return found

    def _downloaded(self, url: str, repository: Repository) -> tuple[Path, str]:
        cache, patience = self.config.cache_dir, self.config.timeout
        try:
            return fetch.fetch_unpinned(url, cache, patience=patience, headers=repository.headers)
        except StepError as error:
            if error.code == Exit.NETWORK:  # of what nothing is known, no mirror is asked
                error.remedy = error.remedy.replace("config why mirrors", "config why r.cran")
            raise

    def _package(self, said: Mapping[str, str], url: str, repository: Repository) -> Package:
        """The package for the lock: downloaded, to know its digest."""
        name, version = said["Package"], said["Version"]
        if kept := self.held.get(name):
            return kept
        path, sha256 = self._downloaded(url, repository)
        md5 = said.get("MD5sum", "").lower()
        # Of a repository that has others for some, it is that of those that it has for all.
        if md5 and not repository.agent and (found := digest_file(path, "md5")) != md5:
            raise StepError(
                f"{url} has the md5 {found} instead of {md5}",
                remedy="the repository or something on the way altered it; do not install it",
                code=Exit.DAMAGED,
            )
        if (real := description(path, url)) and real["Package"] != name:
            cause = f"{url} has the package {real['Package']} in it, and not {name}"
            raise StepError(cause, remedy="do not use that repository", code=Exit.DAMAGED)
        licence = " ".join(said.get("License", "").split())
        file = url.rpartition("/")[2]
        size, at = path.stat().st_size, public(url)  # a lock is for everybody
        return Package(name, version, file, sha256, size, url=at, license=licence)


def _unfit(wish: Wish, by: str, version: str, own: Wish | None) -> StepError:
    remedy = (
        f"choose a later 'snapshot', or an earlier version that the archive has: '{wish.name}==...'"
    )
    if by and own and own.bounds:
        remedy = f"ask for another {wish.name} than {own}, or for another version of {by}"
    elif by:
        remedy = f"choose another 'snapshot', or another version of {by} or {wish.name}"
    return StepError(
        f"{by or 'the recipe'} needs {wish}, and {wish.name} would be {version}",
        remedy=remedy,
        code=Exit.RESOLVE,
    )


def needs(said: Mapping[str, str]) -> Iterator[Wish]:
    """What a package says that it needs. What cannot be read is left out."""
    for field_ in _NEEDS:
        for text in re.findall(r"[^,(]+(?:\([^)]*\))?", said.get(field_, "")):
            if text.strip():
                try:
                    yield Wish.parse(" ".join(text.split()))
                except ValueError:
                    continue


def description(path: Path, url: str) -> dict[str, str]:
    """What a package says of itself. Raises ``StepError`` for a file that is none."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if re.fullmatch(r"(\./)?[^/]+/DESCRIPTION", member.name) and member.isreg():
                    stream = archive.extractfile(member)
                    text = stream.read(1 << 20).decode(errors="replace") if stream else ""
                    said = paragraph(text)
                    if said.get("Package") and said.get("Version"):
                        return said
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        pass
    raise StepError(
        f"{url} is no R package: there is no DESCRIPTION in it",
        remedy="check the address of the repository",
        code=Exit.DAMAGED,
    )


def _home(package: Package, repositories: Sequence[Repository]) -> Repository:
    """The repository that a package is from; one of its own if none is known."""
    known = (r for r in repositories if package.url.startswith(f"{public(r.contrib)}/"))
    return next(known, Repository(package.url.partition("/src/contrib/")[0]))


def download(
    package: Package,
    repositories: Sequence[Repository],
    config: Config,
    say: Callable[[str], None],
) -> Path:
    """The file of a locked package, from the cache if it is there. Raises ``StepError``."""
    home = _home(package, repositories)
    return fetch.fetch(
        package.url,
        package.sha256,
        config.cache_dir,
        mirrors=config.mirrors,
        source=home.contrib + package.url.removeprefix(public(home.contrib)),
        headers=home.headers,
        patience=config.timeout,
        say=say,
    )

"""``RStack``: R packages from CRAN and Bioconductor, as they were on a day.

They are installed by the R of the base into a library of the stack's own, from files whose digests
are in the lock. The packages that R itself brings count as they are in the base; what a base has
in libraries of its site is not seen, so that the lock tells all that there is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import bases, fetch
from tykky.bases import HostBase, ImageBase, StackBase
from tykky.console import plural
from tykky.contents import Installed, of_r, paragraph
from tykky.errors import Exit, StepError
from tykky.files import discard
from tykky.kinds.stack import Stack
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place
from tykky.runtime.base import EnvAction, EnvChange
from tykky.tools import cran, process

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config
    from tykky.lock import Lock, Package

#: Where the stack's packages are below the prefix, and what is read instead of the site's own file.
_LIBRARY, _SITE = "lib/R/library", "lib/R/etc/Renviron.site"
#: Where files are in a box, and what they are unpacked to.
_FILES, _SOURCES = Path("/tmp/r"), Path("/tmp/r-src")
#: The parts of Bioconductor that are repositories.
_PARTS = ("bioc", "data/annotation", "data/experiment")


@dataclass(frozen=True)
class Language:
    """The R of a base: its version, the packages that it brings, and what its site sets."""

    home: str
    version: str
    packages: Mapping[str, str] = field(default_factory=dict)
    site: str = ""


class RStack(Stack):
    """R packages from CRAN, and from Bioconductor, in a library on top of the base's R.

    ``snapshot`` is the day (``2026-10-01``) that CRAN is taken from, ``bioconductor`` a release
    (``3.20``). ``packages`` are names, perhaps with a version: ``data.table>=1.15``,
    ``jsonlite==1.8.9``; what these need comes along. ``repositories`` are addresses of further
    repositories in the form of CRAN, which are asked first. With ``binaries``, the name that the
    package manager has for the base's distribution (``bookworm``), nothing is compiled; that needs
    ``r``, the version of the base's R (``4.4``), which is checked wherever it is said.
    ``user_library`` tells whether packages in the user's home count.
    """

    r: str = ""
    snapshot: str = ""
    packages: tuple[str, ...] = ()
    bioconductor: str = ""
    repositories: tuple[str, ...] = ()
    binaries: str = ""
    user_library: bool = True
    commands = ("R", "Rscript")
    layers = True

    def _wishes(self) -> list[cran.Wish]:
        """The packages that are asked for. Raises ``RecipeError``."""
        texts, found = guarded(self, "packages"), []
        for index, text in enumerate(texts):
            try:
                found.append(cran.Wish.parse(text))
            except ValueError:
                where = attribute_place(type(self), "packages", (index,))
                remedy = "write a name, perhaps with a version: 'data.table>=1.15'"
                error = self._wrong(f"asks for '{text}', which is no R package", remedy)
                error.where = where or error.where
                raise error from None
        if not found:
            raise self._wrong("names no packages", 'set \'packages\': "tidyverse", "data.table"')
        return found

    def _repositories(self, config: Config, arch: str) -> list[cran.Repository]:
        """Where packages are from, in the order in which they are asked. ``RecipeError``."""
        day, r, linux = (guarded(self, name) for name in ("snapshot", "r", "binaries"))
        release = guarded(self, "bioconductor")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d|latest", day):
            problem = f"has the snapshot '{day}'" if day else "says no day that packages are from"
            raise self._wrong(problem, 'write a day: snapshot = "2026-10-01"', "snapshot")
        if r and not re.fullmatch(r"\d+\.\d+(\.\d+)?", r):
            raise self._wrong(f"has '{r}' for a version of R", 'write, for example: r = "4.4"', "r")
        if linux and not (r and re.fullmatch(r"[a-z0-9_.-]+", linux)):
            problem = "wants binary packages, and does not say for which R"
            if r:
                problem = f"wants binary packages for '{linux}', which is no name of a distribution"
            raise self._wrong(problem, 'write both: r = "4.4", binaries = "bookworm"', "binaries")
        if release and not re.fullmatch(r"\d+\.\d+", release):
            remedy = 'write it as a number: bioconductor = "3.20"'
            raise self._wrong(f"has the Bioconductor release '{release}'", remedy, "bioconductor")
        agent = f"R/{r} R ({r} {arch}-pc-linux-gnu {arch} linux-gnu)" if linux else ""
        said = {"{snapshot}": day, "{linux}": f"__linux__/{linux}/" if linux else ""}

        def address(text: str) -> str:
            for name, value in said.items():
                text = text.replace(name, value)
            return text.rstrip("/")

        found = [cran.Repository(url.rstrip("/")) for url in guarded(self, "repositories")]
        found.append(cran.Repository(address(config.r.cran), agent))
        if release:
            top = f"{address(config.r.bioconductor)}/packages/{release}"
            found += [cran.Repository(f"{top}/{part}") for part in _PARTS]
        return found

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from."""
        self._repositories(config, arch)
        texts = ("r", "snapshot", "bioconductor", "binaries")
        said = {name: guarded(self, name) for name in texts}
        return {
            "packages": sorted({str(wish) for wish in self._wishes()}),
            "base": self._named_base(config, arch),
            **{name: value for name, value in said.items() if value},
            **({"repositories": list(found)} if (found := guarded(self, "repositories")) else {}),
        }

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The packages for the lock, but for those that the base's R brings."""
        named = self._named_base(config, arch)
        base = bases.find(named, config, folder=self.directory, again=held is not None)
        language = self._language(bases.provide(base, config, lambda _: None))
        resolver = cran.Resolver(
            self._repositories(config, arch),
            language.version,
            language.packages,
            config,
            {package.name: package for package in held or ()},
        )
        return resolver.resolve(self._wishes())

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse a base without R, or with another one than the recipe says."""
        if not isinstance(base, bases.Pending):  # of which nothing is known yet
            self._language(base)

    def _language(self, base: Base) -> Language:
        found, wanted = language_of(base), guarded(self, "r")
        problem = ""
        if isinstance(base, StackBase):
            problem = "is a stack, and R packages cannot be put on top of one"
        elif found is None:
            problem = "has no R"
        elif wanted and not f"{found.version}.".startswith(f"{wanted}."):
            problem = f"has R {found.version}, and the recipe '{self.name}' is for {wanted}"
        if problem or found is None:
            raise StepError(
                f"the base '{base.name}' ({base.id}) {problem}",
                remedy="name a base that has it, such as docker://rocker/r-ver:4.4.1, or an image "
                "of Debian's r-base-core; or set another 'r' in the recipe",
                code=Exit.BASE,
            )
        return found

    def assemble(self, box: Box) -> None:
        """Install exactly what the lock says, each package after those that it needs."""
        count = plural(len(box.lock.packages), "R package")
        box.do("leave out what the base says of libraries", _settle_site)
        box.do(f"download {count}, and install them into a library", self._install)
        for name in ("R", "Rscript"):
            box.link(f"bin/{name}", box.base.which(name) or f"/usr/bin/{name}")

    def _install(self, real: RealBox) -> None:
        files = files_of(self, real.lock, real.config, real.say)
        known = {package.name: package for package in files}
        said = {package.name: cran.description(path, path.name) for package, path in files.items()}
        for package, path in files.items():
            real.files[path] = _FILES / f"{package.name}.tar.gz"
            real.note_fetched(package.file, package.url, package.sha256, path)
        library = real.real(_LIBRARY)
        for folder in (library, real.real("bin")):
            folder.mkdir(parents=True, exist_ok=True)
        needs = {
            name: {wish.name for wish in cran.needs(about)} & said.keys()
            for name, about in said.items()
        }
        new = _to_install(real, needs)
        for path in library.iterdir():
            if path.name in new or path.name not in needs:
                discard(path)
        language = self._language(real.base)
        env = {**real.environment(), **_environment(real.prefix)}
        tasks = {}
        for name in sorted(new):
            line = _line(real.prefix / _LIBRARY, name, language)
            argv, variables = real.enclose(process.words(line), env)
            tasks[name] = process.Task(line, argv, variables, frozenset(needs[name] & new))
        begun: list[str] = []

        def begin(name: str) -> None:
            begun.append(name)
            real.say(f"R package {len(begun)} of {len(tasks)}: {name} {known[name].version}")

        if failed := process.run_beside(tasks, real.jobs, real.cwd, real.log, begin):
            name, error = failed
            lacks = " ".join(
                said[name].get("SystemRequirements", "a compiler, or a library").split()
            )
            error.cause = f"the R package {name} {known[name].version} cannot be installed"
            error.remedy = error.remedy or f"it may lack {lacks}: name a base that has it"
            raise error
        real.say(plural(len(tasks), "R package") + " into a library")

    def shields(self, config: Config) -> Sequence[EnvChange]:
        """The stack's own library, and none of another R; perhaps not that of the user."""
        found = [EnvChange(EnvAction.UNSET, "R_HOME")]
        if not guarded(self, "user_library"):
            found += [EnvChange(EnvAction.SET, n, "NULL") for n in ("R_LIBS", "R_LIBS_USER")]
        return found

    def defaults(self, box: RealBox) -> Sequence[EnvChange]:
        """The stack's library, and where packages of the user's go: R makes that when it is asked.

        R itself puts its architecture and version in the place of ``%a`` and ``%v``.
        """
        own = f"${{HOME}}/R/{self.name}-{self.version}{self.suffix}/%a/%v"
        found = [EnvChange(EnvAction.SET, "R_LIBS_SITE", f"{box.prefix}/{_LIBRARY}")]
        if box.real(_SITE).exists():
            found.append(EnvChange(EnvAction.DEFAULT, "R_ENVIRON", f"{box.prefix}/{_SITE}"))
        return [*found, EnvChange(EnvAction.DEFAULT, "R_LIBS_USER", own)]

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The packages of the library, with where they are from."""
        release = f"/packages/{guarded(self, 'bioconductor')}/"
        urls = {package.name: package.url for package in box.lock.packages}
        bioc = partial(replace, channel=f"Bioconductor {self.bioconductor}", type="bioconductor")
        found = (
            bioc(each) if release in urls.get(each.name, "") else each
            for each in of_r(box.real("."))
        )
        return sorted(found, key=lambda package: package.name.lower())

    def prove(self, box: Box) -> None:
        """Load each package that is asked for."""
        if "Rscript" in guarded(self, "commands"):
            names = ", ".join(f'"{wish.name}"' for wish in self._wishes())
            code = (
                f"for (p in c({names})) suppressPackageStartupMessages(library(p, character = T))"
            )
            box.run(["Rscript", "-e", code], say="whether the packages can be loaded")


def files_of(
    recipe: RStack, lock: Lock, config: Config, say: Callable[[str], None]
) -> dict[Package, Path]:
    """The files of a lock's packages, downloaded if they are not kept. Raises ``TykkyError``."""
    repositories = recipe._repositories(config, lock.arch)

    def one(package: Package) -> Path:
        return cran.download(package, repositories, config, say)

    return dict(zip(lock.packages, fetch.together(one, lock.packages), strict=True))


def language_of(base: Base) -> Language | None:
    """The R of a base, told by its files; ``None`` if there is none. Raises ``TykkyError``."""
    if isinstance(base, StackBase) or (program := base.which("R")) is None:
        return None
    script = _read(base, str(program)).get(str(program), "")
    found = re.search(r"^R_HOME_DIR=[\"']?(/[^\s\"']+)", script, re.M)
    if not found:
        return None
    home = found[1]
    texts = _read(base, f"{home}/library/*/DESCRIPTION", f"{home}/etc/Renviron.site")
    said = [paragraph(text) for path, text in texts.items() if path.endswith("/DESCRIPTION")]
    packages = {each["Package"]: each.get("Version", "") for each in said if "Package" in each}
    version = packages.get("base", "")
    site = texts.get(f"{home}/etc/Renviron.site", "")
    return Language(home, version, packages, site) if version else None


def _read(base: Base, *patterns: str) -> dict[str, str]:
    """The texts of a base's files that patterns mean, by their paths there."""
    if isinstance(base, ImageBase):
        with base.files(*patterns) as there:
            return {path: _text(file) for path, file in there.items()}
    if not isinstance(base, HostBase):
        return {}
    paths = [path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))]
    return {str(path): _text(path) for path in paths if path.is_file()}


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def _settle_site(real: RealBox) -> None:
    """Keep what the site's file of the base sets, but for libraries: those would come first."""
    found = language_of(real.base)
    lines = found.site.splitlines() if found else []
    kept = [line for line in lines if not re.match(r"\s*R_LIBS\w*\s*=", line)]
    if kept != lines:
        real.real(_SITE).parent.mkdir(parents=True, exist_ok=True)
        real.write(_SITE, "\n".join([*kept, ""]))


def _line(library: Path, name: str, language: Language) -> str:
    """The command that installs a package.

    Each has a box of its own, and so do the numbers of its processes, which some packages keep; it
    is unpacked to one path, which help pages name; and the time is always the same.
    """
    source, file = _SOURCES / name, _FILES / f"{name}.tar.gz"
    words = [f"{language.home}/bin/R", "CMD", "INSTALL", f"--library={library}", "--pkglock"]
    words.append("--built-timestamp=1980-01-01 00:00:00 UTC")
    if cran.order(language.version) >= (4, 2):  # as far back as this was tried
        words.append("--strip")
    unpack = f"tar -xf {shlex.quote(str(file))} -C {shlex.quote(str(source))}"
    unpack += " --strip-components=1 --no-same-owner"
    made = f"mkdir -p {shlex.quote(str(source))} && {unpack}"
    return f"{made} && exec {shlex.join([*words, str(source)])}"


def _to_install(real: RealBox, needs: Mapping[str, set[str]]) -> set[str]:
    """The packages that are not there yet, and all that are made with these."""
    before = {(p.name, p.sha256) for p in (real.before.packages if real.before else ())}
    new = {p.name for p in real.lock.packages if (p.name, p.sha256) not in before}
    while more := {name for name, each in needs.items() if name not in new and each & new}:
        new |= more
    return new


def _environment(prefix: Path) -> dict[str, str]:
    """What R and those that it starts have while packages are installed."""
    library = f"{prefix}/{_LIBRARY}"
    return {
        "R_LIBS": library,
        "R_LIBS_SITE": library,
        "R_LIBS_USER": "NULL",
        "R_ENVIRON": f"{prefix}/{_SITE}",
        "TZ": "UTC",
    }

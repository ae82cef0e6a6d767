"""Known holes in packages: what a site's mirror of advisories says of what it has installed.

Advisories are those of PyPI (which also count for the conda packages of such projects), of CRAN
and Bioconductor, and those of Debian and Ubuntu (which speak of source packages). Nothing is asked
of the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tykky.inventory import osv
from tykky.inventory.matching import is_affected, mended
from tykky.inventory.severity import LEVELS, Severity, worst
from tykky.inventory.statements import Statement, about
from tykky.lock import canonical as spelt

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.lock import Named

#: Conda packages whose projects have another name on PyPI; 'advisories.conda_names' has more.
_CONDA_NAMES = {
    "airflow": "apache-airflow",
    "brotli-python": "brotli",
    "dask-core": "dask",
    "distributed-core": "distributed",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "pyarrow-core": "pyarrow",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python-duckdb": "duckdb",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ray-core": "ray",
    "ray-default": "ray",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
}
#: The build of a conda package that is for a version of Python: py311h1234, pyhd8ed1ab.
_OF_PYTHON = re.compile(r"py(h|\d)")
#: What a rebuild of a Debian package on one architecture adds to the version of its source.
_REBUILT = re.compile(r"\+b\d+$")
#: The file of a Python project; that of a container or of an installation has a folder.
_DISTRIBUTION = re.compile(r"^[^/]+\.(whl|tar\.\w+|zip)$")
_DISTRIBUTIONS = {"debian": "Debian", "ubuntu": "Ubuntu"}
_OF_R = ("CRAN", "Bioconductor")


_canonical = cache(spelt)


@dataclass(frozen=True)
class Subject:
    """What advisories call a package; ``release`` is that of the distribution."""

    ecosystem: str
    name: str
    version: str
    release: str = ""


@dataclass(frozen=True)
class Finding:
    """A hole in a package, whatever number of advisories speak of it.

    ``ids`` are all its names, that of CVE first; ``upstream`` are further ones, of holes that an
    advisory of a distribution mends together; ``fixed`` is the least version without it, if there
    is one; ``statement`` is why it does not matter, if somebody has said so.
    """

    package: str
    version: str
    ecosystem: str
    ids: tuple[str, ...]
    severity: Severity
    fixed: str = ""
    summary: str = ""
    upstream: tuple[str, ...] = ()
    source: str = ""
    statement: Statement | None = None

    def reaches(self, level: str) -> bool:
        """Whether it counts, and is as bad as that or worse."""
        return self.statement is None and self.severity.rank >= LEVELS.index(level)

    @property
    def order(self) -> tuple[Any, ...]:
        """The worst first."""
        return -self.severity.rank, -(self.severity.score or 0), self.package, self.ids

    @property
    def purl(self) -> str:
        """The package URL, as far as it is known."""
        if self.ecosystem in _OF_R:
            return f"pkg:{self.ecosystem.lower()}/{self.package}@{self.version}"
        kind = {"PyPI": "pypi"}.get(self.ecosystem, f"deb/{self.ecosystem.lower()}")
        return f"pkg:{kind}/{quote(_canonical(self.package))}@{quote(self.version)}"

    def answer(self) -> dict[str, Any]:
        """What programs read of it."""
        severity = asdict(self.severity)
        told = {"severity": severity.pop("level"), **severity}
        return {**asdict(self), **told, "statement": self.statement and self.statement.answer()}


def subject(package: Named, conda_names: Mapping[str, str]) -> Subject | None:
    """What advisories call a package; ``None`` if none of those that are read speak of its like."""
    name, build = package.name, package.build
    kind = getattr(package, "type", "")
    if not kind:  # a lock, or an install of an older Tykky
        is_r = getattr(package, "is_r", False)
        kind = "conda" if build else "cran" if is_r else "pypi" if _is_of_pypi(package) else ""
    if kind == "pypi":
        return Subject("PyPI", _canonical(name), package.version)
    if kind == "conda":
        project = conda_names.get(name.lower()) or conda_names.get(_canonical(name))
        if project or _OF_PYTHON.search(build) or "python" in getattr(package, "requires", ()):
            return Subject("PyPI", _canonical(project or name), package.version)
    if kind in ("cran", "bioconductor"):
        return Subject("CRAN" if kind == "cran" else "Bioconductor", name, package.version)
    if kind == "deb":
        distribution, _, release = package.channel.partition("-")
        if ecosystem := _DISTRIBUTIONS.get(distribution):
            source, _, version = getattr(package, "source", "").partition(" ")
            version = version.strip("() ") or _REBUILT.sub("", package.version)
            return Subject(ecosystem, source or name, version, release)
    return None


def _is_of_pypi(package: Named) -> bool:
    """Whether a package that does not say so is one of pip's: in a lock, by its file."""
    return package.channel == "pypi" or bool(_DISTRIBUTION.search(getattr(package, "file", "")))


@dataclass
class Mirror:
    """A site's advisories, read as far as they are asked for. ``warn`` is told what is wrong.

    ``count`` is how many there are, ``newest`` when the newest was modified.
    """

    path: Path
    warn: Callable[[str], None]
    conda_names: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[Statement] = ()
    count: int = 0
    newest: str = ""
    _wanted: set[tuple[str, str]] = field(default_factory=set)
    _about: dict[tuple[str, str], list[tuple[osv.Advisory, osv.Affected]]] = field(
        default_factory=dict
    )
    _told: set[str] = field(default_factory=set)
    _names: _Names = field(default_factory=lambda: _Names())
    _found: dict[Subject, tuple[Finding, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, warn: Callable[[str], None], path: Path | None = None) -> Mirror:
        """That of the configuration, or the one at ``path``. Raises ``ConfigError``."""
        from tykky.inventory import statements

        here = config.advisories
        stated = statements.read(here.statements) if here.statements else ()
        path = path or here.osv
        assert path is not None
        return cls(path, warn, _CONDA_NAMES | dict(here.conda_names), stated)

    def subject(self, package: Named) -> Subject | None:
        """What advisories call a package; ``None`` if they do not speak of its like."""
        return subject(package, self.conda_names)

    def want(self, packages: Iterable[Named]) -> None:
        """Read what there is about packages, in one go. Raises ``TykkyError``."""
        self._want(filter(None, map(self.subject, packages)))

    def _want(self, subjects: Iterable[Subject]) -> None:
        new = {(each.ecosystem, each.name) for each in subjects} - self._wanted
        if not new and self.count:
            return
        reading = osv.read(self.path, self._wanted | new, self._warn)
        self._wanted |= new
        self.count, self.newest = reading.count, reading.newest
        self._about.clear()
        self._found.clear()
        self._names = _Names()
        for advisory in reading.advisories.values():
            if not advisory.withdrawn:
                for each in advisory.affected:
                    self._about.setdefault((each.ecosystem, each.name), []).append((advisory, each))
                    for alias in advisory.aliases:
                        self._names.join(advisory.id, alias)
                    for prefix in ("DEBIAN-", "UBUNTU-"):  # their views of a CVE, which they name
                        if advisory.id.startswith(f"{prefix}CVE-"):
                            self._names.join(advisory.id, advisory.id.removeprefix(prefix))

    def match(self, packages: Iterable[Named], stack: str = "") -> list[Finding]:
        """The holes in the packages of a stack, by its module; the worst first.

        Raises ``TykkyError`` if the advisories cannot be read.
        """
        subjects = [(each, about_it) for each in packages if (about_it := self.subject(each))]
        self._want(about_it for _, about_it in subjects)
        found = {}
        for package, about_it in subjects:
            if (about_it.ecosystem, about_it.name) not in self._about:
                continue
            if about_it not in self._found:
                self._found[about_it] = tuple(self._findings(about_it))
            for each in self._found[about_it]:
                name = package.name
                each = replace(each, package=name, version=package.version)
                stated = about(self.statements, each.ids, name, package.version, stack)
                found[each.ids, name, package.version] = replace(each, statement=stated)
        return sorted(found.values(), key=lambda finding: finding.order)

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.warn(text)

    def _findings(self, subject: Subject) -> Iterable[Finding]:
        groups: dict[str, list[tuple[osv.Advisory, osv.Affected]]] = {}
        for advisory, affected in self._about.get((subject.ecosystem, subject.name), ()):
            if not affected.release or subject.release in affected.release.split(":"):
                groups.setdefault(self._names.root(advisory.id), []).append((advisory, affected))
        for group in groups.values():
            hits, unclear = [], []
            for advisory, affected in group:
                verdict = is_affected(affected, subject.version)
                if verdict:
                    hits.append((advisory, affected))
                elif verdict is None:
                    unclear.append(advisory.id)
            if hits:
                yield self._finding(subject, [affected for _, affected in group], hits)
            elif unclear:
                what = f"{subject.name} {subject.version}"
                self._warn(f"nobody can tell whether {', '.join(unclear)} is about {what}")

    def _finding(
        self,
        subject: Subject,
        group: list[osv.Affected],
        hits: list[tuple[osv.Advisory, osv.Affected]],
    ) -> Finding:
        advisories = [advisory for advisory, _ in hits]
        ids = self._names.all_of(advisories[0].id)
        upstream = {name for advisory in advisories for name in advisory.upstream} - ids
        return Finding(
            subject.name,
            subject.version,
            subject.ecosystem,
            tuple(sorted(ids, key=lambda name: (not name.startswith("CVE-"), name))),
            worst(affected.severity for _, affected in hits),
            mended(group, subject.version),
            next((advisory.summary for advisory in advisories if advisory.summary), ""),
            tuple(sorted(upstream)),
            subject.name if subject.ecosystem not in ("PyPI", *_OF_R) else "",
        )


class _Names:
    """The names of holes, of which several may be those of one: that is so of aliases of aliases.

    Each leads to another one of its hole, and so at last to one that all of them share.
    """

    def __init__(self) -> None:
        self.above: dict[str, str] = {}
        self.groups: dict[str, set[str]] = {}

    def root(self, name: str) -> str:
        while (above := self.above.get(name, name)) != name:
            self.above[name] = self.above.get(above, above)
            name = above
        return name

    def join(self, one: str, other: str) -> None:
        one, other = self.root(one), self.root(other)
        self.above.setdefault(one, one)
        self.above[other] = one

    def all_of(self, name: str) -> set[str]:
        """All names of the hole that is called so, once all are joined."""
        if not self.groups:
            for each in self.above:
                self.groups.setdefault(self.root(each), set()).add(each)
        return self.groups.get(self.root(name), {name})

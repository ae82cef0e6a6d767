"""``uv.lock`` and ``pylock.toml``: the versions of a lock, and the digests of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tykky import bases
from tykky.bring.found import Found
from tykky.bring.project import ITSELF, line_of, read_toml, table, texts
from tykky.bring.python import Asked, At, located, python_of, stack
from tykky.bring.requirements import why_index
from tykky.errors import RecipeError, Where
from tykky.tools.wheels import public

if TYPE_CHECKING:
    from tykky.config import Config

_ARCHS = ("x86_64", "aarch64")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
#: What a project is called, and its version: anything else would be another line of a file.
_NAME, _VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]*", r"[A-Za-z0-9][A-Za-z0-9.!+_-]*"


def is_uv(path: Path) -> bool:
    """Whether it is named ``uv.lock``."""
    return path.name == "uv.lock" and path.is_file()


def is_pylock(path: Path) -> bool:
    """Whether it is named as PEP 751 wants."""
    return bool(re.fullmatch(r"pylock(\.[^.]+)?\.toml", path.name)) and path.is_file()


@dataclass
class _Lock:
    """A lock that is being read."""

    path: Path
    config: Config
    text: str
    python: str = ""
    asked: Asked = field(default_factory=Asked)

    def at(self, name: str, version: str = "") -> At:
        """The line of a package."""
        lines = self.text.splitlines()
        numbers = [n for n, line in enumerate(lines) if line.strip() == f'name = "{name}"']
        own = [n for n in numbers if not version or f'"{version}"' in "".join(lines[n : n + 3])]
        return At(self.path.name, (own or numbers or [-1])[0] + 1, self.path.parent)

    def environment(self, **more: Any) -> dict[str, Any]:
        """What markers are compared with: the machines that a stack is for."""
        machine = {"platform_machine": bases.arch(), "platform_system": "Linux", "os_name": "posix"}
        machine |= {"sys_platform": "linux", "platform_python_implementation": "CPython"}
        # As uv takes a version that is asked for without its last part.
        python = {"python_version": self.python, "python_full_version": f"{self.python}.0"}
        return {**machine, **python, "implementation_name": "cpython", "extra": "", **more}

    def holds(self, marker: str, **more: Any) -> bool:
        """Whether a marker is true; one that nobody understands is."""
        from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

        if not marker:
            return True
        try:
            context: Any = "lock_file" if more else "metadata"
            return Marker(marker).evaluate(self.environment(**more), context)
        except (InvalidMarker, UndefinedEnvironmentName, ValueError, TypeError, KeyError):
            return True

    def index(self, address: str) -> None:
        """Note an index that is not one of those configured."""
        pip = self.config.pip
        known = {public(one).rstrip("/") for one in (pip.index_url, *pip.extra_index_urls)}
        shown = public(address)
        if shown and shown.rstrip("/") not in {*known, "https://pypi.org/simple"}:
            at = At(self.path.name, line_of(self.text, address))
            self.asked.leave(f"the index {shown}", why_index(address), at)

    def pin(
        self, name: str, version: str, files: Iterable[tuple[str, str]], *, source: bool
    ) -> str:
        """The requirement of a version, with the digests of its files for the machines there are.

        Without a wheel for them, it is built from source, if there is one.
        """
        fitting = [digest for file, digest in files if fits(file, self.python)]
        if not fitting and source:
            self.asked.source.append(name)
            fitting = [digest for file, digest in files if not file.endswith(".whl")]
        hashes = (
            f" --hash=sha256:{digest}" for digest in sorted({*filter(_SHA256.fullmatch, fitting)})
        )
        return f"{name}=={version}" + "".join(hashes)


def fits(file: str, python: str) -> bool:
    """Whether a wheel, by its name, is for a Python on Linux machines of any kind known here."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        tags = parse_wheel_filename(file)[3]
    except InvalidWheelFilename:
        return False
    minor = int(python.partition(".")[2])
    for tag in tags:
        machine = tag.platform == "any" or (
            re.match("(many)?linux", tag.platform) and tag.platform.endswith(_ARCHS)
        )
        language = re.fullmatch(r"(cp|py)3(\d*)", tag.interpreter)
        if machine and language:
            own = not language[2] or int(language[2]) == minor
            if own or (tag.abi in ("abi3", "none") and int(language[2] or 0) <= minor):
                return True
    return False


def _read(path: Path, config: Config, packages: str) -> tuple[_Lock, dict[str, Any], list[Any]]:
    """A lock, what it says, and the rows of its packages that have a name."""
    data, text = read_toml(path)
    lock = _Lock(path, config, text)
    said = data.get(packages)
    rows = [row for row in said if table(row).get("name")] if isinstance(said, list) else []
    if not rows:
        cause = f"{path.name} names no packages"
        raise RecipeError(cause, remedy="give the whole lock", where=Where(path))
    for row in rows:
        version = str(row.get("version") or "0")
        if not (re.fullmatch(_NAME, str(row["name"])) and re.fullmatch(_VERSION, version)):
            where = Where(path, lock.at(str(row["name"])).line)
            cause = f"{path.name} has a package {row['name']!r} {version!r}, which is no name"
            raise RecipeError(cause, remedy="make the lock anew", where=where)
    beside = path.parent / ".python-version"
    wanted = ""
    if beside.is_file():
        found = re.match(r"(3\.\d+)", beside.read_text(encoding="utf-8", errors="replace").strip())
        wanted = found[1] if found else ""
    limits = str(data.get("requires-python", ""))
    lock.python = python_of(config, lock.asked, wanted, limits, At(path.name, 1))
    return lock, data, rows


def _files(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files of a package with the digests: wheels and source archive."""
    found = []
    for each in (*(row.get("wheels") or []), row.get("sdist")):
        said = table(each)
        address = str(said.get("url") or said.get("path") or said.get("name") or "")
        name = str(said.get("name") or Path(unquote(urlsplit(address).path)).name)
        digest = str(said.get("hash") or table(said.get("hashes")).get("sha256") or "")
        found.append((name, digest.removeprefix("sha256:")))
    return found


# -- uv.lock --------------------------------------------------------------------------------


def read_uv(path: Path, config: Config) -> Found:
    """The recipe of a project's lock: what the project asks for, in the versions of the lock.

    Raises ``TykkyError``.
    """
    lock, _, rows = _read(path, config, "package")
    roots = [row for row in rows if table(row.get("source")).keys() & {"editable", "virtual"}]
    reached: dict[int, Mapping[str, Any]] = {}
    direct: dict[str, str] = {}
    for root in roots:
        if "editable" in table(root.get("source")):
            lock.asked.leave(f"the project {root['name']} itself", ITSELF, lock.at(root["name"]))
        for need in _needs(lock, root):
            row = _chosen(lock, rows, need)
            if row is None or row in roots:
                continue
            extras = texts(need.get("extra"))
            direct[str(row["name"])] = f"[{','.join(extras)}]" if extras else ""
            _walk(lock, rows, row, extras, reached)
        for table_name, what in (("optional-dependencies", "extra"), ("dev-dependencies", "group")):
            for name in table(root.get(table_name)):
                why = "nobody has chosen it: add what it names to the packages, and lock again"
                lock.asked.leave(
                    f"the {what} '{name}' of {root['name']}", why, lock.at(root["name"])
                )
    if not roots:  # a lock of something else: all of it
        reached = {id(row): row for row in rows}
        direct = {str(row["name"]): "" for row in rows}
    for row in reached.values():
        _place(lock, row, direct)
    asked = lock.asked
    if not asked.packages:
        cause = f"{path.name} has no package that a recipe could have"
        raise RecipeError(cause, remedy="look at what is in it", where=Where(path))
    name = str(roots[0]["name"]) if roots else path.absolute().parent.name
    version = str(roots[0].get("version") or "") if roots else ""
    about = f"What {name} needs, in the versions of its {path.name}."
    return stack(asked, lock.python, about=about, version=version)


def _needs(lock: _Lock, row: Mapping[str, Any], extras: Iterable[str] = ()) -> Iterator[Any]:
    """What a package needs here, also for some of its extras."""
    optional = table(row.get("optional-dependencies"))
    lists = [row.get("dependencies"), *(optional.get(extra) for extra in extras)]
    for each in (need for group in lists if isinstance(group, list) for need in group):
        if table(each).get("name") and lock.holds(str(each.get("marker", ""))):
            yield each


def _chosen(lock: _Lock, rows: Iterable[Any], need: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The package that is meant where there are several of one name."""
    named = [row for row in rows if row["name"] == need["name"]]
    if "version" in need:
        named = [row for row in named if row.get("version") == need["version"]]
    fitting = (
        row
        for row in named
        if not (markers := texts(row.get("resolution-markers"))) or any(map(lock.holds, markers))
    )
    return next(fitting, named[0] if named else None)


def _walk(
    lock: _Lock, rows: list[Any], row: Mapping[str, Any], extras: Iterable[str], reached: Any
) -> None:
    """Gather a package and what it needs, each once for each set of extras."""
    seen: set[tuple[int, tuple[str, ...]]] = set()
    pending = [(row, tuple(extras))]
    while pending:
        each, wanted = pending.pop()
        if (id(each), wanted) in seen:
            continue
        seen.add((id(each), wanted))
        reached[id(each)] = each
        for need in _needs(lock, each, wanted):
            if (found := _chosen(lock, rows, need)) is not None:
                pending.append((found, tuple(texts(need.get("extra")))))


def _place(lock: _Lock, row: Mapping[str, Any], direct: Mapping[str, str]) -> None:
    """Put a package where it belongs: with those that were asked for, and its version."""
    name, source = str(row["name"]), table(row.get("source"))
    at = lock.at(name, str(row.get("version", "")))
    if "registry" in source:
        if re.match("https?:", str(source["registry"])):
            lock.index(str(source["registry"]))
        pin = lock.pin(name, str(row["version"]), _files(row), source=bool(row.get("sdist")))
        lock.asked.constraints.append(pin)
        if name in direct:
            lock.asked.packages.append(f"{name}{direct[name]}")
        return
    where = next(
        (
            str(source[key])
            for key in ("git", "url", "path", "directory", "editable")
            if key in source
        ),
        "",
    )
    located(lock.asked, f"git+{where}" if "git" in source else where, name, at)


# -- pylock.toml ----------------------------------------------------------------------------


def read_pylock(path: Path, config: Config) -> Found:
    """The recipe of all that a ``pylock.toml`` installs by default. Raises ``TykkyError``."""
    lock, data, rows = _read(path, config, "packages")
    groups = {*texts(data.get("default-groups"))}
    for kind in ("extras", "dependency-groups"):
        for name in texts(data.get(kind)):
            if name not in groups:
                why = "nobody has chosen it: export the lock with it, or add its packages"
                what = f"the {kind.rstrip('s').replace('-', ' ')} '{name}'"
                lock.asked.leave(what, why, At(path.name, line_of(lock.text, kind)))
    for row in rows:
        marker = str(row.get("marker", ""))
        if not lock.holds(marker, extras=set(), dependency_groups=groups):
            continue
        name, at = str(row["name"]), lock.at(str(row["name"]))
        direct = next((key for key in ("vcs", "directory", "archive") if key in row), "")
        if direct:
            said = table(row[direct])
            where = str(said.get("url") or said.get("path") or "")
            located(lock.asked, f"git+{where}" if direct == "vcs" else where, name, at)
        elif "version" in row and _files(row):
            lock.index(str(row.get("index") or ""))
            pin = lock.pin(name, str(row["version"]), _files(row), source=bool(row.get("sdist")))
            lock.asked.packages.append(pin)
        else:
            lock.asked.leave(name, "the lock names neither a version nor a file of it", at)
    if not lock.asked.packages:
        cause = f"{path.name} has no package that a recipe could have"
        raise RecipeError(cause, remedy="look at what is in it", where=Where(path))
    about = f"The Python packages of {path.name}, in its versions."
    return stack(lock.asked, lock.python, about=about, locked=True)

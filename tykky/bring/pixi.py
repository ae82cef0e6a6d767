"""What pixi has: ``pixi.toml``, ``[tool.pixi]`` of a ``pyproject.toml``, ``pixi.lock``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tykky.bring import conda_lock, exact
from tykky.bring.conda_lock import line_of, mapping, pinned, rows_of
from tykky.bring.environment import of_environments, text_of
from tykky.bring.exact import ARCHS, Exact, Leaving
from tykky.bring.found import Found
from tykky.conda.environment import Environment, Pinned
from tykky.config import Config
from tykky.errors import RecipeError, Where
from tykky.text import load_yaml, read_text
from tykky.tools.wheels import toml

_DEFAULT = "default"
#: A string, a comment, a break, or a character of TOML.
_PIECES = re.compile(
    r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\s\S]'
)
#: What of a feature is packages of conda.
_TABLES = ("dependencies", "host-dependencies", "build-dependencies")
#: What pixi has for its own work, and nothing of it is in an environment.
_NO_PART = {
    "tasks": "a stack has commands: make the task a script, and run that",
    "package": "it says how pixi builds a package of this directory",
    "dev": "it is for those who develop a package",
    "constraints": "write it into 'packages' if the package is in there anyway",
    "pypi-options": "set indexes in the configuration: 'pip.index_url', 'pip.extra_index_urls'",
    "pypi-exclude-newer": "set 'pip.quarantine' in the configuration",
}


def is_manifest(path: Path) -> bool:
    """Whether a file is ``pixi.toml``, or a ``pyproject.toml`` with what pixi wants to know."""
    if path.suffix != ".toml":
        return False
    text = text_of(path)
    if path.name == "pyproject.toml":
        return re.search(r"^\s*\[tool\.pixi\.", text, re.MULTILINE) is not None
    if path.name == "pixi.toml":
        return True
    head = r"^\s*\[(workspace|project)\]"
    return re.search(head, text, re.MULTILINE) is not None and "platforms" in text


def is_lock(path: Path) -> bool:
    """Whether a file is a ``pixi.lock`` since pixi 0.15."""
    if path.suffix not in (".lock", ".yml", ".yaml"):
        return False
    text = text_of(path)
    keys = ("version", "environments", "packages")
    return all(re.search(rf"^{key}\s*:", text, re.MULTILINE) for key in keys)


# -- pixi.lock --------------------------------------------------------------------------------


def read_lock(source: Path, config: Config) -> Found:
    """The recipe for the environment that is the default. Raises ``RecipeError``."""
    path = Path(os.path.realpath(source))
    leave = Leaving(path.name)
    text = read_text(path, "lock file", RecipeError)
    data = load_yaml(text, path, RecipeError, most=conda_lock.ENTRIES)
    known = {_key(row): row for row in rows_of(data, "packages", path)}
    environments = mapping(mapping(data).get("environments"))
    name = _DEFAULT if _DEFAULT in environments else next(iter(environments), "")
    for other in environments:
        if other != name:
            why = f"the recipe is for '{name}'; one recipe has one environment"
            leave(f"the environment '{other}'", why, line_of(text, f"  {other}:"))
    subdirs = {
        str(row.get("name")): str(row.get("subdir") or row.get("name"))
        for row in mapping(data).get("platforms") or ()
        if isinstance(row, Mapping)
    }
    wanted: dict[str, Exact] = {}
    packages = mapping(mapping(environments.get(name)).get("packages"))
    for platform, rows in packages.items():
        arch = ARCHS.get(subdirs.get(platform, platform))
        if arch is None:
            leave(f"packages for {platform}", exact.NO_LINUX, line_of(text, f"{platform}:"))
        elif arch in wanted:
            leave(f"packages for {platform}", "there are others for the same architecture")
        else:
            conda: list[Pinned] = []
            pip: list[str] = []
            for row in rows if isinstance(rows, list) else ():
                _add(mapping(row), known, conda, pip, leave, path, text)
            wanted[arch] = Exact(tuple(conda), tuple(pip))
    return exact.found(wanted, leave, config, about=f"The packages of {path.name}.")


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    """The kind of a package and where it is from, whichever version of the format says it."""
    if kind := row.get("kind"):
        return str(kind), str(row.get("url") or row.get("path"))
    kind = next((kind for kind in ("conda", "pypi", "source") if kind in row), "")
    return kind, str(row.get(kind))


def _add(
    named: Mapping[str, Any],
    known: Mapping[tuple[str, str], Mapping[str, Any]],
    conda: list[Pinned],
    pip: list[str],
    leave: Leaving,
    path: Path,
    text: str,
) -> None:
    """Put a package that an environment names where it belongs."""
    kind, address = _key(named)
    row = known.get((kind, address), {})
    line = partial(line_of, text, f"{kind}: {address}\n")
    # Channels on disk are named by their path.
    url = Path(address).as_uri() if address.startswith("/") else address
    if kind == "pypi":
        name, version, sha256 = (str(row.get(key) or "") for key in ("name", "version", "sha256"))
        pip += exact.requirement(name, version, address, sha256, leave, line())
    elif kind == "conda" and conda_lock.PACKAGE.fullmatch(url):
        conda.append(pinned(url, row, path, text))
    else:
        why = "it is of no channel: pixi builds it, or fetches it from elsewhere; put it into one"
        leave(address, why, line())


# -- pixi.toml --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Manifest:
    """A manifest, its text, and who is told what is left out of it."""

    path: Path
    data: Mapping[str, Any]
    text: str
    leave: Leaving

    def line(self, word: str) -> int:
        """The line that begins with a key, a quoted one as well, or else has the word."""
        found = re.search(rf"^\s*\"?{re.escape(word)}\"?\s*=", self.text, re.MULTILINE)
        at = found.end() if found else self.text.find(word)
        return self.text.count("\n", 0, at) + 1 if at >= 0 else 0

    @property
    def about(self) -> Mapping[str, Any]:
        """The table that says what the workspace is."""
        return mapping(self.data.get("workspace") or self.data.get("project"))

    def platforms(self) -> set[str]:
        """The names of the platforms that it is for: all that there are, if it names none."""
        said = self.about.get("platforms")
        rows = said if isinstance(said, list) and said else [*ARCHS]
        return {str(mapping(row).get("platform") or row) for row in rows}

    def features(self) -> list[Mapping[str, Any]]:
        """Those that the default environment consists of; the others are told."""
        environments = mapping(self.data.get("environments"))
        known = mapping(self.data.get("feature"))
        said = environments.get(_DEFAULT) or []
        used = said if isinstance(said, list) else mapping(said).get("features") or []
        bare = not isinstance(said, list) and mapping(said).get("no-default-feature")
        for name in environments:
            if name != _DEFAULT:
                why = "the recipe is for the default one; make a recipe or a variant of it"
                self.leave(f"the environment '{name}'", why, self.line(name))
        for name in known:
            if name not in used:
                at = line_of(self.text, f"feature.{name}.")
                self.leave(f"the feature '{name}'", "the default environment is without it", at)
        return [*([] if bare else [self.data]), *(mapping(known.get(n)) for n in used)]


def read_manifest(source: Path, config: Config) -> Found:
    """The recipe for the environment that is the default. Raises ``RecipeError``."""
    path = Path(os.path.realpath(source))
    leave = Leaving(path.name)
    text = read_text(path, "manifest", RecipeError)
    try:
        data: Mapping[str, Any] = _toml(text)
    except ValueError as error:
        found = re.search(r"line (\d+)", str(error))
        where = Where(path, int(found[1]) if found else 0)
        raise RecipeError(
            f"not valid TOML: {error}", remedy="correct the line", where=where
        ) from None
    project = mapping(data.get("project"))
    if path.name == "pyproject.toml":
        data = mapping(mapping(data.get("tool")).get("pixi"))
    manifest = _Manifest(path, data, text, leave)
    for key, why in _NO_PART.items():
        for name in mapping(data.get(key)):
            leave(f"{key}: {name}", why, manifest.line(name))
    features = manifest.features()
    wanted = {
        arch: _wanted(features, platform, manifest, project if data is not project else {})
        for platform, arch in ARCHS.items()
        if platform in manifest.platforms()
    }
    if not wanted:
        remedy = "add 'linux-64' to its platforms if its packages are there for Linux, too"
        raise RecipeError(f"{path.name} is for no Linux", remedy=remedy, where=Where(path))
    if (path.parent / "pixi.lock").is_file():
        why = "the newest versions are taken: to keep those of the lock, give the lock itself"
        leave("pixi.lock", why)
    title = str(manifest.about.get("name") or project.get("name") or "")
    described = str(manifest.about.get("description") or project.get("description") or "")
    return of_environments(
        wanted,
        leave,
        config,
        line=lambda word: Where(path, manifest.line(re.split(r"[^\w.-]", word)[0])),
        about=described or (title and f"The workspace '{title}'."),
        version=_version(str(manifest.about.get("version") or project.get("version") or "")),
        more=_machine(features, manifest),
    )


def _toml(text: str) -> dict[str, Any]:
    """What a manifest says, with tables over several lines as TOML has them since 1.1.

    Raises ``ValueError`` with the line.
    """
    try:
        return toml(text)
    except ValueError:
        joined = _joined(text)
        if joined == text:
            raise
        # A mistake is in the same line, since each has as many breaks as before.
        return toml(joined)


def _joined(text: str) -> str:
    """The same with each table in braces on its first line, and the breaks behind it."""
    parts: list[str] = []
    open_braces: list[str] = []
    breaks = 0
    for piece in _PIECES.findall(text):
        if piece in ("{", "["):
            open_braces.append(piece)
        elif piece in ("}", "]") and open_braces:
            open_braces.pop()
            if piece == "}":
                while parts and not parts[-1].strip(" \t,"):
                    parts.pop()
        elif open_braces and "{" in open_braces and (piece == "\n" or piece[0] == "#"):
            breaks += piece == "\n"
            piece = " " if piece == "\n" else ""
        elif piece == "\n":
            piece, breaks = "\n" * (breaks + 1), 0
        parts.append(piece)
    return "".join(parts)


def _version(text: str) -> str:
    """A version that a recipe can have, or none."""
    return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) else ""


def _wanted(
    features: Iterable[Mapping[str, Any]],
    platform: str,
    manifest: _Manifest,
    project: Mapping[str, Any],
) -> Environment:
    """What is asked for on a platform."""
    specs: dict[str, str] = {}
    pip: list[str] = []
    channels: list[str] = []
    variables: dict[str, str] = {}
    for feature in features:
        for table in _tables(feature, platform, manifest):
            for key in _TABLES:
                for name, value in mapping(table.get(key)).items():
                    specs |= _spec(name, value, manifest)
            for name, value in mapping(table.get("pypi-dependencies")).items():
                pip += _requirement(name, value, manifest)
            activation = mapping(table.get("activation"))
            for script in activation.get("scripts") or ():
                why = "a stack is entered without scripts: write what it sets into 'env'"
                manifest.leave(f"activation: {script}", why, manifest.line(str(script)))
            variables |= {k: str(v) for k, v in mapping(activation.get("env")).items()}
        channels += [_channel(each) for each in feature.get("channels") or ()]
    channels += [_channel(each) for each in manifest.about.get("channels") or ()]
    if python := project.get("requires-python"):
        specs.setdefault("python", "python " + str(python).replace(" ", ""))
    pip += [str(text) for text in project.get("dependencies") or ()]
    return Environment(
        channels=tuple(dict.fromkeys(channels)),
        specs=tuple(specs.values()),
        pip=tuple(dict.fromkeys(pip)),
        variables=variables,
    )


def _tables(
    feature: Mapping[str, Any], platform: str, manifest: _Manifest
) -> Iterator[Mapping[str, Any]]:
    """A feature, and what of it is for a platform."""
    yield feature
    for target, table in mapping(feature.get("target")).items():
        if target in ("unix", "linux", platform):
            yield mapping(table)
        elif target not in ARCHS:
            at = line_of(manifest.text, f"target.{target}")
            manifest.leave(f"the target '{target}'", exact.NO_LINUX, at)


def _channel(value: Any) -> str:
    return str(mapping(value).get("channel") or value)


def _spec(name: str, value: Any, manifest: _Manifest) -> dict[str, str]:
    """A package as conda writes it; nothing for one that no channel has."""
    table = {"version": value} if isinstance(value, str) else mapping(value)
    if elsewhere := {"path", "git", "url"} & table.keys():
        why = "it is built or fetched from elsewhere: put a package of it into a channel"
        manifest.leave(f"{name} ({', '.join(sorted(elsewhere))})", why, manifest.line(name))
        return {}
    for key in table.keys() - {"version", "build", "channel"}:
        manifest.leave(
            f"{name}: {key}", "only version, build and channel count", manifest.line(name)
        )
    version, build = (str(table.get(key) or "").strip() for key in ("version", "build"))
    version = re.sub(r"\s*([,|])\s*", r"\1", re.sub(r"([<>=!~])\s+", r"\1", version))
    exactly = re.fullmatch(r"[\w.!+]+", version) is not None
    spec = (
        name if version in ("", "*") and not build else f"{name} {'==' * exactly}{version or '*'}"
    )
    if build:
        spec = f"{spec} {build}"
    channel = str(table.get("channel") or "")
    return {name: f"{channel}::{spec}" if channel else spec}


def _requirement(name: str, value: Any, manifest: _Manifest) -> Iterator[str]:
    """A requirement as pip writes it; nothing for one that is on no index."""
    table = {"version": value} if isinstance(value, str) else mapping(value)
    line = manifest.line(name)
    if elsewhere := {"path", "git"} & table.keys():
        why = "it is no released package: make a wheel of it, and name that"
        manifest.leave(f"{name} ({', '.join(sorted(elsewhere))})", why, line)
        return
    if index := table.get("index"):
        why = "it is from an index of its own: set 'pip.extra_index_urls' in the configuration"
        manifest.leave(f"{name}: {index}", why, line)
    extras = table.get("extras") or ()
    version = str(table.get("version") or "").strip()
    version = "" if version == "*" else version
    exactly = re.fullmatch(r"[\w.!+*]+", version) is not None
    chosen = f"{name}[{','.join(map(str, extras))}]" if extras else name
    marker = f"; {table['env-markers']}" if table.get("env-markers") else ""
    if url := table.get("url"):
        yield f"{chosen} @ {url}{' ' if marker else ''}{marker}"
    else:
        yield f"{chosen}{'==' * exactly}{version.replace(' ', '')}{marker}"


def _machine(features: Iterable[Mapping[str, Any]], manifest: _Manifest) -> dict[str, object]:
    """The fields that say which machines the stack is for."""
    found: dict[str, str] = {}
    for feature in features:
        for key, value in mapping(feature.get("system-requirements")).items():
            version = str(mapping(value).get("version") or value)
            name = {"libc": "__glibc", "linux": "__linux", "cuda": "__cuda"}.get(key)
            if name and re.fullmatch(r"[\w.]+", version):
                found[name] = version
            elif key != "macos":
                manifest.leave(
                    f"system-requirements: {key}", "no recipe says it", manifest.line(key)
                )
    packages = tuple(f"{name}={version}" for name, version in found.items())
    gpu = {"gpu": "nvidia"} if "__cuda" in found else {}
    return {"virtual_packages": packages, **gpu} if packages else {}

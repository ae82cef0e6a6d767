"""``conda-lock`` files: all platforms in one, packages of conda and of pip."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tykky.bring import exact
from tykky.bring.environment import text_of
from tykky.bring.exact import ARCHS, Exact, Leaving
from tykky.bring.found import Found
from tykky.conda.environment import Pinned
from tykky.config import Config
from tykky.console import plural
from tykky.errors import RecipeError, Where
from tykky.fetch import is_sha256
from tykky.text import load_yaml, read_text

#: More entries than the largest of such files has.
ENTRIES = 2_000_000
#: What is installed without being asked for.
_MAIN = "main"
#: The address of a package.
PACKAGE = re.compile(r"\w+://[^\s#]+/[\w-]+/[^/\s#]+-[^/\s#-]+-[^/\s#-]+\.(conda|tar\.bz2)")


def is_one(path: Path) -> bool:
    """Whether a file is one, which those of pixi before its 0.15 are, too."""
    if path.suffix not in (".yml", ".yaml", ".lock"):
        return False
    text = text_of(path)
    return all(re.search(rf"^{key}\s*:", text, re.MULTILINE) for key in ("metadata", "package"))


def read(source: Path, config: Config) -> Found:
    """The recipe for the packages that are installed without asking for more. ``RecipeError``."""
    path = Path(os.path.realpath(source))
    leave = Leaving(path.name)
    text = read_text(path, "lock file", RecipeError)
    data = load_yaml(text, path, RecipeError, most=ENTRIES)
    conda: dict[str, list[Pinned]] = {arch: [] for arch in ARCHS.values()}
    pip: dict[str, list[str]] = {arch: [] for arch in ARCHS.values()}
    others: Counter[str] = Counter()
    optional: Counter[str] = Counter()
    for row in rows_of(data, "package", path):
        platform, category = str(row.get("platform")), str(row.get("category") or _MAIN)
        if platform not in ARCHS:
            others[platform] += 1
        elif category != _MAIN:
            optional[category] += 1
        elif row.get("manager") == "pip":
            name, version, url = (str(row.get(key) or "") for key in ("name", "version", "url"))
            sha256 = str(mapping(row.get("hash")).get("sha256") or "")
            line = line_of(text, url or f"name: {name}")
            pip[ARCHS[platform]] += exact.requirement(name, version, url, sha256, leave, line)
        else:
            conda[ARCHS[platform]].append(pinned(row.get("url"), row.get("hash"), path, text))
    for platform, count in exact.by_count(others):
        leave(f"{plural(count, 'package')} for {platform}", exact.NO_LINUX)
    for category, count in exact.by_count(optional):
        why = f"only what is in '{_MAIN}' is carried over: lock without categories to have all"
        line = line_of(text, f"category: {category}")
        leave(f"{plural(count, 'package')} of the category '{category}'", why, line)
    by_arch = {arch: Exact(tuple(conda[arch]), tuple(pip[arch])) for arch in conda}
    return exact.found(by_arch, leave, config, about=f"The packages of {path.name}.")


def rows_of(data: Any, key: str, path: Path) -> list[Mapping[str, Any]]:
    """A list of mappings in what a lock says. Raises ``RecipeError``."""
    rows = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        cause = f"{path.name} has no list '{key}' of packages, as a lock has"
        raise RecipeError(cause, remedy="make it anew", where=Where(path))
    return rows


def mapping(value: Any) -> Mapping[str, Any]:
    """What should be a mapping, and is an empty one if it is something else."""
    return value if isinstance(value, Mapping) else {}


def pinned(url: Any, digests: Any, path: Path, text: str) -> Pinned:
    """A package of a lock with this text by its address. Raises ``RecipeError`` if it is none."""
    if not isinstance(url, str) or not PACKAGE.fullmatch(url):
        cause = f"'{str(url)[:200]}' is no package of a channel"
        remedy = "lock it anew, with packages of channels only"
        raise RecipeError(cause, remedy=remedy, where=Where(path, line_of(text, str(url))))
    sha256, md5 = (str(mapping(digests).get(key) or "") for key in ("sha256", "md5"))
    md5 = md5 if re.fullmatch("[0-9a-f]{32}", md5) else ""
    return Pinned(url, sha256 if is_sha256(sha256) else "", md5)


def line_of(text: str, word: str) -> int:
    """The first line that has a word in it, from 1; 0 if none has."""
    at = text.find(word) if word else -1
    return text.count("\n", 0, at) + 1 if at >= 0 else 0

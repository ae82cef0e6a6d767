"""What somebody looks for: a name, perhaps a glob, perhaps with versions: ``numpy>=2,<2.3``."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from tykky.errors import SpecError

_VERSIONS = r"(?:===?|~=|!=|<=?|>=?|=)\s*[^\s,<>=!~][^\s,<>=]*"
_ASKED = re.compile(rf"\s*([^<>=!~\s]+)\s*({_VERSIONS}(?:\s*,\s*{_VERSIONS})*)\s*")
_CLAUSE = re.compile(r"(===?|~=|!=|<=?|>=?|=)\s*([^\s,<>=]+)")
#: The parts of a glob; what is no bracket that closes is a character.
_GLOB = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]|[-_.]+|.", re.DOTALL)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Wanted:
    """What is looked for: a glob, and what versions have to be."""

    text: str
    name: str
    clauses: tuple[tuple[str, str], ...] = ()

    def fits(self, version: str, kind: str = "") -> bool:
        """Whether a version of a package of some ``type`` is wanted."""
        return all(_holds(version, how, than, kind) for how, than in self.clauses)

    @property
    def of_package(self) -> str:
        """A pattern of regular expressions for how JSON writes the name of a package."""
        return f"(?i:{_in_json(self.name, '[-_.]+')})"

    @property
    def of_command(self) -> str:
        """The same for a command, where upper case and dashes make a difference."""
        return _in_json(self.name)


def wanted(text: str) -> Wanted:
    """What a word of a command line looks for. Raises ``SpecError``."""
    found = _ASKED.fullmatch(text)
    if found is None:
        if not text.strip() or re.search(r"[<>=~]", text):
            remedy = "write NAME, or NAME with versions, such as 'numpy>=2,<2.3'"
            raise SpecError(f"'{text}' is nothing to look for", remedy=remedy)
        return Wanted(text, text)
    return Wanted(text, found[1], tuple(_CLAUSE.findall(found[2])))


def _in_json(name: str, dashes: str = "") -> str:
    """The expression for a name in JSON, which writes some letters in another way."""
    return glob(json.dumps(name)[1:-1].replace("**", "*"), '"', dashes)


def glob(text: str, but: str = "", dashes: str = "") -> str:
    """A glob as a regular expression, in which ``*`` and ``?`` match none of ``but``.

    Only ``**`` does. ``dashes`` is what matches where dashes, dots and underscores are one.
    """
    made, other = [], rf"[^{but}\n]"
    for part in _GLOB.findall(text):
        if part[0] == "*":
            made.append(rf"{other}*" if part == "*" else r"[^\n]*")
        elif part == "?":
            made.append(other)
        elif part[0] == "[" and len(part) > 2:
            inside = part[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            made.append(rf"[^\n{inside[1:]}]" if inside[0] == "!" else f"[{inside}]")
        else:
            made.append(dashes if dashes and part[0] in "-_." else re.escape(part))
    return "".join(made)


@lru_cache(maxsize=4096)
def _holds(version: str, how: str, than: str, kind: str) -> bool:
    """Whether a version is as one clause says, by the rules of its kind of package."""
    if how == "===":
        return version == than
    how, than = ("==", than.removesuffix(".*") + ".*") if how == "=" else (how, than)
    if kind not in ("deb", "rpm", "apk"):
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
        from packaging.version import InvalidVersion, Version

        try:
            return SpecifierSet(f"{how}{than}").contains(Version(version), prereleases=True)
        except (InvalidSpecifier, InvalidVersion):
            pass  # such as OpenSSL's 1.1.1w
    if how in ("==", "!="):
        start = than.removesuffix("*")
        same = version.startswith(start) if start != than else version == than
        return same or f"{version}." == start if how == "==" else not same
    if how == "~=":
        return _holds(version, ">=", than, kind) and version.startswith(than.rpartition(".")[0])
    made = _maker(kind)
    try:
        return _ORDER[how](made(version), made(than))
    except Exception:  # whatever a library makes of a version that is none
        return False


def _maker(kind: str) -> Callable[[str], Any]:
    """What makes versions that can be compared, as a kind of package does."""
    if kind in ("deb", "rpm", "apk"):
        from univers import versions

        names = {"deb": "DebianVersion", "rpm": "RpmVersion", "apk": "AlpineLinuxVersion"}
        return cast("Callable[[str], Any]", getattr(versions, names[kind]))
    from tykky import recipe

    return recipe.Version

"""Repositories of recipes that git fetches, as the configuration names them.

``git+ADDRESS?ref=main&path=repo#COMMIT``: what counts is the commit; ``ref`` is the branch or tag
that 'tykky repo update' follows, and ``path`` the folder of the repository that has the recipes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, quote

from tykky.errors import masked

#: How such an item of a list of directories begins.
PREFIX = "git+"
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: A name of git that is no option, and that no command of git takes for something else.
REF = re.compile(r"(?!-)(?!.*(\.\.|@\{|//|/$|\.$))[^\x00-\x20\x7f~^:?*\[\\]+")
_ADDRESS = re.compile(
    r"(https?|ssh|git)://[^\s/?#-][^\s/?#]*/[^\s?#]+"
    r"|(file://)?/[^\x00-\x1f?#]+"
    r"|[\w.-]+@[\w.-]+:[^\s/?#][^\s?#]*",
    re.ASCII,
)
_FORM = f"{PREFIX}ADDRESS?ref=BRANCH&path=FOLDER#COMMIT"


def address_problem(address: str) -> str:
    """What is wrong with the address of a repository, to continue a sentence; empty if nothing."""
    if masked(address) != address:
        return "has a user or a password in it: let git know these, by a credential helper"
    if not _ADDRESS.fullmatch(address):
        return "is no address of git: https://, ssh://, USER@HOST:PATH or a path from / on"
    return ""


@dataclass(frozen=True)
class Remote:
    """A commit of a repository of git; ``ref`` and ``path`` may be empty."""

    address: str
    commit: str
    ref: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Remote:
        """What an item of a list says. Raises ``ValueError``, which continues a sentence."""
        head, _, commit = text.removeprefix(PREFIX).rpartition("#")
        address, _, query = head.partition("?")
        if not COMMIT.fullmatch(commit):
            raise ValueError(f"names no commit by its full number; it is {_FORM}")
        if problem := address_problem(address):
            raise ValueError(problem)
        known = dict(parse_qsl(query, keep_blank_values=True))
        found = cls(address, commit, known.pop("ref", ""), known.pop("path", ""))
        if known or (found.ref and not REF.fullmatch(found.ref)) or not _is_inside(found.path):
            raise ValueError(f"has something else behind '?'; it is {_FORM}")
        return found

    def __str__(self) -> str:
        pairs = (("ref", self.ref), ("path", self.path))
        query = "&".join(f"{name}={quote(value)}" for name, value in pairs if value)
        return f"{PREFIX}{self.address}{'?' if query else ''}{query}#{self.commit}"

    @property
    def name(self) -> str:
        """How people call it: the last word of its address."""
        last = re.split("[/:]", self.address.rstrip("/"))[-1].removesuffix(".git")
        return re.sub(r"[^\w.-]+", "-", last, flags=re.ASCII).strip(".-") or "recipes"

    def folder(self, cache: Path) -> Path:
        """Where its recipes are on this machine, once they were fetched."""
        told = f"{self.name}-{self.commit}"
        if self.path:  # the same commit may have recipes in two folders
            told += "-" + hashlib.sha256(self.path.encode()).hexdigest()[:8]
        return home(cache) / told


def home(cache: Path) -> Path:
    """Where what git fetches is kept: beside the cache, which builds may write to."""
    return Path(f"{cache}-recipes")


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts and path.isprintable()


def split(text: str) -> list[str]:
    """The items of a list of directories and such repositories, with colons between them."""
    item = rf"{re.escape(PREFIX)}[^#]*#[^:]*|[^:]+"
    return re.findall(item, text)

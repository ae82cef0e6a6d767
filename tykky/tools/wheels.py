"""Files of the package index: found by name, downloaded and verified before anything is built.

A lock names each file and its digest, and not where it is; so any index that has it will do.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from tykky import fetch
from tykky.errors import Exit, StepError, masked
from tykky.files import parse_json, read_within
from tykky.lock import canonical

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.lock import Package

#: What an index shall answer: the form for programs, or the page that all have.
_FORMS = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


def toml(text: str) -> dict[str, Any]:
    """What a text in TOML says. Raises ``ValueError``."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def rivals(prefix: Path, names: Container[str]) -> list[str]:
    """Which of some projects below a prefix bring other files than others by the same names."""
    found: dict[str, dict[str, str]] = {}  # of each file, the digests, and a project with it
    disputed = set()
    for record in sorted(prefix.glob("lib/python3*/site-packages/*.dist-info/RECORD")):
        name = canonical(record.parent.name.partition("-")[0])
        for line in read_within(prefix, record).decode(errors="replace").splitlines():
            path, _, digest = line.rpartition(",")[0].rpartition(",")
            path = os.path.normpath(path)
            known = found.setdefault(path, {})
            if known and (not digest or {digest} != known.keys()):
                disputed |= {name, *known.values()}
            known.setdefault(digest, name)
    return sorted(name for name in disputed if name in names)


def provide(
    packages: Sequence[Package],
    indexes: Sequence[str],
    config: Config,
    say: Callable[[str], None],
    addresses: dict[str, str],
) -> dict[str, Path]:
    """The files of packages in the cache, by their names, downloaded if they are not there.

    ``addresses`` gets where those were found that are downloaded, by their sha256. Raises
    ``StepError`` for the first that cannot be had or is not what the lock says.
    """

    def one(package: Package) -> Path:
        there = fetch.kept(package.sha256, config.cache_dir)
        if there is not None:
            return there
        address = package.url or address_of(package, indexes, config.timeout)
        addresses[package.sha256] = public(address)
        return fetch.fetch(
            public(address),
            package.sha256,
            config.cache_dir,
            mirrors=config.mirrors,
            source=address,
            patience=config.timeout,
            say=say,
        )

    return dict(zip((p.file for p in packages), fetch.together(one, packages), strict=True))


def public(address: str) -> str:
    """An address without the name and password that it may begin with."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def address_of(package: Package, indexes: Sequence[str], patience: int) -> str:
    """Where the first index that has a file has it, with what has to be said to be let in."""
    name = re.sub(r"[-_.]+", "-", package.name).lower()
    problem: StepError | None = None
    for index in indexes:
        page = f"{index.rstrip('/')}/{name}/"
        try:
            for file, address in _listed(page, patience):
                if file == package.file:
                    return _as_asked(address, page)
        except StepError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    raise StepError(
        f"none of the package indexes has {package.file}: " + ", ".join(map(public, indexes)),
        remedy="it was taken back, or the lock was made with another index; see 'tykky config why "
        "pip.index_url', or make the lock anew",
        code=Exit.UNKNOWN_PACKAGE,
    )


def first_having(name: str, indexes: Sequence[str], patience: int = 10) -> str:
    """The first index that has a project, by its public address; empty if that cannot be told."""
    page = re.sub(r"[-_.]+", "-", name).lower()
    for index in indexes:
        with contextlib.suppress(StepError):
            if any(_listed(f"{index.rstrip('/')}/{page}/", patience)):
                return public(index)
    return ""


def _as_asked(address: str, page: str) -> str:
    """An address on the same server as a page, with the name and password of that."""
    parts, asked = urlsplit(address), urlsplit(page)
    if "@" in asked.netloc and parts.netloc == asked.netloc.rpartition("@")[2]:
        return urlunsplit(parts._replace(netloc=asked.netloc))
    return address


def _listed(page: str, patience: int) -> Iterator[tuple[str, str]]:
    """The files of a project in an index, and their addresses; none if it has no such project."""
    text, kind = _read(page, patience)
    if kind.endswith("+json"):
        try:
            rows = [(row["filename"], row["url"]) for row in parse_json(text).get("files", ())]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StepError(
                f"the package index lists its files in a way that cannot be read: {public(page)}",
                remedy="is there a proxy or login page in between? Try again later",
                code=Exit.DAMAGED,
            ) from None
        yield from ((file, urljoin(public(page), address)) for file, address in rows)
        return
    anchors = _Anchors()
    anchors.feed(text)
    for reference in anchors.found:
        address = urljoin(public(page), reference.partition("#")[0])
        yield Path(unquote(urlsplit(address).path)).name, address


def _read(page: str, patience: int) -> tuple[str, str]:
    """The text of a page of an index, and what it is; empty if there is none."""
    import requests

    if urlsplit(page).scheme == "file":
        path = Path(unquote(urlsplit(page).path), "index.html")
        return (path.read_text(encoding="utf-8") if path.is_file() else ""), "text/html"
    try:
        answer = requests.get(
            page,
            headers={"Accept": _FORMS},
            timeout=(fetch.CONNECT, patience),
            verify=fetch.certificates(),
        )
    except requests.RequestException as error:
        silent, why = fetch.is_silence(error), fetch.reason(error, patience)
        problem = fetch.unreachable(public(page), why, silent=silent, mirrors="pip.index_url")
        problem.cause = f"the package index {public(page)} cannot be reached: {why}"
        raise problem from None
    if answer.status_code == 404:
        return "", "text/html"
    if answer.status_code >= 400:
        raise StepError(
            f"the package index {masked(public(page))} answers {answer.status_code}",
            remedy="'tykky config why pip.index_url' tells who says that it is one",
            code=Exit.NETWORK,
        )
    return answer.text, answer.headers.get("Content-Type", "").partition(";")[0]


class _Anchors(HTMLParser):
    """Collects what a page has links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the link of an anchor."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]

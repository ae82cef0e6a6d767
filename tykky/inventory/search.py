"""Finding packages and commands in thousands of records, in their text, before any is parsed.

What :mod:`tykky.store.record` and :mod:`tykky.contents` write has a form that can be relied on: a
line for each package, and for each name. A record that somebody has written in another way is
read as all are, and brought into that form.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tykky import contents
from tykky.contents import Installed
from tykky.errors import StoreError, TykkyError
from tykky.inventory.wanted import Wanted
from tykky.store import Entry, Place
from tykky.store import record as records

#: A base that may have packages of its own; and its digest.
_BASE = re.compile(rb'\n "base": \{\n  "name": "(?!host")(.*)",\n  "id": .*,\n  "digest": "(.+)"\n')
#: How much is read at once: more than most records have.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Hit:
    """What of an install is wanted: a ``package`` or ``command``; ``base`` is what it is part of.

    ``base`` is empty for what is the install's own.
    """

    what: str
    asked: str
    name: str
    version: str = ""
    base: str = ""


@dataclass
class Search:
    """A search for packages, for commands, or for both, through many installs.

    ``problems`` are sentences about what could not be read.
    """

    wanted: Sequence[Wanted]
    packages: bool = True
    commands: bool = True
    problems: list[str] = field(default_factory=list)
    _pairs: dict[Wanted, re.Pattern[bytes]] = field(init=False, default_factory=dict)
    _rows: dict[Wanted, re.Pattern[bytes]] = field(init=False, default_factory=dict)
    _names: dict[Wanted, re.Pattern[bytes]] = field(init=False, default_factory=dict)
    _bases: dict[bytes, list[Hit]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.wanted:
            pair = rf'\n  \[\n   "({each.of_package})",\n   "(.*)"\n'
            row = rf'^\{{"name": "{each.of_package}", .*\}}(?=,?$)'
            self._pairs[each] = re.compile(pair.encode())
            self._rows[each] = re.compile(row.encode(), re.MULTILINE)
            self._names[each] = re.compile(rf'\n  "({each.of_command})"(?=,?\n)'.encode())

    def of(self, install: Entry) -> Iterator[Hit]:
        """What of an install is wanted, its own before that of its base."""
        text = self._text(install)
        commands = _list(text, b"commands") if self.commands else b""
        for each in self.wanted if commands else ():
            if not each.clauses:
                for name in self._names[each].findall(commands):
                    yield Hit("command", each.text, _string(name))
        pairs = _list(text, b"packages") if self.packages else b""
        for each in self.wanted if pairs else ():
            for name, version in map(_strings, self._pairs[each].findall(pairs)):
                if each.fits(version):
                    yield Hit("package", each.text, name, version)
        if self.packages and (base := _BASE.search(text)):
            yield from self._of_base(install, base)

    def _text(self, install: Entry) -> bytes:
        """The current record of an install as :mod:`tykky.store.record` writes it; or nothing."""
        text = _read(f"{install.prefix}/.tykky/current/{records.NAME}")
        if text.startswith(records.START) and text.endswith(b"\n}\n"):
            return text
        place = Place(Path(install.prefix))
        try:
            return b"" if place.is_closed else records.render(place.record())
        except TykkyError as error:
            self.problems.append(error.cause)
            return b""

    def _of_base(self, install: Entry, base: re.Match[bytes]) -> list[Hit]:
        """What of the packages of its base is wanted, which are the same for all that have it."""
        digest = base[2]
        if digest not in self._bases:
            text = _read(f"{install.prefix}/.tykky/current/{contents.FILE}")
            if b'"why": "base"' not in text:  # made when nobody looked for these
                return []
            name = _string(base[1])
            self._bases[digest] = [
                Hit("package", each.text, package.name, package.version, name)
                for each, package in self._packages(text, install)
                if package.why == "base"
            ]
        return self._bases[digest]

    def _packages(self, text: bytes, install: Entry) -> Iterator[tuple[Wanted, Installed]]:
        try:
            for each in self.wanted:
                for row in self._rows[each].finditer(text):
                    package = contents.parsed(json.loads(row[0]))
                    if each.fits(package.version, package.type):
                        yield each, package
        except (ValueError, TypeError, AttributeError) as error:
            what = f"what is known of the packages of {install.module}"
            self.problems.append(f"{what} is damaged: {error}")

    def rows(self, install: Entry) -> Iterator[Installed]:
        """All that is known of the packages that are wanted, also of those of the base."""
        folder = f"{install.prefix}/.tykky/generations/{install.generation}"
        text = _read(f"{folder}/{contents.FILE}")
        is_plain = text.startswith(b'[\n{"name": "')
        try:
            if not is_plain and not Place(Path(install.prefix)).is_closed:
                text = contents.render(contents.of_install(Path(folder))).encode()
        except StoreError as error:
            self.problems.append(error.cause)
            return
        for _, package in self._packages(text, install):
            yield package


def _read(path: str) -> bytes:
    """The bytes of a file; none if it cannot be read."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        parts = [os.read(number, _AT_ONCE)]
        while len(parts[-1]) == _AT_ONCE:
            parts.append(os.read(number, _AT_ONCE))
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(number)


def _list(text: bytes, key: bytes) -> bytes:
    """The lines of a list of a record."""
    start = text.find(b'\n "%s": [\n' % key)
    return text[start + len(key) + 6 : text.find(b"\n ]", start)] + b"\n" if start >= 0 else b""


def _string(text: bytes) -> str:
    return str(json.loads(b'"%s"' % text)) if b"\\" in text else text.decode()


def _strings(texts: tuple[bytes, bytes]) -> tuple[str, str]:
    return _string(texts[0]), _string(texts[1])

"""The keys of the configuration, the type of each, and the typed result.

The defaults and what each key means are in ``configs/defaults.yaml``; a unit test holds the
three lists (keys here, fields of the dataclasses, that file) together.

Public names: ``KEYS``, ``Kind``, ``BadValueError``, and the groups ``Squash``, ``Permissions``,
``Module``, ``Pip`` and ``Conda`` of :class:`tykky.config.Config`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Isolation = Literal["open", "mounts", "closed"]
Runtime = Literal["native", "apptainer", "auto"]
Compression = Literal["zstd", "gzip", "lz4", "xz"]


@dataclass(frozen=True)
class Squash:
    """How images are made; ``level`` counts for zstd and gzip only."""

    compression: Compression
    level: int
    block_size: str


@dataclass(frozen=True)
class Permissions:
    """Group and modes of installed files; an empty string leaves that to the umask."""

    group: str
    dir_mode: str
    file_mode: str
    setgid: bool


@dataclass(frozen=True)
class Module:
    """How modulefiles are written."""

    format: Literal["lua"]
    templates: Path | None
    family: str


@dataclass(frozen=True)
class Pip:
    """Where Python packages come from and what they may need of the machine."""

    index_url: str
    extra_index_urls: tuple[str, ...]
    glibc: str


@dataclass(frozen=True)
class Conda:
    """Where conda packages come from, and what the machines that stacks run on have."""

    channels: tuple[str, ...]
    channel_alias: str
    aliases: tuple[str, ...]
    strict_priority: bool
    blocked: tuple[str, ...]
    blocked_message: str
    virtual_packages: tuple[str, ...]


class BadValueError(ValueError):
    """A text that is no value of its key; the message says what would be one."""


@dataclass(frozen=True)
class Kind:
    """One type of value: its name for people, and how a text becomes a value.

    ``parse`` raises :class:`BadValueError`. ``path`` marks values that a relative path is
    completed in; ``separator`` marks lists, and splits them where they are one text (in the
    environment and in flags; ``None`` is white space); ``is_table`` marks lists of
    ``name=value`` that a file may write as a section, which then adds to what it inherits.
    """

    name: str
    parse: Callable[[str], Any]
    path: bool = False
    is_list: bool = False
    is_table: bool = False
    separator: str | None = None

    def split(self, text: str) -> tuple[str, ...]:
        """The items of a list written as one text."""
        return tuple(item for item in text.split(self.separator) if item)


def _text(text: str) -> str:
    if any(ord(char) < 32 for char in text):
        raise BadValueError("has a control character in it; write one plain line")
    return text


def _needed(text: str) -> str:
    if not text:
        raise BadValueError("is empty; give a value, or remove the line")
    return _text(text)


def _absolute(text: str) -> Path:
    path = Path(os.path.normpath(_needed(text)))
    if not path.is_absolute():
        raise BadValueError("is a relative path; give an absolute one")
    return path


def _path_or_none(text: str) -> Path | None:
    return _absolute(text) if text else None


def _path_or_empty(text: str) -> str:
    return str(_absolute(text)) if text else ""


_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def _switch(text: str) -> bool:
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise BadValueError("is neither true nor false")


def _choice(*words: str) -> Kind:
    def parse(text: str) -> str:
        if text not in words:
            raise BadValueError(f"is not one of {', '.join(words)}")
        return text

    return Kind(" | ".join(words), parse)


def _number(low: int, high: int) -> Kind:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise BadValueError(f"is not a whole number from {low} to {high}")
        return int(text)

    return Kind(f"number from {low} to {high}", parse)


def _mode(text: str) -> str:
    if text and not re.fullmatch(r"[0-7]{3,4}", text):
        raise BadValueError('is no octal mode such as "0755"')
    return text


def _block_size(text: str) -> str:
    found = re.fullmatch(r"([0-9]{1,7})([KM]?)", text)
    size = int(found[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[found[2]] if found else 0
    if not 1 << 12 <= size <= 1 << 20 or size & (size - 1):
        raise BadValueError("is not a power of two from 4K to 1M")
    return text


def _jobs(text: str) -> int:
    """The number itself, or for 0 how many CPUs this process may run on."""
    return _number(0, 65536).parse(text) or len(os.sched_getaffinity(0))


def _glibc(text: str) -> str:
    if not re.fullmatch(r"2\.[0-9]{1,3}", text):
        raise BadValueError('is no version of glibc such as "2.28"')
    return text


def _alias(text: str) -> tuple[str, str]:
    name, _, target = text.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not target:
        raise BadValueError("is not NAME=REFERENCE")
    return name, _text(target)


def _registry_mirror(text: str) -> tuple[str, str]:
    host = r"[A-Za-z0-9.-]+(:[0-9]+)?"
    found = re.fullmatch(rf"({host})=({host}(/[a-z0-9._-]+)*)/?", text)
    if not found:
        raise BadValueError("is not REGISTRY=MIRROR, such as docker.io=mirror.site:5000/hub")
    return found[1], found[3]


def _url(text: str) -> str:
    if not re.match(r"(https?|file)://.", _needed(text)):
        raise BadValueError("is no address that starts with https://, http:// or file://")
    return text


def _channel_alias(text: str) -> str:
    name, _, address = text.partition("=")
    if not name.strip() or "/" in name:
        raise BadValueError("is no NAME=ADDRESS, such as conda-forge=https://mirror/conda-forge")
    return f"{name.strip()}={_url(address.strip()).rstrip('/')}"


def _virtual_package(text: str) -> str:
    plain = text.replace(" ", "")
    if plain != "machine" and not re.fullmatch(r"__[a-z0-9_]+(=+[^=]+(=[^=]+)?)?", plain):
        raise BadValueError("is no virtual package, such as __glibc=2.28, and not 'machine'")
    return plain


_PATH = Kind("path", _absolute, path=True)
_OPTIONAL_PATH = Kind("path or empty", _path_or_none, path=True)
_SWITCH = Kind("true | false", _switch)
_TEXT = Kind("text", _text)
_MODE = Kind("octal mode or empty", _mode)

KEYS: dict[str, Kind] = {
    "root": _PATH,
    "module_path": _PATH,
    "build_dir": _PATH,
    "cache_dir": _PATH,
    "base": Kind("name of a base", _needed),
    "bases": Kind("names with their references", _alias, is_list=True, is_table=True),
    "bases_dir": _PATH,
    "mirrors": Kind("list of addresses", _url, is_list=True),
    "registry_mirrors": Kind("list of REGISTRY=MIRROR", _registry_mirror, is_list=True),
    "timeout": _number(1, 86400),
    "repos": Kind("list of paths", _absolute, path=True, is_list=True, separator=":"),
    "builtin_repo": _SWITCH,
    "runtime": _choice("native", "apptainer", "auto"),
    "isolation": _choice("open", "mounts", "closed"),
    "mount_points": Kind("list of paths", _absolute, path=True, is_list=True, separator=":"),
    "jobs": Kind("number from 0 to 65536", _jobs),
    "hooks": _OPTIONAL_PATH,
    "idle": _number(1, 86400),
    "server": Kind("path or empty", _path_or_empty, path=True),
    "squash.compression": _choice("zstd", "gzip", "lz4", "xz"),
    "squash.level": _number(1, 22),
    "squash.block_size": Kind("size from 4K to 1M", _block_size),
    "permissions.group": _TEXT,
    "permissions.dir_mode": _MODE,
    "permissions.file_mode": _MODE,
    "permissions.setgid": _SWITCH,
    "module.format": _choice("lua"),
    "module.templates": _OPTIONAL_PATH,
    "module.family": _TEXT,
    "pip.index_url": Kind("address", _url),
    "pip.extra_index_urls": Kind("list of addresses", _url, is_list=True),
    "pip.glibc": Kind("version of glibc", _glibc),
    "conda.channels": Kind("list of channels", _needed, is_list=True),
    "conda.channel_alias": Kind("address", _url),
    "conda.aliases": Kind("list of NAME=ADDRESS", _channel_alias, is_list=True),
    "conda.strict_priority": _SWITCH,
    "conda.blocked": Kind("list of channels", _needed, is_list=True),
    "conda.blocked_message": _TEXT,
    "conda.virtual_packages": Kind("list of virtual packages", _virtual_package, is_list=True),
}

SECTIONS: dict[str, tuple[str, ...]] = {}
for _key in KEYS:
    _section, _, _name = _key.rpartition(".")
    SECTIONS[_section] = (*SECTIONS.get(_section, ()), _name)

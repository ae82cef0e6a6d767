"""How the text of a value becomes what the program has; each says what is no value of its kind.

The messages of :class:`BadValueError` continue a sentence that begins with the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from tykky import jobs
from tykky.config.remotes import PREFIX, Remote


class BadValueError(ValueError):
    """A text that is no value of its key; the message says what would be one."""


def matching(pattern: str, problem: str) -> Callable[[str], str]:
    """What takes a text that a pattern fits, and says the ``problem`` of others."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise BadValueError(problem)
        return text

    return parse


line = matching("[^\x00-\x1f]*", "has a control character in it; write one plain line")
octal = matching(r"([0-7]{3,4})?", 'is no octal mode such as "0755"')
glibc = matching(r"2\.[0-9]{1,3}", 'is no version of glibc such as "2.28"')
address = matching(
    r"(?s:(https?|file)://.+)", "is no address that starts with https://, http:// or file://"
)


web = matching(r"(https?://[^\s\"'<>\\@]+)?", "is no address that starts with https:// or http://")


def mode(text: str) -> str:
    """A mode in octal, by which not everybody may write."""
    if int(octal(text) or "0", 8) & 0o002:
        raise BadValueError("lets everybody write; who may write to a store decides what is run")
    return text


def needed(text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise BadValueError("is empty; give a value, or remove the line")
    return line(text)


def url(text: str) -> str:
    """The address of a server or a file."""
    return address(needed(text))


def absolute(text: str) -> Path:
    """An absolute path, without ``..``."""
    path = Path(os.path.normpath(needed(text)))
    if not path.is_absolute():
        raise BadValueError("is a relative path; give an absolute one")
    return path


def repository(text: str) -> Path | Remote:
    """A directory, or a repository of git at a commit."""
    return Remote.parse(text) if text.startswith(PREFIX) else absolute(text)


_SWITCH = {"true": True, "yes": True, "on": True, "1": True}
_SWITCH |= {"false": False, "no": False, "off": False, "0": False}


def switch(text: str) -> bool:
    """True or false, as YAML and shells write them."""
    if text.lower() not in _SWITCH:
        raise BadValueError("is neither true nor false")
    return _SWITCH[text.lower()]


def block_size(text: str) -> str:
    """A size that squashfs can have."""
    found = re.fullmatch(r"([0-9]{1,7})([KM]?)", text)
    size = int(found[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[found[2]] if found else 0
    if not 1 << 12 <= size <= 1 << 20 or size & (size - 1):
        raise BadValueError("is not a power of two from 4K to 1M")
    return text


def alias(text: str) -> tuple[str, str]:
    """``NAME=REFERENCE`` of a base."""
    name, _, target = text.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not target:
        raise BadValueError("is not NAME=REFERENCE")
    return name, line(target)


def named_path(text: str) -> tuple[str, Path]:
    """``NAME=PATH``."""
    name, _, path = text.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not path:
        raise BadValueError("is not NAME=PATH")
    return name, absolute(path)


def conda_name(text: str) -> tuple[str, str]:
    """``NAME=PROJECT``: what a conda package is on PyPI."""
    found = re.fullmatch(r"([a-z0-9_][a-z0-9_.-]*)=([A-Za-z0-9][A-Za-z0-9._-]*)", text)
    if not found:
        raise BadValueError("is not NAME=PROJECT, such as pytorch=torch")
    return found[1], found[2]


def restriction(text: str) -> tuple[str, str]:
    """``NAME=GROUP`` or ``NAME/VERSION=GROUP``."""
    name, _, group = text.partition("=")
    if not re.fullmatch(r"[a-z][a-z0-9-]*(/[\w.+-]+)?", name) or not group.strip():
        raise BadValueError("is not NAME=GROUP or NAME/VERSION=GROUP")
    return name, line(group.strip())


def feature(text: str) -> tuple[str, str]:
    """``ARCHITECTURE=FEATURE`` of the nodes of Slurm."""
    name, _, wanted = text.partition("=")
    if name not in ("x86_64", "aarch64") or jobs.problem("constraint", wanted):
        raise BadValueError("is not ARCHITECTURE=FEATURE, such as aarch64=arm")
    return name, wanted


def licence(text: str) -> str:
    """An SPDX identifier, or a glob of such."""
    if not re.fullmatch(r"[\w.+*?-]+( WITH [\w.+*?-]+)?", text.strip()):
        raise BadValueError("is no SPDX identifier or glob of such, as MIT and GPL-3.0* are")
    return text.strip()


def excepted(text: str) -> tuple[str, str]:
    """``PACKAGE=REASON``."""
    name, _, reason = text.partition("=")
    if not re.fullmatch(r"[\w*?][\w.*?+-]*", name.strip()) or not reason.strip():
        raise BadValueError("is not PACKAGE=REASON")
    return name.strip(), line(reason.strip())


def registry_mirror(text: str) -> tuple[str, str]:
    """``REGISTRY=MIRROR``."""
    host = r"[A-Za-z0-9.-]+(:[0-9]+)?"
    found = re.fullmatch(rf"({host})=({host}(/[a-z0-9._-]+)*)/?", text)
    if not found:
        raise BadValueError("is not REGISTRY=MIRROR, such as docker.io=mirror.site:5000/hub")
    return found[1], found[3]


def registry_path(text: str) -> str:
    """The path of a registry below which stacks are. Raises :class:`BadValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*/?", text):
        raise BadValueError("is no HOST/PATH, such as ghcr.io/centre/stacks")
    return text.rstrip("/")


def channel_alias(text: str) -> str:
    """``NAME=ADDRESS`` of a channel."""
    name, _, address = text.partition("=")
    if not name.strip() or "/" in name:
        raise BadValueError("is no NAME=ADDRESS, such as conda-forge=https://mirror/conda-forge")
    return f"{name.strip()}={url(address.strip()).rstrip('/')}"


def virtual_package(text: str) -> str:
    """A virtual package of conda, or ``machine``."""
    plain = text.replace(" ", "")
    if plain != "machine" and not re.fullmatch(r"__[a-z0-9_]+(=+[^=]+(=[^=]+)?)?", plain):
        raise BadValueError("is no virtual package, such as __glibc=2.28, and not 'machine'")
    return plain


age = matching("([1-9][0-9]{0,4}[dh])?", "is no number of days or hours such as 14d or 36h")


@cache
def cutoff(age: str) -> datetime | None:
    """The moment that was an age ago (``14d``, ``36h``), the same for all of this process."""
    if not age:
        return None
    hours = int(age[:-1]) * (24 if age[-1] == "d" else 1)
    return datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=hours)

"""Texts that come from builds: anybody may have written them, and everybody will see them."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

#: The longest text that is shown of a field, and the longest name.
LONG, SHORT = 4000, 200
#: What no document of HTML or XML may have in it, and what turns the direction of what follows.
_NONE = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    f"\ufdd0-\ufdef\ufeff{_NONE}]"
)


def clean(text: object, most: int = LONG) -> str:
    """A text without what would spoil a page, and no longer than ``most`` characters."""
    plain = _UNWANTED.sub("\ufffd", str(text).replace("\r\n", "\n"))
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def line(text: object, most: int = SHORT) -> str:
    """The same on one line."""
    return clean(" ".join(str(text).split()), most)


def moment(text: object) -> str:
    """A moment as records have it; the beginning of time for what is none."""
    good = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", str(text))
    return str(text) if good else "1970-01-01T00:00:00Z"


def link(text: str) -> str:
    """An address of the web that a page may lead to; nothing if it is none."""
    text = text.strip()
    try:
        found = urlsplit(text)
        good = (
            found.scheme in ("http", "https") and bool(found.hostname) and "@" not in found.netloc
        )
    except ValueError:
        return ""
    plain = good and len(text) <= 2000 and not re.search(r"[\s\\\"'<>`{}|^]", text)
    return quote(text, safe="%/:=&?~#+!$,;@()*[]") if plain and text == clean(text) else ""


def digest(*parts: Any) -> str:
    """A short digest of what can be written as JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]

"""What a site states of holes: not affected, because. In the manner of OpenVEX, JSON or YAML.

See https://github.com/openvex/spec. A statement names a hole by any of its identifiers
(``vulnerability``) and packages by name or package URL (``products``), and may be about one
``stack``, and ``until`` a date: these two are not of OpenVEX.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tykky.errors import ConfigError, Where
from tykky.lock import canonical
from tykky.text import load_yaml, read_text

#: Those of OpenVEX; a hole counts unless it is said that it does not matter.
_STATUS = ("not_affected", "affected", "fixed", "under_investigation")
_SETTLED = ("not_affected", "fixed")
_FIELDS = {
    *("vulnerability", "products", "status", "justification", "impact_statement", "stack"),
    *("until", "status_notes", "action_statement", "timestamp", "last_updated", "version"),
    *("@id", "supplier", "action_statement_timestamp"),
}


@dataclass(frozen=True)
class Statement:
    """What is said of a hole, in packages of that name and version, in a stack, until a day.

    ``package``, ``version`` and ``stack`` are globs.
    """

    id: str
    status: str
    reason: str
    package: str = "*"
    version: str = "*"
    stack: str = "*"
    until: date | None = None

    @property
    def is_over(self) -> bool:
        """Whether its day has passed."""
        return self.until is not None and self.until < date.today()

    def answer(self) -> dict[str, Any]:
        """What programs read of it."""
        return {**asdict(self), "until": self.until.isoformat() if self.until else ""}


def about(
    statements: Iterable[Statement], ids: Sequence[str], package: str, version: str, stack: str
) -> Statement | None:
    """The statement by which a hole does not matter, if there is one that still holds."""
    return next(
        (
            each
            for each in statements
            if each.id in ids
            and each.status in _SETTLED
            and not each.is_over
            and fnmatchcase(canonical(package), canonical(each.package))
            and fnmatchcase(version, each.version)
            and fnmatchcase(stack, each.stack)
        ),
        None,
    )


def read(path: Path) -> tuple[Statement, ...]:
    """The statements of a file. Raises ``ConfigError``, with the number of what is wrong."""
    data = load_yaml(read_text(path, "file of statements"), path, ConfigError)
    rows = data.get("statements") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise _wrong(path, "has no list of 'statements'")
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found += _parsed(row)
        except (ValueError, TypeError, AttributeError) as error:
            raise _wrong(path, f"has a wrong statement, the {number}. one: {error}") from None
    return tuple(found)


def _wrong(path: Path, what: str) -> ConfigError:
    remedy = "share/doc/how-to/know-what-is-vulnerable.md shows what statements look like"
    return ConfigError(f"{path.name} {what}", remedy=remedy, where=Where(path))


def _parsed(row: Mapping[str, Any]) -> list[Statement]:
    """A statement for each of its products. Raises ``ValueError`` or ``TypeError``."""
    if not isinstance(row, dict):
        raise TypeError("it is no table")
    if strange := [str(key) for key in row if key not in _FIELDS]:
        raise ValueError(f"it has no field '{strange[0]}'")
    hole, status = row.get("vulnerability"), row.get("status")
    name = hole.get("name") if isinstance(hole, dict) else hole
    if not name or not isinstance(name, str):
        raise ValueError("it names no 'vulnerability'")
    if status not in _STATUS:
        raise ValueError(f"its 'status' is not one of {', '.join(_STATUS)}")
    reason = str(row.get("impact_statement") or row.get("justification") or "").strip()
    if status == "not_affected" and not reason:
        raise ValueError("it has neither 'justification' nor 'impact_statement'")
    until = row.get("until")
    if isinstance(until, str):
        until = date.fromisoformat(until)
    elif isinstance(until, datetime):
        until = until.date()
    if not isinstance(until, date | None):
        raise ValueError("its 'until' is no day such as 2027-01-31")
    products = row.get("products", ["*"])
    if not isinstance(products, list) or not products:
        raise ValueError("its 'products' is no list")
    stack = str(row.get("stack", "*"))
    return [
        Statement(name, status, reason or status, *_product(each), stack, until)
        for each in products
    ]


def _product(product: Any) -> tuple[str, str]:
    """The name and version of a product: a package URL, or NAME or NAME@VERSION."""
    text = product.get("@id") if isinstance(product, dict) else product
    if not text or not isinstance(text, str):
        raise ValueError("one of its 'products' is no text, and has no '@id'")
    if text.startswith("pkg:"):
        path = re.split("[?#]", text.removeprefix("pkg:"))[0]
        text = unquote(path.rpartition("/")[2])
    name, _, version = text.partition("@")
    return name, version or "*"

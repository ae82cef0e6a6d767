"""How bad a hole is: the base score of CVSS 3, or else the word that its advisory has for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: From the least to the worst. Where nobody has said anything, it may be anything: that counts
#: as ``high``.
LEVELS = ("none", "low", "medium", "high", "critical")
UNKNOWN = "unknown"

_WORDS = {level: level for level in LEVELS} | {
    "moderate": "medium",
    "important": "high",
    "negligible": "low",  # Ubuntu
    "unimportant": "low",  # Debian
}

#: The weights of https://www.first.org/cvss/v3.1/specification-document, section 7.4.
_WEIGHTS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
#: Those of privileges, if other components than the one with the hole suffer.
_CHANGED = {"N": 0.85, "L": 0.68, "H": 0.5}


@dataclass(frozen=True)
class Severity:
    """A level of ``LEVELS``, or ``unknown``; the score that it is from, and its CVSS vector."""

    level: str = UNKNOWN
    score: float | None = None
    vector: str = ""

    @property
    def rank(self) -> int:
        """Its place among ``LEVELS``."""
        return LEVELS.index("high" if self.level == UNKNOWN else self.level)

    def __bool__(self) -> bool:
        return self.level != UNKNOWN

    def __str__(self) -> str:
        return self.level if self.score is None else f"{self.level} {self.score}"


def rated(kind: str, text: str) -> Severity:
    """The severity that a ``score`` of a type of OSV's stands for; or a word, without a type."""
    if kind.startswith("CVSS"):
        score = base_score(text)
        return Severity(_level(score) if score is not None else UNKNOWN, score, text[:200])
    return Severity(_WORDS.get(text.strip().lower(), UNKNOWN))


def worst(found: Iterable[Severity]) -> Severity:
    """The worst of those that are known; a score says more than a word."""
    given = sorted(found, key=lambda each: (bool(each), each.score is not None, each.rank))
    return given[-1] if given else Severity()


def base_score(vector: str) -> float | None:
    """The base score of a CVSS vector of version 3.0 or 3.1; ``None`` for any other text."""
    head, *parts = vector.split("/")
    if head not in ("CVSS:3.0", "CVSS:3.1"):
        return None
    values = dict(part.split(":", 1) for part in parts if ":" in part)
    changed = values.get("S") == "C"
    weights = _WEIGHTS | ({"PR": _CHANGED} if changed else {})
    try:
        w = {name: table[values[name]] for name, table in weights.items()}
    except KeyError:
        return None
    base = 1 - (1 - w["C"]) * (1 - w["I"]) * (1 - w["A"])
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    if impact <= 0:
        return 0.0
    whole = impact + 8.22 * w["AV"] * w["AC"] * w["PR"] * w["UI"]
    return _up(min(1.08 * whole if changed else whole, 10))


def _up(value: float) -> float:
    """Rounded up to one place, as appendix A of that document does it."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def _level(score: float) -> str:
    return next(
        (level for level, least in (("critical", 9), ("high", 7), ("medium", 4)) if score >= least),
        "low" if score else "none",
    )

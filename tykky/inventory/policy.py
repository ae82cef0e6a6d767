"""A site's policy on licences: which packages may be installed, and which somebody has to look at.

Of an SPDX expression, the best choice between OR counts, and the worst of what AND joins. What
follows WITH makes a licence of its own, where a list names it; else the licence itself counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tykky.contents import canonical
from tykky.inventory.licences import expression, parsed

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.config.schema import Answer
    from tykky.lock import Named

#: The answers, the best first.
ANSWERS: tuple[Answer, ...] = ("allow", "ask", "deny")
_WITH = " with "


@dataclass(frozen=True)
class Verdict:
    """What the policy says of a package; ``spdx`` is empty if its licence cannot be told.

    ``reason`` is that of an exception, or which list decided.
    """

    name: str
    version: str
    license: str
    spdx: str
    answer: Answer
    reason: str

    @property
    def licence(self) -> str:
        """What people read of the licence."""
        return self.spdx or self.license or "-"

    def __str__(self) -> str:
        return f"{self.name} {self.version}: {self.licence} ({self.reason})"


@dataclass(frozen=True)
class Policy:
    """The lists by answer, of patterns in small letters; ``unknown`` is an answer."""

    lists: Mapping[Answer, tuple[str, ...]]
    unknown: Answer = "allow"
    exceptions: Mapping[str, str] = field(default_factory=dict)
    bases: bool = False
    _known: dict[str, tuple[Answer, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Policy:
        """That of the configuration. Raises ``ConfigError`` for a licence that SPDX has not."""
        settings = config.licences
        return cls(
            {key: tuple(_patterns(config, f"licences.{key}")) for key in ANSWERS},
            settings.unknown,
            {canonical(name): reason for name, reason in settings.exceptions},
            settings.bases,
        )

    @property
    def is_empty(self) -> bool:
        """Whether it allows everything."""
        return self.unknown == "allow" and not any(self.lists.values())

    def judge(self, packages: Iterable[Named]) -> list[Verdict]:
        """What it says of each package that counts."""
        counting = (p for p in packages if self.bases or getattr(p, "why", "") != "base")
        return [self.verdict(package) for package in counting]

    def verdict(self, package: Named) -> Verdict:
        """What it says of a package."""
        spdx = getattr(package, "spdx", "") or expression(package.license)
        answer, why = self.of_licence(spdx)
        if answer != "allow":
            names = (name for name in self.exceptions if fnmatchcase(canonical(package.name), name))
            if name := next(names, ""):
                answer, why = "allow", f"exception: {self.exceptions[name]}"
        why = why.removeprefix(f"{spdx}: ")
        return Verdict(package.name, package.version, package.license, spdx, answer, why)

    def of_licence(self, spdx: str) -> tuple[Answer, str]:
        """The answer to an expression, and why; an empty one is not known."""
        if spdx not in self._known:
            unknown = self.unknown, f"licences.unknown: {self.unknown}"
            self._known[spdx] = self._node(parsed(spdx)) if spdx else unknown
        return self._known[spdx]

    def _node(self, node: Any) -> tuple[Answer, str]:
        if not getattr(node, "args", ()):
            return self._symbol(str(node))
        choose = min if type(node).__name__ == "OR" else max
        found = map(self._node, node.args)
        return choose(found, key=lambda each: ANSWERS.index(each[0]))

    def _symbol(self, name: str) -> tuple[Answer, str]:
        plain, with_, _ = name.casefold().partition(_WITH)
        if with_ and (found := self._listed(name.casefold(), of_its_own=True)):
            return found, f"{name}: licences.{found}"
        if found := self._listed(plain, of_its_own=False):
            return found, f"{name}: licences.{found}"
        return ("deny", f"{name}: not in licences.allow") if self.lists["allow"] else ("allow", "")

    def _listed(self, name: str, *, of_its_own: bool) -> Answer | None:
        """The worst answer that has a licence in its list."""
        for answer in reversed(ANSWERS):
            patterns = (p for p in self.lists[answer] if (_WITH in p) == of_its_own)
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return answer
        return None


def _patterns(config: Config, key: str) -> Iterator[str]:
    """The entries of a list as they are compared. Raises ``ConfigError``."""
    for text in config.get(key):
        if "*" in text or "?" in text:
            yield text.casefold()
        elif spdx := expression(text):
            yield spdx.casefold()
        else:
            problem = f"= '{text}' is no licence that SPDX lists"
            raise config.origin(key).error(problem, "see https://spdx.org/licenses, or use globs")

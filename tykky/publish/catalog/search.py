"""What the search of a catalogue knows, in files that a page loads as scripts.

(A page that is opened from a disk may load scripts, but no data.) ``search/index.js`` has all names
of stacks, packages and commands; where they are is in parts, of which a page loads those that it
shows something of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tykky import contents

#: About how many characters a part has, and how many versions of a package are told for a stack.
PART, VERSIONS = 48_000, 4

#: The same names come again in each stack.
_canonical = lru_cache(1 << 17)(contents.canonical)
#: Versions of a package, each with the version of a stack that has it.
_Where = list[list[str]]


@dataclass
class Index:
    """Stacks, and where packages and commands are, by the names that are looked for."""

    stacks: list[list[Any]] = field(default_factory=list)
    _packages: dict[str, tuple[str, list[Any]]] = field(default_factory=dict)
    _commands: dict[str, tuple[str, list[Any]]] = field(default_factory=dict)

    def add(self, name: str, description: str, versions: Sequence[Mapping[str, Any]]) -> None:
        """Add a stack, with the version that is meant by its name first."""
        there = [each["version"] for each in versions]
        words = sorted({word for each in versions[:1] for word in each["keywords"]})
        self.stacks.append([name, description, there, " ".join(words)])
        packages: dict[str, tuple[str, _Where]] = {}
        commands: dict[str, tuple[str, _Where]] = {}
        known: set[tuple[str, str]] = set()
        for each in versions:
            for row in each["packages"]:
                if (pair := (row["name"], row["version"])) in known:
                    continue  # as in most versions
                known.add(pair)
                shown, where = packages.setdefault(_canonical(row["name"]), (row["name"], []))
                if len(where) < VERSIONS and all(row["version"] != told[0] for told in where):
                    where.append([row["version"], each["version"]])
            for command in each["commands"]:
                commands.setdefault(command, (command, [["", each["version"]]]))
        for every, own in ((self._packages, packages), (self._commands, commands)):
            for key, (shown, where) in own.items():
                every.setdefault(key, (shown, []))[1].append((name, where))

    def files(self) -> Iterator[tuple[str, str]]:
        """The names and texts of the files."""
        told: dict[str, Any] = {"stacks": self.stacks}
        for kind, every in (("packages", self._packages), ("commands", self._commands)):
            keys, starts, part, length = sorted(every), list[int](), list[Any](), 0
            modules: dict[str, int] = {}
            for number, key in enumerate(keys):
                if not part:
                    starts.append(number)
                shown, found = every[key]
                versions: dict[str, list[int]] = {}
                for name, where in found:
                    for version, of in where:
                        at = modules.setdefault(f"{name}/{of}", len(modules))
                        versions.setdefault(version, []).append(at)
                part.append([shown, *([version, *at] for version, at in versions.items())])
                length += 20 + sum(10 + 4 * len(at) for at in versions.values())
                if length + 20 * len(modules) > PART or number == len(keys) - 1:
                    file = f"{kind}{len(starts) - 1}"
                    yield f"search/{file}.js", _script(file, [[*modules], part])
                    part, modules, length = [], {}, 0
            told[kind] = [every[key][0] for key in keys]
            told[f"{kind}_at"] = starts
        yield "search/index.js", _script("index", told)


def _script(name: str, data: Any) -> str:
    return f'tykkyCatalog("{name}", {json.dumps(data, separators=(",", ":"))});\n'

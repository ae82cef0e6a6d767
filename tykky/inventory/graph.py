"""Who stands on whom: installs on others and on bases, packages on packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tykky.contents import Installed, canonical, own
from tykky.errors import StoreError
from tykky.inventory.wanted import Wanted
from tykky.store import Entry, Place, Record


@dataclass(frozen=True)
class Node:
    """An ``install``, a ``base``, or a ``package``; ``note`` is what is special about it."""

    id: str
    kind: str
    label: str
    note: str = ""

    @property
    def text(self) -> str:
        """What people read."""
        return f"{self.label} ({self.note})" if self.note else self.label


@dataclass(frozen=True)
class Graph:
    """Nodes by their ids, and what each of them stands on, in order."""

    nodes: Mapping[str, Node]
    edges: Mapping[str, Sequence[str]]

    def reverse(self) -> Graph:
        """The same from below: what stands on each."""
        found: dict[str, list[str]] = {}
        for one, others in self.edges.items():
            for other in others:
                found.setdefault(other, []).append(one)
        return Graph(self.nodes, found)

    def tops(self) -> list[str]:
        """Where reading begins: what nothing stands on; of circles, their first."""
        below = {other for others in self.edges.values() for other in others}
        found = [each for each in self.nodes if each not in below]
        seen = set(self.reach(found))
        for each in self.nodes:
            if each not in seen:
                found.append(each)
                seen.update(self.reach([each]))
        return found

    def reach(self, ids: Iterable[str]) -> Iterator[str]:
        """These, and all that they stand on, each once."""
        seen: set[str] = set()
        todo = [*reversed([*ids])]
        while todo:
            if (each := todo.pop()) not in seen:
                seen.add(each)
                yield each
                todo += reversed(self.edges.get(each, ()))

    def only(self, ids: Iterable[str]) -> Graph:
        """The part of it that has these nodes."""
        kept = set(ids)
        edges = {e: [o for o in others if o in kept] for e, others in self.edges.items()}
        return Graph(
            {each: node for each, node in self.nodes.items() if each in kept},
            {each: others for each, others in edges.items() if each in kept and others},
        )


def of_installs(entries: Sequence[Entry], more: Sequence[str] = ()) -> Graph:
    """Installs, the generations of others that they need, and the bases of all.

    Nodes of generations are called ``<prefix>#<number>``; ``more`` are others that are wanted.
    What cannot be read, or is not there any more, is told of in its note.
    """
    nodes: dict[str, Node] = {}
    edges: dict[str, list[str]] = {}
    current = {entry.prefix: entry.generation for entry in entries}
    todo = [*more, *(f"{entry.prefix}#{entry.generation}" for entry in reversed(entries))]
    known = {f"{entry.prefix}#{entry.generation}": entry for entry in entries}
    while todo:
        key = todo.pop()
        if key in nodes:
            continue
        prefix, _, number = key.rpartition("#")
        place, found, note = Place(Path(prefix)), known.get(key), ""
        if not place.is_closed:
            try:
                found = place.record(int(number))
            except (StoreError, ValueError) as error:
                note = "is not there" if found is None else getattr(error, "cause", "")
        if found is not None and current.get(prefix, found.generation) != found.generation:
            note = note or f"not the current one, #{current[prefix]}"
        label = found.title if found is not None else key
        nodes[key] = Node(key, "install", label, note)
        if found is None:
            continue
        edges[key] = [*found.needs]
        todo += reversed(found.needs)
        if isinstance(found, Record) and not found.base.get("name", "").startswith("stack:"):
            base = _base(found.base)
            nodes.setdefault(base.id, base)
            edges[key].append(base.id)
    return Graph(nodes, edges)


def _base(said: Mapping[str, str]) -> Node:
    name, what = said.get("name", ""), said.get("id", "")
    digest = "" if name == "host" else said.get("digest", "")
    return Node(f"base:{name}:{what}:{digest}", "base", name or "no base", what)


def of_packages(packages: Iterable[Installed]) -> Graph:
    """The packages that a stack brings, and what each of them requires of these."""
    found = own(packages)
    names: dict[str, list[Installed]] = {}
    for package in found:
        names.setdefault(canonical(package.name), []).append(package)
    edges: dict[str, list[str]] = {}
    for package in found:
        there = (_nearest(package, names.get(canonical(name), ())) for name in package.requires)
        edges[_key(package)] = list(dict.fromkeys(_key(each) for each in there if each))
    notes = {"asked": "asked", "added": "added by a script"}
    nodes = {
        _key(p): Node(_key(p), "package", f"{p.name} {p.version}", notes.get(p.why, ""))
        for p in sorted(found, key=lambda p: canonical(p.name))
    }
    return Graph(nodes, edges)


def _key(package: Installed) -> str:
    return f"{package.type}:{canonical(package.name)}"


def _nearest(package: Installed, others: Sequence[Installed]) -> Installed | None:
    """Which of those of a name one requires: that of the same type, if there is such a one."""
    same = [other for other in others if other.type == package.type]
    return next(iter((*same, *others)), None)


def why(graph: Graph, packages: Iterable[Installed], wanted: Wanted) -> Graph:
    """What brings the wanted packages in, from them up to what was asked for."""
    pattern = re.compile(wanted.of_package)
    found = [
        _key(package)
        for package in own(packages)
        if pattern.fullmatch(package.name) and wanted.fits(package.version, package.type)
    ]
    above = graph.reverse()
    kept = above.only(above.reach(found))
    return Graph({each: kept.nodes[each] for each in above.reach(found)}, kept.edges)

"""How two installs differ: packages, sizes, licences, commands, and what they are made and run by.

A side may also be a lock, of which only packages are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tykky import lock as locks
from tykky.console import size
from tykky.contents import Installed, canonical, of_install, own
from tykky.lock import Difference, Named
from tykky.store import Place, Record

#: Old and new.
Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Side:
    """What is compared: its ``title``, the packages it brings, those of its base, its record."""

    title: str
    packages: tuple[Named, ...]
    base: tuple[Installed, ...] = ()
    record: Record | None = None
    asked: frozenset[str] = frozenset()


def of_lock(path: Path) -> Side:
    """A lock as a side. Raises ``LockError``."""
    lock = locks.read(path)
    title = f"{lock.recipe}/{lock.version}{lock.suffix}"
    return Side(title, lock.packages, asked=frozenset(map(canonical, locks.asked_names(lock))))


def of_record(record: Record) -> Side:
    """A generation as a side; without a list of its packages, those of its lock are its.

    Raises ``TykkyError``.
    """
    folder = Place(Path(record.prefix)).generation(record.generation)
    found = of_install(folder)
    packages: tuple[Named, ...] = own(found) or locks.read(folder / "lock.json").packages
    base = tuple(package for package in found if package.why == "base")
    asked = {*record.asked, *(package.name for package in found if package.why == "asked")}
    return Side(record.title, packages, base, record, frozenset(map(canonical, asked)))


@dataclass(frozen=True)
class Changes:
    """What is different. ``sizes`` are bytes of packages that differ, ``licences`` of all.

    ``total`` has the bytes of all ``packages`` and ``images``; ``other`` tells in words of the
    ``spec``, ``recipe``, ``base``, ``needs``, how it is ``entered`` and what its ``module`` says.
    What is not known is not different.
    """

    packages: Difference
    sizes: Mapping[str, Pair]
    licences: Mapping[str, Pair]
    base: Difference
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    total: Mapping[str, Pair] = field(default_factory=dict)
    other: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The same for programs; packages are at its top, as they always were."""
        facts = asdict(self)
        return {**facts.pop("packages"), **facts}

    def lines(self) -> Iterator[str]:
        """What people read: a line for each package that differs, then one for each subject."""
        for line in self.packages.lines():
            old, new = self.sizes.get(line[2:].split(" ", 1)[0], (0, 0))
            both = bool(old and new)
            if old == new or (line[0] == " " and not both):
                yield line
            else:
                yield f"{line}, {_more(old, new) if both else size(old or new)}"
        for name, (old, new) in self.licences.items():
            yield f"licence   {name}: {old} -> {new}"
        for sign, what in (("+", "added"), ("-", "removed")):
            if names := self.commands.get(what):
                yield f"commands  {sign} {', '.join(names)}"
        for what, said in self.other.items():
            yield f"{what:<9} {said}"
        if self.base:
            parts = ("added", "removed", "changed")
            counts = {part: len(getattr(self.base, part)) for part in parts}
            told = ", ".join(f"{count} {part}" for part, count in counts.items() if count)
            yield f"in base   {told}"
        if sizes := [f"{w} {size(o)} -> {size(n)}" for w, (o, n) in self.total.items() if o != n]:
            yield f"size      {', '.join(sizes)}"


def _more(old: int, new: int) -> str:
    return f"{'+' if new > old else '-'}{size(abs(new - old))}"


def compare(old: Side, new: Side) -> Changes:
    """What is different between two sides."""
    packages = locks.difference(old.packages, new.packages)
    before, after = (
        {canonical(package.name): package for package in side.packages} for side in (old, new)
    )
    names = sorted({*packages.added, *packages.removed, *packages.changed})
    sizes = {name: (_size(before.get(name)), _size(after.get(name))) for name in names}
    licences = {}
    for name in sorted(before.keys() & after.keys()):
        pair = _licence(before[name]), _licence(after[name])
        if all(pair) and pair[0] != pair[1]:
            licences[name] = pair
    first, second = old.record, new.record
    total = {"packages": (sum(map(_size, old.packages)), sum(map(_size, new.packages)))}
    total = {what: pair for what, pair in total.items() if all(pair)}
    if first is None or second is None:
        return Changes(packages, sizes, licences, locks.difference((), ()), total=total)
    commands = {
        "added": tuple(sorted({*second.commands} - {*first.commands})),
        "removed": tuple(sorted({*first.commands} - {*second.commands})),
    }
    total["images"] = first.bytes, second.bytes
    # Of what was made when nobody looked for these, nothing is known.
    known = old.base and new.base
    base = locks.difference(old.base, new.base) if known else locks.difference((), ())
    other = dict(_others(first, second))
    return Changes(packages, sizes, licences, base, commands, total, other)


def _size(package: Named | None) -> int:
    """The bytes of a package that is installed; a lock knows only those of the file it is in."""
    return package.size if isinstance(package, Installed) else 0


def _licence(package: Named) -> str:
    from tykky.inventory.licences import expression

    text = package.license
    return getattr(package, "spdx", "") or (expression(text) if text else "") or text


def _others(old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """What else is different, a subject at a time, with a few words."""
    if old.module == new.module and old.spec != new.spec:
        yield "spec", f"{old.spec} -> {new.spec}"
    if old.name == new.name and old.recipe.get("digest") != new.recipe.get("digest"):
        commits = [each.repository.get("commit", "")[:12] for each in (old, new)]
        yield "recipe", " -> ".join(commits) if all(commits) and len({*commits}) > 1 else "changed"
    if old.base != new.base:
        names = [f"{each.base.get('name')} ({_short(each.base)})" for each in (old, new)]
        yield "base", " -> ".join(names)
    if old.needs != new.needs:
        yield "needs", " -> ".join(", ".join(each.needs) or "nothing" for each in (old, new))
    # Where they lie makes no difference in how they are entered, and what they need was told.
    pair = _plain(old, old.launch), _plain(new, new.launch)
    if told := _told(*pair, lambda name: name not in ("root", "needs", "needed_images")):
        yield "entered", told
    if told := _told(old.shown, new.shown, lambda name: old.name == new.name):
        yield "module", told


def _short(base: Mapping[str, str]) -> str:
    return f"{base.get('id')}, {base.get('digest', '').removeprefix('sha256:')[:8]}"


def _plain(record: Record, value: Any) -> Any:
    """The same wherever the install lies."""
    if isinstance(value, str):
        return value.replace(record.prefix, "$PREFIX")
    if isinstance(value, Mapping):
        return {key: _plain(record, each) for key, each in value.items()}
    return [_plain(record, e) for e in value] if isinstance(value, list | tuple) else value


def _told(old: Mapping[str, Any], new: Mapping[str, Any], counts: Callable[[str], bool]) -> str:
    """Which of some facts differ; those of one word with what they were and are."""
    parts = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before != after and counts(name):
            short = all(isinstance(e or "", str) and len(e or "") <= 20 for e in (before, after))
            parts.append(
                f"{name} {before or '-'} -> {after or '-'}" if short else f"{name} changed"
            )
    return ", ".join(parts)


def asked_first(names: Iterable[str], asked: frozenset[str]) -> tuple[list[str], list[str]]:
    """Names in two lists, sorted: those that somebody has asked for, and the others."""
    there = sorted(names)
    return [n for n in there if n in asked], [n for n in there if n not in asked]

"""What a catalogue shows: the installs of its roots, by their names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import tykky
from tykky.errors import StoreError
from tykky.host import home_of
from tykky.publish.catalog import facts
from tykky.publish.catalog.text import digest
from tykky.store import Entry, Store, retired, roots, state

if TYPE_CHECKING:
    from tykky.config import Config


@dataclass(frozen=True)
class Shown:
    """A root that is shown, and its configuration."""

    config: Config
    store: Store


@dataclass(frozen=True)
class Group:
    """The versions of a name: those that are there, the newest first, and what is retired and gone.

    ``default`` is the prefix of what the name means. By modules: ``paths`` of directories of
    modules, as far as they may be told, and ``needs``, the modules that each stands on.
    """

    name: str
    entries: tuple[Entry, ...]
    default: str
    gone: tuple[retired.Retired, ...]
    paths: Mapping[str, str]
    needs: Mapping[str, list[str]]

    @cached_property
    def keys(self) -> dict[str, str]:
        """A digest for each module of what is told of it."""
        same = tykky.__version__, facts.FORMAT
        more = {m: (same, self.needs[m], self.paths[m]) for m in self.needs}
        return {each.module: facts.key_of(each, more[each.module]) for each in self.entries}

    @cached_property
    def key(self) -> str:
        """A digest of all that is told of the name."""
        gone = [[each.module, dict(each.facts)] for each in self.gone]
        return digest(self.keys, self.default, gone)

    def is_default(self, entry: Entry) -> bool:
        """Whether a version is what the name means."""
        return entry.prefix == self.default and state.HIDDEN not in entry.marks


def of_roots(shown: Sequence[Shown], *, hidden: bool) -> tuple[list[Group], list[str]]:
    """What is shown of the roots; and problems in words. Raises ``StoreError``."""
    for each in shown:
        if not each.store.database.is_dir():  # which, if it were empty, would empty the pages
            cause = f"there is no root of installs at {each.store.root}, or it is not mounted"
            raise StoreError(cause, remedy="'tykky config why root' says where it was set")
    entries, where = roots.match([each.store for each in shown], None)
    problems = [
        f"{problem}; the catalogue does not tell of it"
        for each in shown
        for problem in each.store.unreadable
    ]
    defaults = roots.defaults(entries, where)
    public = {e.store.root: _public(e.config.module_path, e.store.root) for e in shown}
    open_to = {each.store.root: _mode(str(each.store.places)) for each in shown}
    by_name: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        store = where[entry.prefix]
        # What the classic commands made has no module, and lies wherever its user wanted it.
        if not entry.prefix.endswith(f"/store/{entry.name}/{entry.version}{entry.suffix}"):
            continue
        closed = store.permissions.only_for(entry.module) or (
            open_to[store.root] & ~_mode(entry.prefix) & 0o005
        )
        if hidden or not (closed or state.HIDDEN in entry.marks):
            by_name.setdefault(entry.name, {}).setdefault(entry.module, entry)
    buried: dict[str, dict[str, retired.Retired]] = {}
    for one in (one for root in shown for one in retired.of(root.store)):
        name = one.module.partition("/")[0]
        if one.module not in by_name.get(name, {}):
            buried.setdefault(name, {}).setdefault(one.module, one)
    modules = {each.prefix: each.module for own in by_name.values() for each in own.values()}
    found = []
    for name in sorted({*by_name, *buried}):
        there = tuple(reversed(by_name.get(name, {}).values()))
        paths = {e.module: public[where[e.prefix].root] for e in there}
        needs = {e.module: [modules.get(n.rpartition("#")[0], "") for n in e.needs] for e in there}
        default = next((e.prefix for e in there if e.prefix in defaults), "")
        found.append(Group(name, there, default, (*buried.get(name, {}).values(),), paths, needs))
    return found, problems


def _public(path: Path, root: Path) -> str:
    """A directory that may be told of: none in somebody's home, unless the installs are there."""
    home = home_of("", os.environ)
    own = bool(home) and Path(home) in path.parents
    return "" if own and root not in path.parents else str(path)


def _mode(path: str) -> int:
    try:
        return Path(path).stat().st_mode
    except OSError:
        return 0

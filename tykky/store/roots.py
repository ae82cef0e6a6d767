"""Several roots: the one that is written to, and those that installs are looked for in as well.

A store knows the ``others`` by the configuration. They are searched in order, the store itself
first; the same directory by two names is one. An install is taken from the first that has it whole:
what a killed build, or a damaged disk, has left in one hides nothing in the next.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import StoreError
from tykky.host import home_of
from tykky.store import state
from tykky.store.default import default_of
from tykky.store.place import Place
from tykky.store.record import Entry

if TYPE_CHECKING:
    from tykky.spec import Spec
    from tykky.store import Store


def searched(store: Store) -> tuple[list[Store], list[str]]:
    """The stores that are searched, each once, and a sentence for each that cannot be read.

    A root that is not there may not be mounted, unless it is below the user's home: nobody has
    made that yet. Where there is only one, whoever reads it says what is wrong.
    """
    if not store.others:
        return [store], []
    found: dict[tuple[int, int], Store] = {}
    problems = []
    for each in (store, *store.others):
        try:
            with os.scandir(each.database):
                status = each.database.stat()
            first = found.setdefault((status.st_dev, status.st_ino), each)
            first.name = first.name or each.name
        except OSError as error:
            if not _is_new(each.root):
                gone = isinstance(error, FileNotFoundError)
                why = (
                    "is not there, or not mounted" if gone else f"cannot be read: {error.strerror}"
                )
                problems.append(f"the root {each.title} {why}")
    return list(found.values()) or [store], problems


def having(store: Store, words: str) -> Store:
    """The store in which an install by these words is whole, or is at all; else the first.

    Raises ``TykkyError`` for words that nothing can be called.
    """
    if not store.others:
        return store
    first = None
    for each in searched(store)[0]:
        with contextlib.suppress(StoreError):
            found = each.meant(words.partition("#")[0])
            if any(map(_is_whole, found)):
                return each
            first = first or (each if found else None)
    return first or store


def match(stores: Sequence[Store], spec: Spec | None) -> tuple[list[Entry], dict[str, Store]]:
    """What a spec covers in all of them, sorted, and the store of each by its prefix."""
    from tykky.recipe import Version

    entries: list[Entry] = []
    where: dict[str, Store] = {}
    for store in stores:
        for entry in store.match(spec):
            if where.setdefault(entry.prefix, store) is store:
                entries.append(entry)
    if len(stores) > 1:
        entries.sort(key=lambda e: (e.name, Version(e.version), e.suffix))
    return entries, where


def defaults(entries: Sequence[Entry], where: Mapping[str, Store]) -> set[str]:
    """The prefixes of what their names mean, one for each name.

    It is the default of those in one root: the first in which one of the name is whole, and not
    retired, if there is such a one.
    """
    groups: dict[str, dict[Path, list[Entry]]] = {}
    for entry in entries:
        groups.setdefault(entry.name, {}).setdefault(where[entry.prefix].root, []).append(entry)
    order = [store.root for store in dict.fromkeys(where.values())]
    found = set()
    for by_root in groups.values():
        each = [by_root[root] for root in order if root in by_root]
        several = each if len(each) > 1 else ()
        whole = [[e for e in group if _is_whole(e)] for group in several]
        loaded = [[e for e in group if state.RETIRED not in e.marks] for group in whole]
        found.add(default_of(next(filter(None, (*loaded, *whole)), each[0])).prefix)
    return found


def elsewhere(store: Store) -> Iterator[tuple[Store, Entry]]:
    """What the other roots have, as far as they can be read."""
    for each in searched(store)[0] if store.others else ():
        with contextlib.suppress(StoreError):
            yield from ((each, entry) for entry in each.entries() if each is not store)


def beyond(store: Store, words: str) -> tuple[str, str]:
    """Where else there is nothing by these words, to end a sentence; where there is, as a remedy.

    If nobody knows, that tells which roots cannot be read.
    """
    if not store.others:
        return "", ""
    there, problems = searched(store)
    there = [each for each in there if each is not store]
    for each in there:
        with contextlib.suppress(StoreError):
            if found := each.meant(words):
                return "", f"{found[0].module} is in the root {each.title}: --root {each.name}"
    return "".join(f", nor in {each.title}" for each in there), "; ".join(problems)


def where_from(store: Store, words: str) -> str:
    """The remedy where something that is needed is in no root that can be read."""
    install = f"install it first: tykky install {words}"
    unread = "; ".join(searched(store)[1])
    return f"{unread}; unless it is there, {install}" if unread else install


def _is_new(root: Path) -> bool:
    """Whether a root without a database is one into which nobody has installed anything yet."""
    try:
        names = os.listdir(root)  # noqa: PTH208 - the names are enough
        return bool(names) and "db" not in names  # a mount point would be empty
    except FileNotFoundError:
        return Path(home_of("", os.environ) or "/nonexistent") in root.parents
    except OSError:
        return False


def _is_whole(entry: Entry) -> bool:
    return Place(Path(entry.prefix)).current > 0

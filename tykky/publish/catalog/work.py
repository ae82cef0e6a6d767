"""Makes the files of a catalogue.

What is told of versions that are as they were is taken from ``stack.json``, which has it from the
run before, so that nothing of them is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tykky.errors import TykkyError
from tykky.host import now
from tykky.publish.catalog import facts, feeds, search
from tykky.publish.catalog.folder import Folder
from tykky.publish.catalog.groups import Group
from tykky.publish.catalog.pages import FIXED, Pages, near
from tykky.publish.catalog.text import digest, line
from tykky.store import Entry, Place

#: How much of what is gone is told of.
_GONE = 30
#: What of a version is in the list of all.
_SHORT = (
    *("version", "module", "description", "kind", "arch", "installed", "generation", "bytes"),
    *("prefix", "gpu", "mpi", "states", "default", "events"),
    "module_path",
)
#: The files that every catalogue has, besides those of the search.
_TOP = ("index.html", "feed.xml", "catalog.json", "modules.json", *FIXED)

_Facts = dict[str, Any]


@dataclass
class Work:
    """One making of a catalogue; ``problems`` gets a sentence for what cannot be read."""

    pages: Pages
    out: Folder
    groups: Sequence[Group]
    problems: list[str]
    #: What is told of the stacks in short, and what the search knows.
    _short: list[_Facts] = field(default_factory=list)
    _unread: set[str] = field(default_factory=set)
    _index: search.Index = field(default_factory=search.Index)

    def run(self) -> None:
        """Make what has changed, and remove what is gone. Raises ``TykkyError``."""
        names = {group.name: {"all": group.key, "versions": group.keys} for group in self.groups}
        sure = not self.problems  # else it may be there, and only not be readable now
        gone = self._gone(names) if sure else self.out.known.get("gone", [])
        known = {"pages": self.pages.digest, "names": names, "gone": gone}
        if known == self.out.known and self.out.is_whole():
            return
        self.out.expect({*_TOP, *(file for group in self.groups for file in _files(group))})
        for group in self.groups:
            if unread := self._stack(group):
                names[group.name] = {"all": "", "versions": {**group.keys, **unread}}
        self._all(gone)
        self.out.finish(known, sure=sure)

    def _gone(self, names: Mapping[str, Any]) -> list[dict[str, str]]:
        """What was shown last time and is not any more, with when that was seen."""
        there = {module for each in names.values() for module in each["versions"]}
        before = self.out.known.get("names", {})
        shown = {module for each in before.values() for module in each["versions"]}
        told = [e for e in self.out.known.get("gone", []) if e["module"] not in there]
        for module in sorted(shown - there):
            told.append({"module": module, "name": module.partition("/")[0], "when": now()})
        return told[-_GONE:]

    # -- a stack -----------------------------------------------------------------------

    def _stack(self, group: Group) -> dict[str, str]:
        """Make what tells of one name. Modules that cannot be read, with an empty digest each."""
        versions = self._versions(group)
        unread = dict.fromkeys(self._unread & {*group.keys}, "")
        if not (versions or group.gone):
            return unread
        ordered = sorted(versions, key=lambda each: not each["default"])
        main = ordered[0] if ordered else None
        stack: _Facts = {"format": facts.FORMAT, "name": group.name}
        stack |= {k: main[k] if main else "" for k in ("description", "homepage", "license")}
        stack |= {"page": feeds.page_of(group.name), "file": f"stacks/{group.name}/stack.json"}
        stack |= {"versions": versions, "retired": [_buried(each) for each in group.gone]}
        key, top = digest(group.key, unread), f"stacks/{group.name}"
        self.out.put(stack["file"], lambda: feeds.written(stack), key)
        page = self.pages.maker("stack.html", "../../", stack=stack, facts=main)
        self.out.put(f"{top}/index.html", page, digest(self.pages.digest, key))
        for number, each in enumerate(versions):
            newer, older = near(versions, number)
            told = [[e["version"], group.keys[e["module"]]] for e in (newer, each, older) if e]
            made_from = self.pages.digest, told, each["default"], each["changes"]
            beside = {"newer": newer, "older": older}
            page = self.pages.maker("version.html", "../../../", stack=stack, facts=each, **beside)
            self.out.put(f"{top}/versions/{each['version']}.html", page, digest(made_from))
        self._index.add(group.name, stack["description"], ordered)
        short = [{k: each[k] for k in _SHORT} for each in versions]
        self._short.append({**stack, "versions": short})
        return unread

    def _versions(self, group: Group) -> list[_Facts]:
        """What is told of the versions; of those that have not changed, what was told before."""
        before = self.out.known.get("names", {}).get(group.name, {}).get("versions", {})
        former = self._kept(group.name)
        same = {module for module, key in group.keys.items() if before.get(module) == key}
        kept = {module: former[module] for module in same if module in former}
        found = []
        for entry in group.entries:
            told = kept.get(entry.module) or self._read(entry, group, former)
            if told is not None:
                told["module_path"] = group.paths[entry.module]
                found.append({**told, "default": group.is_default(entry)})
        for number, each in enumerate(found):
            old = _before(each, found[number + 1 :])
            is_known = old and old["module"] in kept and each["module"] in kept
            if not is_known or each["changes"].get("since") != old["version"]:
                each["changes"] = _changes(old, each) if old else {}
        return found

    def _kept(self, name: str) -> dict[str, _Facts]:
        """What was told of the versions of a name before, by their modules."""
        data = self.out.read(f"stacks/{name}/stack.json")
        return {each["module"]: each for each in data["versions"]} if data else {}

    def _read(self, entry: Entry, group: Group, former: Mapping[str, _Facts]) -> _Facts | None:
        """What is told of a version now; what was told before, if it cannot be read."""
        try:
            record = Place(Path(entry.prefix)).record()
            needs = group.needs[entry.module]
            return facts.of_record(record, needs) if record.has_module else None
        except (TykkyError, LookupError, TypeError, ValueError, AttributeError) as error:
            told = former.get(entry.module)
            what = "tells what it was" if told else "lacks it"
            why = error.cause if isinstance(error, TykkyError) else "its record is odd"
            self.problems.append(f"{why}; the catalogue {what}: {entry.module}")
            self._unread.add(entry.module)
            return told

    # -- all stacks ----------------------------------------------------------------------

    def _all(self, gone: Sequence[Mapping[str, str]]) -> None:
        """Make what tells of all stacks."""
        site, told = self.pages.site, feeds.changes(self._short, gone)
        found = dict(self._index.files())
        self.out.expect({*found})
        for name in FIXED:
            found[name] = self.pages.fixed(name)
        start = {"stacks": self._short, "changes": told}
        found["index.html"] = self.pages.render("index.html", "", **start)
        entries = [*feeds.atom_entries(site["url"], told)]
        feed = {"entries": entries, "feed_id": feeds.identifier(site["url"] or site["title"])}
        found["feed.xml"] = self.pages.render("feed.xml", "", **feed)
        found["catalog.json"] = feeds.catalog(site["title"], site["url"], self._short)
        found["modules.json"] = feeds.software_page(self._short)
        for name, text in found.items():
            self.out.put(name, text.__str__)


def _files(group: Group) -> list[str]:
    versions = [f"versions/{e.version}{e.suffix}.html" for e in group.entries]
    return [f"stacks/{group.name}/{each}" for each in ("index.html", "stack.json", *versions)]


def _buried(each: Any) -> _Facts:
    """What is told of a version that is retired, and not there any more."""
    version = line(each.module.partition("/")[2])
    told = [facts.state_of("retired", each.facts)]
    return {"version": version, "module": line(each.module), "states": told}


def _before(new: _Facts, older: Sequence[_Facts]) -> _Facts:
    """The version before, of the same choices if there is such a one; or nothing."""
    alike = (each for each in older if each["choices"] == new["choices"])
    return next(alike, older[0] if older else {})


def _changes(old: _Facts, new: _Facts) -> _Facts:
    """What has changed since the version before."""
    if not (new["packages"] or old["packages"]):
        return {}
    return {"since": old["version"], **facts.difference(old["packages"], new["packages"])}

"""What users see of installs, and the one that makes it visible or takes it from sight.

All that it writes is derived from records and the configuration, and may be made again at any
time: the commands in ``bin``, links of a classic installation, the entry in the database, the
modulefile and the mark of the default version. What decides is ``current`` of the place, which it
switches in between: what a new generation needs comes before, what only older ones had goes after.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console, trust
from tykky.build import commands
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.files import discard, text_at
from tykky.publish.modulefile import LUA
from tykky.publish.modules import Modules, forms, owner_of, path_of
from tykky.store import (
    HIDDEN,
    Entry,
    Place,
    Record,
    Store,
    journal,
    place,
    retired,
    signatures,
    state,
    written,
)
from tykky.store.written import Fault

if TYPE_CHECKING:
    from tykky.config import Config

#: The folder of a generation whose entries are linked beside ``bin``.
LINKS = "layout"
#: What the note of the modulefile is called among those of a place.
_MODULE = "module"


@dataclass(frozen=True)
class Publisher:
    """Publishes what is in a store, as the configuration wants it."""

    config: Config
    store: Store
    #: What a version is hidden as from its first generation on, if it is to be.
    hidden_as: str = ""
    #: The modules of which there is something new to tell.
    told: set[str] = field(default_factory=set)

    @cached_property
    def modules(self) -> Modules:
        """The modulefiles."""
        return Modules(self.config, self.store)

    def check(self, record: Record) -> None:
        """Find out before a build what would fail after it. Raises ``TykkyError``."""
        self.store.check_entry(record)
        if not record.has_module:
            return
        here, module = Place(Path(record.prefix)), record.module
        if self.hidden_as and here.current and state.HIDDEN not in state.marks(here):
            cause = f"{module} is not hidden, so everybody would get the new generation of it"
            remedy = f"test it as another version, or first: tykky hide --testing {module}"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
        self.modules.check(record)

    def check_removable(self, entry: Entry) -> None:
        """Raise ``StoreError`` if the modulefile of an install is there and cannot be removed."""
        self.modules.check_removable(entry)

    def switch(self, record: Record, verb: str, why: str = "") -> None:
        """Let a generation be the current one, and show it. Hold the claim of its place.

        Raises ``TykkyError``; then one generation or the other is current, and whole.
        """
        here = Place(Path(record.prefix))
        before = here.current
        # A session that has loaded an older generation has its commands while that is kept.
        kept = here.records() if record.has_module else [record]
        if not record.marks and before and (marks := self.store.entered_marks(record)):
            state.recall(here, marks, self.store.permissions)
            record = replace(record, marks=state.marks(here))
        if self.hidden_as and record.has_module and not before:
            facts = {"as": self.hidden_as}
            state.mark(here, state.HIDDEN, facts, "hide", self.store.permissions, why)
            record = replace(record, marks=state.marks(here))
        every = sorted({name for each in kept for name in each.commands})
        folder, permissions = here.prefix / "bin", self.store.permissions
        # What an earlier Tykky has left works by itself, a launcher by the current generation.
        first = [name for name in every if before or not os.path.lexists(folder / name)]
        commands.lay_commands(here, first, folder, permissions)
        _lay_links(here, record.generation, instead=False)  # they lead nowhere until it is current
        if before != record.generation:
            place.switch(here, record.generation)
            signed = [
                (here.generation(n) / signatures.NAME).exists() for n in (before, here.current)
            ]
            if before and signed == [True, False]:
                name = record.title if record.has_module else shlex.quote(record.prefix)
                what = f"{record.title} is not signed, as #{before} was"
                console.warn(f"{what}; after a look at it: 'tykky sign {name}'")
        commands.lay_commands(here, every, folder, permissions)
        with contextlib.suppress(OSError):
            for path in folder.iterdir():  # before what they may read changes
                if path.name not in every and (record.has_module or not before or _is_ours(path)):
                    discard(path)  # no generation has it
        _lay_links(here, record.generation, instead=True)
        self.store.enter(record)
        notes: dict[str, str] = {}
        if record.has_module:
            retired.take_back(self.store, record.module)
            paths = self.modules.write(record)
            notes = {_note_of(path): written.note(path) for path in paths}
        if (here.hidden / place.KERNELS).exists():
            from tykky.publish import kernels  # few places have any

            for problem in kernels.follow(record, permissions):
                console.warn(problem)
        self.tell(record.module, state.add(here, verb, before, permissions, why, notes))

    def tell(self, module: str, event: state.Event | None) -> None:
        """Write an event into the journal; that it cannot be is no reason to fail."""
        if event is not None:
            self.told.add(module)
            try:
                journal.add(self.store, module, event)
            except TykkyError as error:
                console.warn(f"the journal does not have this: {error.cause}")

    def mark(
        self, entry: Entry, name: str, facts: Mapping[str, str] | None, verb: str, why: str
    ) -> bool:
        """Decide something about a version, or take it back without ``facts``, and show it.

        Whether anything has changed, or was not shown yet. Hold the claim of its place. Raises
        ``TykkyError``.
        """
        here = Place(Path(entry.prefix))
        here.check_formats()
        state.recall(here, self.store.entered_marks(entry), self.store.permissions)
        event = state.mark(here, name, facts, verb, self.store.permissions, why)
        self.tell(entry.module, event)
        record = here.record()
        changed = event is not None or any(self.differences(record))
        if changed:
            self.switch(record, verb)
        return changed

    def repair(self, record: Record) -> None:
        """Make again what is missing of the current generation, if anything is."""
        if any(self.differences(record)):
            self.store.prepare()
            with self.store.claim(Path(record.prefix), record.module, console.note):
                here = Place(Path(record.prefix))
                here.check_formats()
                if here.current == record.generation:
                    self.switch(record, "repair")

    def settle(self, record: Record) -> None:
        """Give one's own files the configured modes and groups. Raises ``TykkyError``."""
        if record.has_module:
            with explained(f"set the modes of {record.prefix}"):
                self.store.settle(record)
                for form in forms(self.config):
                    folder = path_of(self.config, record.module, form).parent
                    self.store.permissions.modules.apply_again(folder)

    def differences(self, record: Record) -> Iterator[Fault]:
        """What is not as it would be made now, of all that is derived from a record."""
        here = Place(Path(record.prefix))
        for name in record.commands:
            if not os.access(path := here.prefix / "bin" / name, os.X_OK):
                yield self._fault(path, "is missing", record)
        for link, target in _links(here).items():
            if not _leads(link, target):
                yield self._fault(link, f"does not lead to {target}", record)
        if [event.generation for event in state.events(here)][-1:] != [record.generation]:
            told = "does not tell how this generation became the current one"
            yield self._fault(here.hidden / state.NAME, told, record)
        if not self.store.is_entered(record):
            fault = self._fault(
                self.store.entry_path(record), "is not what the record says", record
            )
            yield replace(fault, remedy="'tykky reindex'") if record.has_module else fault
        for form in forms(self.config) if record.has_module else ():
            path = path_of(self.config, record.module, form)
            if path.is_symlink():
                yield self._fault(path, "is a link", record)
            elif owner_of(path) != record.prefix:
                yield self._fault(path, "is missing or belongs to another", record)
            elif text_at(path) != self.modules.text_of(record, form):
                yield self._fault(path, "is not as it would be made now", record)
            default = path.parent / form.rc
            if text_at(default) != self.modules.text_of_rc(record.name, form):
                yield self._fault(default, "does not mark the default version", record)

    def faults(self, record: Record) -> Iterator[Fault]:
        """What is not as it was made, of what users see of a current generation."""
        here = Place(Path(record.prefix))
        known = state.notes(here)
        shown = [self.store.entry_path(record)]
        kept: set[Path] = set()
        for form in forms(self.config) if record.has_module else ():
            module = path_of(self.config, record.module, form)
            shown += [module, module.parent / form.rc, module.parent]
            # A template may have changed since: then it is out of date, and nothing is wrong.
            noted = written.what(known.get(_note_of(module), ""))
            if module.is_file() and noted == written.what(written.note(module)):
                kept.add(module)
        for fault in self.differences(record):
            if fault.path not in kept:
                yield fault
        for path in shown:
            if os.path.lexists(path):
                owners = frozenset(trust.owner(here.prefix) + trust.owner(path.parent))
                site = self.store.permissions
                site = site.modules if self.config.module_path in path.parents else site
                yield from written.Checker(site, owners).mode(path)

    def _fault(self, path: Path, wrong: str, record: Record) -> Fault:
        name = record.module if record.has_module else shlex.quote(record.prefix)
        return Fault(path, wrong, f"'tykky refresh {name}'")

    def orphans(self) -> Iterator[Fault]:
        """The modulefiles of installs that are not there, or not in this root."""
        for path, prefix in self.modules.orphans():
            yield Fault(path, f"belongs to {prefix}, where no install is", "'tykky reindex'")

    def withdraw_orphans(self) -> Iterator[str]:
        """Remove the modulefiles of installs that are not there; a sentence for each."""
        for path, prefix in self.modules.remove_orphans():
            yield f"removed {path}, which belongs to {prefix}, where no install is"

    def withdraw(self, entry: Entry, verb: str = "uninstall", why: str = "") -> None:
        """Remove the modulefile of an install, if it is still the install's own."""
        number = Place(Path(entry.prefix)).current
        self.tell(entry.module, state.event(verb, 0, number, why))
        try:
            self.modules.remove(entry)
        except TykkyError as error:
            console.warn(f"{error.cause}; 'tykky refresh {entry.name}' mends that")
        if (Path(entry.prefix, HIDDEN, place.KERNELS)).exists():
            from tykky.publish import kernels

            for problem in kernels.withdraw(Place(Path(entry.prefix))):
                console.warn(problem)


def _note_of(module: Path) -> str:
    """What the note of a modulefile is called."""
    return _MODULE if module.name.endswith(LUA.suffix) else f"{_MODULE}-tcl"


def _links(here: Place, number: int = 0) -> dict[Path, Path]:
    """What beside ``bin`` leads into the current generation, or will if it is that ``number``."""
    folder = here.generation(number) / LINKS
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return {here.prefix / name: Path(HIDDEN, "current", LINKS, name) for name in names}


def _is_ours(command: Path) -> bool:
    """Whether Tykky has made what is in a user's own prefix, or an earlier one its wrapper."""
    return place.is_launcher(command) or (
        command.is_file() and command.stat().st_size < 1 << 16 and "common.sh" in text_at(command)
    )


def _leads(link: Path, target: Path) -> bool:
    return link.is_symlink() and link.readlink() == target


def _lay_links(here: Place, number: int, *, instead: bool) -> None:
    """Make the links that a generation needs; ``instead`` of what else there is, or beside it."""
    wanted = _links(here, number)
    with explained(f"lay out {here.prefix}"):
        for link, target in wanted.items():
            if not os.path.lexists(link) or (instead and not _leads(link, target)):
                _replace(link, target, here)
        for path in here.prefix.iterdir() if instead else ():
            ours = path.is_symlink() and path.readlink().parts[:1] == (HIDDEN,)
            if ours and path not in wanted:
                path.unlink()


def _replace(link: Path, target: Path, here: Place) -> None:
    """Put a link in the place of whatever has its name, which is kept until the next change."""
    if os.path.lexists(link) and not link.is_symlink():
        aside = here.hidden / f".replaced-{secrets.token_hex(4)}"
        aside.mkdir()
        try:
            os.link(link, aside / link.name)
        except OSError:  # a folder, which nothing can take the place of at once
            link.rename(aside / link.name)
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)

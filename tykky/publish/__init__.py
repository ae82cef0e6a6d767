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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console, trust
from tykky.build import commands
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.files import check_writable, discard, make_folder, text_at, write_file
from tykky.host import real
from tykky.publish import modules
from tykky.store import HIDDEN, Entry, Place, Record, Store, place, state, written
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

    def check(self, record: Record) -> None:
        """Find out before a build what would fail after it. Raises ``TykkyError``."""
        self.store.check_entry(record)
        if not record.has_module:
            return
        # A template of the site that is wrong must not be found after an hour of building.
        modules.render(record, self.config)
        modules.check_loads(record.name, record.loads)
        path = modules.path_of(self.config, record.module)
        owner = modules.owner_of(path)
        if owner not in (None, record.prefix) and not self._is_copied(path, owner):
            what = f"the install {owner}" if owner else "something that is not Tykky's"
            cause = f"the modulefile {path} is there already and belongs to {what}"
            remedy = "move it away, or set another 'module_path'"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
        folder = self.config.module_path
        with explained(f"use {folder} for modules"):
            make_folder(folder, self.store.permissions)
        if not os.access(folder, os.W_OK | os.X_OK):
            cause = f"you may not write modules into {folder}"
            remedy = "choose another directory: 'tykky config set module_path DIR'"
            raise TykkyError(cause, remedy=remedy, code=Exit.NOT_WRITABLE)

    def _is_copied(self, path: Path, owner: str) -> bool:
        """Whether a modulefile came with a copy of the root in which its owner is."""
        own = self.store.place(path.parent.name, path.stem).prefix
        return path.is_relative_to(self.store.root) and Path(owner).parts[-3:] == own.parts[-3:]

    def check_removable(self, entry: Entry) -> None:
        """Raise ``StoreError`` if the modulefile of an install is there and cannot be removed."""
        folder = modules.path_of(self.config, entry.module).parent
        if folder.is_dir():
            check_writable(folder, f"remove the module {entry.module}")

    def switch(self, record: Record, verb: str, why: str = "") -> None:
        """Let a generation be the current one, and show it. Hold the claim of its place.

        Raises ``TykkyError``; then one generation or the other is current, and whole.
        """
        here = Place(Path(record.prefix))
        before = here.current
        # A session that has loaded an older generation has its commands while that is kept.
        kept = here.records() if record.has_module else [record]
        every = sorted({name for each in kept for name in each.commands})
        folder, permissions = here.prefix / "bin", self.store.permissions
        # What an earlier Tykky has left works by itself, a launcher by the current generation.
        first = [name for name in every if before or not os.path.lexists(folder / name)]
        commands.lay_commands(here, first, folder, permissions)
        _lay_links(here, record.generation, instead=False)  # they lead nowhere until it is current
        if before != record.generation:
            place.switch(here, record.generation)
        commands.lay_commands(here, every, folder, permissions)
        with contextlib.suppress(OSError):
            for path in folder.iterdir():  # before what they may read changes
                if path.name not in every and (record.has_module or not before or _is_ours(path)):
                    discard(path)  # no generation has it
        _lay_links(here, record.generation, instead=True)
        self.store.enter(record)
        notes: dict[str, str] = {}
        if record.has_module:
            with self.store.alone(record.name):
                module = modules.path_of(self.config, record.module)
                self._write(module, modules.render(record, self.config))
                self._mark_default(record.name)
            notes = {_MODULE: written.note(module)}
        state.add(here, verb, before, self.store.permissions, why, notes)

    def repair(self, record: Record) -> None:
        """Make again what is missing of the current generation, if anything is."""
        if any(self.differences(record)):
            self.store.prepare()
            with self.store.claim(Path(record.prefix), record.module, console.note):
                here = Place(Path(record.prefix))
                here.check_formats()
                if here.current == record.generation:
                    self.switch(record, "repair")

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
        if record.has_module:
            path = modules.path_of(self.config, record.module)
            if path.is_symlink():
                yield self._fault(path, "is a link", record)
            elif modules.owner_of(path) != record.prefix:
                yield self._fault(path, "is missing or belongs to another", record)
            elif text_at(path) != modules.render(record, self.config):
                yield self._fault(path, "is not as it would be made now", record)
            default = path.parent / ".modulerc.lua"
            if text_at(default) != self._default(record.name):
                yield self._fault(default, "does not mark the default version", record)

    def faults(self, record: Record) -> Iterator[Fault]:
        """What is not as it was made, of what users see of a current generation."""
        here = Place(Path(record.prefix))
        module = modules.path_of(self.config, record.module)
        # A template may have changed since: then it is out of date, and nothing is wrong.
        noted = written.what(state.notes(here).get(_MODULE, ""))
        is_kept = module.is_file() and noted == written.what(written.note(module))
        for fault in self.differences(record):
            if not (is_kept and fault.path == module):
                yield fault
        shown = [module, module.parent / ".modulerc.lua"] if record.has_module else []
        for path in (*shown, self.store.entry_path(record)):
            if os.path.lexists(path):
                owners = frozenset(trust.owner(here.prefix) + trust.owner(path.parent))
                yield from written.Checker(self.store.permissions, owners).mode(path)

    def _fault(self, path: Path, wrong: str, record: Record) -> Fault:
        name = record.module if record.has_module else shlex.quote(record.prefix)
        return Fault(path, wrong, f"'tykky refresh {name}'")

    def orphans(self) -> Iterator[Fault]:
        """The modulefiles of installs that are not there, or not in this root."""
        for path in sorted(self.config.module_path.glob("*/[!.]*.lua")):
            prefix, copied = Path(modules.owner_of(path) or "/"), False
            if real(self.store.places) not in real(prefix).parents:
                owner = str(prefix)
                own = self.store.place(path.parent.name, path.stem).prefix
                copied = self._is_copied(path, owner) and not own.is_dir()
                if not copied:
                    continue  # of another root, or not Tykky's; or of one that is checked itself
            if copied or not Place(prefix).numbers:
                yield Fault(path, f"belongs to {prefix}, where no install is", "'tykky reindex'")

    def withdraw_orphans(self) -> Iterator[str]:
        """Remove the modulefiles of installs that are not there; a sentence for each."""
        inside = self.store.root in self.config.module_path.parents
        if not (inside or any(self.store.places.glob("*/*"))):
            return  # the root may not be mounted just now
        for fault in [*self.orphans()]:
            name = fault.path.parent.name
            with self.store.alone(name), explained(f"remove {fault.path}", "module_path"):
                fault.path.unlink(missing_ok=True)
                self._mark_default(name)
            yield f"removed {fault}"

    def withdraw(self, entry: Entry) -> None:
        """Remove the modulefile of an install, if it is still the install's own."""
        path = modules.path_of(self.config, entry.module)
        with self.store.alone(entry.name):
            if modules.owner_of(path) == entry.prefix:
                path.unlink(missing_ok=True)
            try:
                self._mark_default(entry.name)
            except TykkyError as error:  # on a full disk, which this may be to free
                (path.parent / ".modulerc.lua").unlink(missing_ok=True)
                console.warn(f"{error.cause}; 'tykky refresh {entry.name}' mends that")

    def _default(self, name: str) -> str:
        return modules.default_of(name, self.config, self.store.entries(name))

    def _mark_default(self, name: str) -> None:
        """Write ``.modulerc.lua``, which names the default version. Hold the lock of the name."""
        folder = self.config.module_path / name
        path = folder / ".modulerc.lua"
        if text := self._default(name):
            self._write(path, text)
            return
        path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def _write(self, path: Path, text: str) -> None:
        if path.is_symlink() or text_at(path) != text:
            make_folder(path.parent, self.store.permissions)
            if path.is_dir() and not path.is_symlink():  # what nobody expects is kept for a look
                path.rename(path.with_name(f".{path.name}.{secrets.token_hex(4)}.aside"))
            write_file(path, text.encode(), self.store.permissions)


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

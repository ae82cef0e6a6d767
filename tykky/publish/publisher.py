"""The one that makes installs visible, and takes them from sight.

All that it writes is derived from records and the configuration, and may be made again at any
time: the commands in ``bin``, links of a classic installation, the entry in the database, the
modulefile and the mark of the default version. What decides is ``current`` of the place, which it
switches in between: whatever a new generation needs is there before, what only older ones had
goes after.

Public name: ``Publisher``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console
from tykky.build import commands
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.files import check_writable, discard, make_folder, write_file
from tykky.publish import modules
from tykky.store import HIDDEN, Entry, Place, Record, Store, place, state

if TYPE_CHECKING:
    from tykky.config import Config

#: The folder of a generation whose entries are linked beside ``bin``.
LINKS = "layout"


class Publisher:
    """Publishes what is in a store, as the configuration wants it."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store

    # -- beforehand --------------------------------------------------------------------

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
        if owner is not None and owner != record.prefix and not self._is_copied(path, owner):
            what = f"the install {owner}" if owner else "something that is not Tykky's"
            raise StoreError(
                f"the modulefile {path} is there already and belongs to {what}",
                remedy="move it away, or set another 'module_path'",
                code=Exit.CONFLICT,
            )
        folder = self.config.module_path
        with explained(f"use {folder} for modules"):
            make_folder(folder, self.store.permissions)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise TykkyError(
                f"you may not write modules into {folder}",
                remedy="choose another directory: 'tykky config set module_path DIR'",
                code=Exit.NOT_WRITABLE,
            )

    def _is_copied(self, path: Path, owner: str) -> bool:
        """Whether a modulefile came with a copy of the root in which its owner is."""
        own = self.store.place(path.parent.name, path.stem).prefix
        return path.is_relative_to(self.store.root) and Path(owner).parts[-3:] == own.parts[-3:]

    def check_removable(self, entry: Entry) -> None:
        """Raise ``StoreError`` if the modulefile of an install is there and cannot be removed."""
        folder = modules.path_of(self.config, entry.module).parent
        if folder.is_dir():
            check_writable(folder, f"remove the module {entry.module}")

    # -- making it visible -------------------------------------------------------------

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
        self._link_new(here, record.generation)
        if before != record.generation:
            place.switch(here, record.generation)
        commands.lay_commands(here, every, folder, permissions)
        self._remove_strays(here, every)  # before what they may read changes
        self._link(here)
        self.store.enter(record)
        if record.has_module:
            self._publish(record)
        state.add(here, verb, before, self.store.permissions, why)

    def repair(self, record: Record) -> None:
        """Make again what is missing of the current generation, if anything is."""
        if any(self.differences(record)):
            self.store.prepare()
            with self.store.claim(Path(record.prefix), record.module, console.note):
                here = Place(Path(record.prefix))
                here.check_formats()
                if here.current == record.generation:
                    self.switch(record, "repair")

    def differences(self, record: Record) -> Iterator[str]:
        """What is not as it would be made now, of all that is derived from a record."""
        here = Place(Path(record.prefix))
        for name in record.commands:
            if not os.access(here.prefix / "bin" / name, os.X_OK):
                yield f"the command {name} is missing"
        for link, target in self._links(here):
            if not link.is_symlink() or link.readlink() != target:
                yield f"{link} does not lead to {target}"
        if not self.store.is_entered(record):
            yield "the database does not have it as its record says"
        if record.has_module:
            path = modules.path_of(self.config, record.module)
            if modules.owner_of(path) != record.prefix:
                yield f"the modulefile {path} is missing or belongs to another"
            elif _text(path) != modules.render(record, self.config):
                yield f"the modulefile {path} is not as it would be made now"
            if _text(path.parent / ".modulerc.lua") != self._default(record.name):
                yield f"the default version of {record.name} is not marked"

    def withdraw(self, entry: Entry) -> None:
        """Remove the modulefile of an install, if it is still the install's own."""
        path = modules.path_of(self.config, entry.module)
        with self.store.alone(entry.name):
            if modules.owner_of(path) == entry.prefix:
                path.unlink(missing_ok=True)
            self._mark_default(entry.name)

    # -- modules -----------------------------------------------------------------------

    def _publish(self, record: Record) -> None:
        """Write the modulefile and mark the default version of its name."""
        path = modules.path_of(self.config, record.module)
        with self.store.alone(record.name):
            text = modules.render(record, self.config)
            if _text(path) != text:
                make_folder(path.parent, self.store.permissions)
                write_file(path, text.encode(), self.store.permissions)
            self._mark_default(record.name)

    def _default(self, name: str) -> str:
        return modules.default_of(name, self.config, self.store.entries(name))

    def _mark_default(self, name: str) -> None:
        """Write ``.modulerc.lua``, which names the default version. Hold the lock of the name."""
        folder = self.config.module_path / name
        path, text = folder / ".modulerc.lua", self._default(name)
        if text:
            if _text(path) != text:
                write_file(path, text.encode(), self.store.permissions)
            return
        path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    # -- the place ---------------------------------------------------------------------

    def _links(self, here: Place, number: int = 0) -> list[tuple[Path, Path]]:
        """What beside ``bin`` leads into the current generation: links and their targets.

        Those that a generation has which will be current, if its ``number`` is given.
        """
        folder = here.generation(number) / LINKS
        target = Path(HIDDEN, "current", LINKS)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return [(here.prefix / name, target / name) for name in names]

    def _link_new(self, here: Place, number: int) -> None:
        """Make the links that there are not yet: they lead nowhere until it is current."""
        with explained(f"lay out {here.prefix}"):
            for link, target in self._links(here, number):
                if not os.path.lexists(link):
                    link.symlink_to(target)

    def _link(self, here: Place) -> None:
        """Let the names of the layout lead into the current generation, whichever that is."""
        wanted = dict(self._links(here))
        with explained(f"lay out {here.prefix}"):
            for link, target in wanted.items():
                if not link.is_symlink() or link.readlink() != target:
                    _replace(link, target, here)
            for path in here.prefix.iterdir():
                ours = path.is_symlink() and path.readlink().parts[:1] == (HIDDEN,)
                if ours and path not in wanted:
                    path.unlink()

    def _remove_strays(self, here: Place, names: Sequence[str]) -> None:
        """Remove from ``bin`` what no generation has."""
        with contextlib.suppress(OSError):
            for path in (here.prefix / "bin").iterdir():
                if path.name not in names:
                    discard(path)


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

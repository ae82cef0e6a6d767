"""The modulefiles of a store: where they are, and writing and removing them.

Each install has one in every language that the site has chosen; a name has a file in each that
marks its default version and says what is hidden. All are made from records and from what was
decided, and may be made again at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.files import check_writable, is_folder, make_folder, text_at, write_file
from tykky.host import real
from tykky.publish import modulefile
from tykky.publish.modulefile import FORMS, LUA, Form
from tykky.spec import Spec
from tykky.store import Entry, Place, Record, Store, retired, roots, state

if TYPE_CHECKING:
    from tykky.config import Config

_LOCK = ".lock"


def forms(config: Config) -> list[Form]:
    """The languages that the site has chosen; at least one."""
    return [form for form in FORMS if config.module.format in (form.name, "both")]


def path_of(config: Config, module: str, form: Form | None = None) -> Path:
    """The modulefile of a module name such as ``python-data/26.11``."""
    return config.module_path / f"{module}{(form or forms(config)[0]).suffix}"


def owner_of(path: Path) -> str | None:
    """The prefix a modulefile was made for; empty if it is foreign, ``None`` if not there."""
    return modulefile.owner_in(text_at(path)) if os.path.lexists(path) else None


@dataclass(frozen=True)
class Modules:
    """The modulefiles of a store, as the configuration wants them.

    ``changed`` has the names of those that were written or removed, ``lost`` those of other roots
    that could not be asked when a text was made.
    """

    config: Config
    store: Store
    changed: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    def check(self, record: Record) -> None:
        """Find out before a build what would fail after it. Raises ``TykkyError``."""
        check_loads(record.name, record.loads)
        site = self.store.permissions
        _ = site.modules.gid, site.of_prefix(record.module).gid  # which this machine must know
        for form in forms(self.config):
            # A template of the site that is wrong must not be found after an hour of building.
            self.text_of(record, form)
            path = path_of(self.config, record.module, form)
            owner = owner_of(path)
            if owner not in (None, record.prefix) and not _is_copied(self.store, path, owner):
                what = f"the install {owner}" if owner else "something that is not Tykky's"
                cause = f"the modulefile {path} is there already and belongs to {what}"
                remedy = "move it away, or set another 'module_path'"
                raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
        folder = self.config.module_path
        with explained(f"use {folder} for modules"):
            make_folder(folder, self.store.permissions.modules)
        if not os.access(folder, os.W_OK | os.X_OK):
            cause = f"you may not write modules into {folder}"
            remedy = "choose another directory: 'tykky config set module_path DIR'"
            raise TykkyError(cause, remedy=remedy, code=Exit.NOT_WRITABLE)

    def check_removable(self, entry: Entry) -> None:
        """Raise ``StoreError`` if the modulefile of an install is there and cannot be removed."""
        folder = path_of(self.config, entry.module).parent
        if folder.is_dir():
            check_writable(folder, f"remove the module {entry.module}")

    def write(self, record: Record) -> list[Path]:
        """Show an install, and mark the default of its name; the paths of its modulefiles.

        Raises ``TykkyError``.
        """
        paths = []
        with self._alone(record.name):
            for form in forms(self.config):
                paths.append(path := path_of(self.config, record.module, form))
                self._write(path, self.text_of(record, form))
            self._remove(record.module, record.prefix, [f for f in FORMS if f not in self._forms])
            self._mark(record.name)
        return paths

    def remove(self, entry: Entry) -> None:
        """Take an install from sight, as far as its modulefile is still its own."""
        if not path_of(self.config, entry.module).parent.is_dir():
            return
        with self._alone(entry.name):
            self._remove(entry.module, entry.prefix, FORMS)
            try:
                self._mark(entry.name)
            except TykkyError:  # on a full disk, which this may be to free
                for form in FORMS:
                    (self.config.module_path / entry.name / form.rc).unlink(missing_ok=True)
                raise

    def bury(self, name: str) -> None:
        """Let modulefiles tell of the retired versions of a name. Raises ``TykkyError``."""
        with self._alone(name):
            for each in retired.of(self.store, name):
                for form in forms(self.config):
                    path = path_of(self.config, each.module, form)
                    if owner_of(path) in (None, each.prefix):
                        text = modulefile.tombstone(each.module, each.prefix, each.facts, form)
                        self._write(path, text)
            self._mark(name)

    def unbury(self, name: str, module: str, prefix: str) -> None:
        """Let no modulefile tell of a version any more that is not retired."""
        if not (self.config.module_path / name).is_dir():
            return
        with self._alone(name):
            self._remove(module, prefix, FORMS)
            self._mark(name)

    def text_of(self, record: Record, form: Form) -> str:
        """The modulefile of an install, also of a retired one. Raises ``ConfigError``."""
        if facts := record.marks.get(state.RETIRED):
            return modulefile.tombstone(record.module, record.prefix, facts, form)
        only_for = self.store.permissions.only_for(record.module)
        return modulefile.render(record, self.config, form, only_for)

    def text_of_rc(self, name: str, form: Form) -> str:
        """What marks the default of a name, and says what is hidden."""
        own = self.store.entries(name)
        there = [e for e in own if path_of(self.config, e.module, form).exists()]
        others, lost = self._beside(name, own)
        self.lost.update(lost)
        stores = [self.store, *others]
        if stores[1:]:
            every = roots.match(stores, Spec(name))[0]
            paths = {e.prefix: path_of(self.config, e.module, form) for e in every}
            there = [e for e in every if e in there or owner_of(paths[e.prefix]) == e.prefix]
        shown = [entry for entry in there if state.RETIRED not in entry.marks]
        gone = {e.module for e in there} | {r.module for s in stores for r in retired.of(s, name)}
        gone -= {e.module for e in shown}
        before = text_at(self.config.module_path / name / form.rc) if lost else ""
        return modulefile.rc(name, shown, sorted(gone), form, modulefile.Left(lost, before))

    def after_change(self) -> str:
        """Run what the site wants run after a change; what is to be said of it, or nothing."""
        command = self.config.module.after_change
        if not command:
            return ""
        names = {**os.environ, "TYKKY_CHANGED": " ".join(sorted(self.changed))}
        try:
            # Standard output is for the answer of the verb, which may be JSON.
            shell = ["/bin/sh", "-c", command]
            done = subprocess.run(shell, env=names, stdin=subprocess.DEVNULL, stdout=2, timeout=600)
            problem = f"ended with {done.returncode}" if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = f"could not be run to its end: {error}"
        said = f"the modules have changed, and 'module.after_change' {problem}"
        return f"{said}; repeat it: {command}" if problem else ""

    def all(self) -> Iterator[tuple[Path, str]]:
        """Every modulefile of this or another root, with its module's name."""
        for path in sorted(self.config.module_path.glob("*/[!.]*")):
            if owner_of(path):
                name = path.name.removesuffix(LUA.suffix)
                yield path, f"{path.parent.name}/{name}"

    def orphans(self) -> Iterator[tuple[Path, str]]:
        """The modulefiles of installs that are not there, and the prefix of each."""
        buried = {each.prefix for each in retired.of(self.store)}
        for path, module in self.all():
            prefix, copied = Path(owner_of(path) or "/"), False
            if str(prefix) in buried or Place(prefix).is_closed:
                continue
            if real(self.store.places) not in real(prefix).parents:
                own = self.store.place(*module.split("/", 1)).prefix
                copied = _is_copied(self.store, path, str(prefix)) and not own.is_dir()
                if not copied:
                    continue  # of another root; or of one that is checked itself
            here = Place(prefix)
            if copied or not (here.numbers or here.is_lost):
                yield path, str(prefix)

    def remove_orphans(self) -> Iterator[tuple[Path, str]]:
        """Remove the modulefiles of installs that are not there; yields each, and the prefix."""
        inside = self.store.root in self.config.module_path.parents
        if not (inside or any(self.store.places.glob("*/*"))):
            return  # the root may not be mounted just now
        for path, prefix in [*self.orphans()]:
            name = path.parent.name
            with self._alone(name), explained(f"remove {path}", "module_path"):
                path.unlink(missing_ok=True)
                self.changed.add(name)
                self._mark(name)
            yield path, prefix

    @property
    def _forms(self) -> list[Form]:
        return forms(self.config)

    def _remove(self, module: str, prefix: str, unwanted: Sequence[Form]) -> None:
        for form in unwanted:
            path = path_of(self.config, module, form)
            if owner_of(path) == prefix:
                path.unlink(missing_ok=True)
                self.changed.add(module)

    def _mark(self, name: str) -> None:
        """Write what marks the default version. Hold the lock of the name."""
        folder = self.config.module_path / name
        self.lost.clear()
        for form in FORMS:
            path = folder / form.rc
            text = self.text_of_rc(name, form) if form in self._forms else ""
            if text:
                self._write(path, text)
            elif text_at(path).removeprefix(form.magic).startswith(f"{form.comment} Made by Tykky"):
                path.unlink(missing_ok=True)
        if self.lost:
            of = f"of a root that is not mounted, or cannot be read: {', '.join(sorted(self.lost))}"
            console.warn(f"{folder} has modules {of}; what marks them stays as it is")
        with contextlib.suppress(OSError):
            if [path.name for path in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
            folder.rmdir()  # if nothing is in it

    def _beside(self, name: str, entries: Sequence[Entry]) -> tuple[list[Store], list[str]]:
        """The stores of other roots whose modules of that name are in the same folder.

        And the modules of those that cannot be read, as they may not be mounted.
        """
        own = {entry.module for entry in entries}
        own |= {each.module for each in retired.of(self.store, name)}
        found: dict[Path, Store] = {}
        lost: list[str] = []
        for path in sorted((self.config.module_path / name).glob("[!.]*")):
            module = f"{name}/{path.name.removesuffix(LUA.suffix)}"
            owner = None if module in own else owner_of(path)
            if owner and not _is_copied(self.store, path, owner):
                for root in {*Path(owner).parents[2:3]} - {self.store.root}:
                    store = found.setdefault(root, Store(root))
                    if not os.access(store.database, os.R_OK | os.X_OK):
                        lost.append(module)
        return [*found.values()], lost

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold the lock for what all versions of a name share, also in other roots; for moments.

        Where the file system has no locks, nothing is held: what is written then is made again
        by whoever publishes next.
        """
        from tykky.store import claims  # only writers wait for what it imports

        permissions = self.store.permissions.modules
        lock = claims.take(self.config.module_path / name / _LOCK, permissions, name)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def _write(self, path: Path, text: str) -> None:
        if path.is_symlink() or text_at(path) != text:
            make_folder(path.parent, self.store.permissions.modules)
            if path.is_dir() and not path.is_symlink():  # what nobody expects is kept for a look
                path.rename(path.with_name(f".{path.name}.{secrets.token_hex(4)}.aside"))
            write_file(path, text.encode(), self.store.permissions.modules)
            self.changed.add(path.parent.name)


def check_loads(name: str, loads: Sequence[str]) -> None:
    """Find out whether the modules that a recipe ``loads`` are there. Raises ``StoreError``.

    Without Lmod on this machine nobody can tell, and nothing is said.
    """
    programs = filter(None, (os.environ.get("LMOD_CMD"), "/usr/share/lmod/lmod/libexec/lmod"))
    lmod = next(filter(shutil.which, programs), None)
    for load in loads if lmod else ():
        command = [str(lmod), "bash", "is-avail", load]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            cause = f"the recipe '{name}' loads the module '{load}', which is not there"
            remedy = "'module spider' shows what is; 'module use' adds a directory of modules"
            raise StoreError(cause, remedy=remedy, code=Exit.NOT_FOUND)


def _is_copied(store: Store, path: Path, owner: str | None) -> bool:
    """Whether a modulefile came with a copy of the root in which its owner is.

    Another root may have its modules in this one, with no such file of its own; they are left
    alone while the install is there, or may be on what is not mounted just now.
    """
    name, prefix = path.parent.name, Path(owner or "/")
    own = store.place(name, path.name.removesuffix(LUA.suffix)).prefix
    if not path.is_relative_to(store.root) or prefix.parts[-3:] != own.parts[-3:]:
        return False
    other = Store(prefix.parents[2])
    if owner_of(other.root / path.relative_to(store.root)) == owner:
        return True
    return not (
        Place(prefix).numbers
        or any(each.prefix == owner for each in retired.of(other, name))
        or (is_folder(other.root) and not is_folder(other.places))
        or real(other.root) in {real(each.root) for each in store.others}
    )

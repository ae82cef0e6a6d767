"""The pipeline: one install, in fixed, named steps.

``resolve -> base -> build -> finish -> squash -> test -> commit -> module``

Each step prints one line with its time, has its own exit code, and a hook before and after.
The prefix is claimed under a lock for all that writes; until *commit* has written the record
there is no install, and whatever stops a build leaves the store as it was.

Public names: ``install``, ``Outcome``, ``Build`` (which hooks are given).
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tykky import bases, console, contents
from tykky import lock as locks
from tykky.build import commands
from tykky.build import plan as plans
from tykky.build.box import BuildBox, RealBox, TestBox
from tykky.build.clock import STEPS, Clock
from tykky.build.commit import keep_inputs, keep_log, record_of
from tykky.build.entering import Entering, entering, launch_plan
from tykky.build.hooks import Hooks
from tykky.build.plan import Plan
from tykky.errors import Exit, StoreError, TykkyError, from_os_error
from tykky.files import clear, count, make_folder, sync
from tykky.publish import modules
from tykky.recipe import recipe_code
from tykky.runtime.base import LaunchPlan
from tykky.store import HIDDEN, Record, Store
from tykky.tools.scratch import Scratch, sweep
from tykky.tools.squash import Image, settle, squash

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.contents import Installed
    from tykky.repos import Repos
    from tykky.spec import Spec


@dataclass(frozen=True)
class Outcome:
    """What ``install`` did: the record, and whether it was there before."""

    record: Record
    was_there: bool


def install(spec: Spec, config: Config, repos: Repos, store: Store) -> Outcome:
    """Install what a spec selects, unless it is installed already.

    Raises ``TykkyError``; then nothing is installed, and the error's details say where the
    build log is.
    """
    build = Build(spec, config, repos, store)
    build.resolve()
    plan = build.plan
    if (record := store.committed(plan.prefix)) is not None:
        return Outcome(_repair(plan, record, config, store), True)
    store.check_outside(plan.prefix)
    build.base()
    store.prepare()
    _check_modules(config, store)
    with store.claim(plan.hash, plan.title, console.note):
        if (record := store.committed(plan.prefix)) is not None:
            return Outcome(_repair(plan, record, config, store), True)
        with build.cleaning_up():
            build.prepare()
            build.build()
            build.finish()
            build.squash()
            build.test()
            record = build.commit()
            build.module(record)
            return Outcome(record, False)


def _repair(plan: Plan, record: Record, config: Config, store: Store) -> Record:
    """Do for a committed install what a killed process did not come to."""
    image = record.hidden / record.image["file"]
    if not image.exists() or image.stat().st_size != record.image["bytes"]:
        raise StoreError(
            f"{record.module} is installed, and its image is damaged: {image}",
            remedy=f"'tykky uninstall {record.module}', and install it again",
            code=Exit.DAMAGED,
        )
    if not store.is_entered(record):
        store.prepare()
        store.enter(record)
    if not modules.is_published(record.entry(), config, store):
        modules.publish(plan.recipe, record, config, store)
        sweep(config.build_dir)
    return record


def _check_modules(config: Config, store: Store) -> None:
    """Find out before the build whether modulefiles can be written."""
    import os

    try:
        make_folder(config.module_path, store.permissions)
    except OSError as error:
        raise from_os_error(error, f"use {config.module_path} for modules") from error
    if not os.access(config.module_path, os.W_OK | os.X_OK):
        raise TykkyError(
            f"you may not write modules into {config.module_path}",
            remedy="choose another directory: 'tykky config set module_path DIR'",
            code=Exit.NOT_WRITABLE,
        )


class Build:
    """One build and its steps. Those that write run within ``cleaning_up``.

    Hooks are given this: ``spec``, ``config`` and ``store``, from ``after_resolve`` on ``plan``,
    from ``before_build`` on ``scratch`` and ``log``, from ``after_squash`` on ``image``.
    """

    def __init__(self, spec: Spec, config: Config, repos: Repos, store: Store) -> None:
        self.spec = spec
        self.config = config
        self.repos = repos
        self.store = store
        self.clock = Clock()
        self.hooks = Hooks(config.hooks, tuple(STEPS))
        self.plan: Plan
        self.scratch: Scratch
        self.log_path: Path
        self._made_prefix = False
        # Until there is a place for the file, the log is kept in memory.
        self._early = io.BytesIO()
        self.log: BinaryIO = self._early
        self.commands: tuple[str, ...] = ()
        self.contents: tuple[Installed, ...] = ()
        self.way: Entering
        self.image: Image

    def resolve(self) -> None:
        """Select the recipe, find its lock, and know the hash and the prefix."""
        with self._step("resolve") as line:
            self.plan = plan = plans.make(
                self.spec, self.config, self.repos, self.store, line.update
            )
            line.update(f"{plan.module}, {console.plural(len(plan.lock.packages), 'package')}")
            plans.check_name(plan, self.config, self.store)
        if plan.lock_is_new:
            console.note(f"          not locked; 'tykky lock {plan.recipe.spec}' locks it")
        # The same install may be under way in two roots at once.
        name = locks.digest_of(str(plan.prefix))[:16]
        self.scratch = Scratch(self.config.build_dir / name)
        self.log_path = self.config.build_dir / "logs" / f"{plan.module}-{name[:8]}.log"

    def base(self) -> None:
        """Find out early, on the base and elsewhere, what would fail late."""
        with self._step("base") as line:
            found = bases.provide(self.plan.base, self.config, line.update)
            self.plan = replace(self.plan, base=found)
            plans.check(self.plan, self.config, self.store)
            # A template of the site that is wrong must not be found after an hour of building.
            draft = record_of(self.plan, Image("", "", 0), (), ())
            modules.render(self.plan.recipe, draft, self.config)
            line.update(f"{self.plan.base.name} ({self.plan.base.id})")

    @contextlib.contextmanager
    def cleaning_up(self) -> Iterator[None]:
        """Whatever happens within: no scratch is left, and a whole install or none."""
        try:
            with self.scratch.held():
                yield
        except BaseException as error:
            self._note(f"{type(error).__name__}: {error}")
            self._undo(error)
            raise
        else:
            self.log_path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.log_path.parent.rmdir()
        finally:
            self.log.close()

    def _undo(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            console.note("stopping, and cleaning up")
        record = self.store.committed(self.plan.prefix)
        if record is not None:
            self.store.enter(record)
            console.note(f"{record.module} is installed, and its module may not be; run this again")
        else:
            prefix = self.plan.prefix
            with contextlib.suppress(OSError):
                clear(prefix)
                if self._made_prefix:
                    prefix.rmdir()
            with contextlib.suppress(OSError):
                prefix.parent.rmdir()  # only if it is empty
        if isinstance(error, TykkyError):
            error.details = (*error.details, f"the whole log: {self.log_path}")
        elif record is None:
            console.note(f"nothing was installed; the store is as before. Log: {self.log_path}")

    def prepare(self) -> None:
        """Open the log and lay out an empty prefix.

        What a killed build left there was never an install: it had no record. The directory of
        an uninstalled one stays the same, since what runs from that has its image on it.
        """
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            self.log = self.log_path.open("wb")
            self.log.write(self._early.getvalue())
            self._made_prefix = not self.plan.prefix.exists()
            make_folder(self.plan.prefix, self.store.permissions)
            clear(self.plan.prefix)
            make_folder(self.plan.prefix / HIDDEN, self.store.permissions)
        except OSError as error:
            raise from_os_error(error, f"prepare the build of {self.plan.title}") from error
        self._note(f"tykky install {self.plan.recipe.spec}: {self.plan.prefix}")

    def _note(self, text: str) -> None:
        line = f"# {time.strftime('%H:%M:%S')} {text}\n"
        self.log.write(line.encode(errors="backslashreplace"))
        self.log.flush()

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[console.Step]:
        self._note(f"step {name}")
        with self.clock.step(name) as line:
            self.hooks.call(f"before_{name}", self)
            yield line
            self.hooks.call(f"after_{name}", self)

    def _box(self, kind: type[RealBox], say: Callable[[str], None]) -> RealBox:
        plan = self.plan
        box = kind(
            plan.prefix,
            plan.recipe.directory,
            plan.base,
            plan.lock,
            self.config,
            scratch=self.scratch,
            log=self.log,
        )
        box.say = say
        return box

    def _call(self, box: RealBox, *methods: str) -> None:
        for method in methods:
            with recipe_code(self.plan.recipe, method), contextlib.redirect_stdout(sys.stderr):
                getattr(self.plan.recipe, method)(box)

    # -- the steps --------------------------------------------------------------------

    def build(self) -> None:
        """Put the contents below the prefix, with the scratch directory in its place."""
        with self._step("build") as line:
            box = self._box(BuildBox, line.update)
            self._call(box, "assemble")
        for remark in box.remarks:
            console.warn(remark)
            self._note(remark)

    def finish(self) -> None:
        """The recipe's own last touch; see which commands there are; then the kind's touch."""
        with self._step("finish") as line:
            box = self._box(BuildBox, line.update)
            self._call(box, "equip", "finish")
            # A command that is not there is better found before the byte code is made.
            line.update("the commands")
            self.commands = commands.choose(self.plan.recipe, self.scratch.root, self.plan.base)
            if not self.commands and commands.ALL in self.plan.recipe.commands:
                remark = "the stack has no programs: only stacks that need it see what is in it"
                console.warn(remark)
                self._note(remark)
            self._call(box, "seal")
            with recipe_code(self.plan.recipe, "variables"):
                more = self.plan.recipe.variables(box)
            plan = self.plan
            self.way = entering(plan.recipe, plan.base, plan.prefix, plan.needs, more, self.config)
            with recipe_code(plan.recipe, "activation"):
                changes = plan.recipe.activation(box)
            activation = tuple((c.action.value, c.name, c.value) for c in changes)
            self.way = replace(self.way, activation=activation)
            self._list_packages(box)
            line.update(console.plural(len(self.commands), "command"))

    def _list_packages(self, box: RealBox) -> None:
        """See what the stack consists of, whatever its steps have added to the lock."""
        with recipe_code(self.plan.recipe, "contents"):
            self.contents = tuple(self.plan.recipe.contents(box))
        if self.contents and contents.COMMAND not in self.commands:
            contents.put(self.contents, box)
            self.commands = tuple(sorted((*self.commands, contents.COMMAND)))

    def squash(self) -> None:
        """Make the image and the commands; from here on the scratch directory is gone."""
        plan, hidden = self.plan, self.plan.prefix / HIDDEN
        with self._step("squash") as line:
            settle(self.scratch.root)
            files = count(self.scratch.root)
            line.update(f"{files} files into one image")
            box = self._box(TestBox, line.update)
            self.image = squash(self.scratch.root, hidden, self.config, box.run)
            self.store.permissions.apply(hidden / self.image.file)
            self.scratch.renew()
            commands.make(self._launch_plan(), self.commands, self.store.permissions)
            line.update(f"{files} files into one image of {console.size(self.image.bytes)}")
        self._note(f"image {self.image.sha256}, prefix {plan.prefix}")

    def _launch_plan(self) -> LaunchPlan:
        plan = self.plan
        return launch_plan(
            self.way, plan.module, plan.prefix, self.image, self.commands, self.config
        )

    def test(self) -> None:
        """Try the stack as a user would: its real commands, on the image."""
        with self._step("test") as line:
            try:
                self._call(self._box(TestBox, line.update), "prove", "test")
            except TykkyError as error:
                if error.code == Exit.BUILD:
                    error.code = Exit.TEST
                    error.remedy = error.remedy or "correct the recipe or its lock, then install"
                raise
            line.update(f"{console.plural(len(self.commands), 'command')} on the image")

    def commit(self) -> Record:
        """Write the record, after everything it speaks of is safe on disk."""
        with self._step("commit") as line:
            hidden = self.plan.prefix / HIDDEN
            keep_inputs(self.plan, self.contents, self.store.permissions)
            for path in (*hidden.iterdir(), hidden, self.plan.prefix / "bin", self.plan.prefix):
                sync(path)
            self.log.flush()
            keep_log(self.log_path, self.plan.prefix, self.store.permissions)
            record = record_of(self.plan, self.image, self.commands, self.clock.steps)
            record = replace(record, launch=asdict(self.way))
            if self.contents:
                record = replace(record, packages=tuple((p.name, p.version) for p in self.contents))
            # The record itself is still to come; commands are names of one file.
            present = count(self.plan.prefix) - len(self.commands)
            record = replace(record, files=present + 1)
            self.store.commit(record)
            commands = console.plural(len(record.commands), "command")
            line.update(f"{record.files} files and folders, {commands}")
        return record

    def module(self, record: Record) -> None:
        """Publish the modulefile, the last thing to become visible."""
        with self._step("module") as line:
            modules.publish(self.plan.recipe, record, self.config, self.store)
            line.update(record.module)

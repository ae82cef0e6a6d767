"""The pipeline: one install, in fixed, named steps.

``resolve -> base -> build -> finish -> squash -> test -> commit -> publish``

Steps take values and return values. Each prints one line with its time, has its own exit code,
and a hook before and after. The place is claimed for all that writes; until *commit* has given the
generation its number there is none, and whatever stops a build leaves the place as it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tykky import bases, console
from tykky import lock as locks
from tykky.build import gate, layered, licensing, steps
from tykky.build import plan as plans
from tykky.build.plan import Plan, record_of
from tykky.build.work import Desk, Work
from tykky.errors import Exit, StoreError, TykkyError
from tykky.files import discard
from tykky.store import Record, Store, place, signatures, trash
from tykky.store.place import Draft
from tykky.tools.scratch import sweep

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.repos import Repos
    from tykky.spec import Spec


class Publisher(Protocol):
    """What makes things visible to users; see :mod:`tykky.publish`."""

    def check(self, record: Record) -> None:
        """Find out early what would fail late. Raises ``TykkyError``."""

    def switch(self, record: Record, verb: str, why: str = "") -> None:
        """Let a generation be the current one, and show it."""

    def repair(self, record: Record) -> None:
        """Show the current generation, if anything of that is missing."""


class Taker(Protocol):
    """What may have a stack already that would be built; see :mod:`tykky.exchange.taking`."""

    def find(self, plan: Plan) -> bool:
        """Whether somebody has it, and it may be taken; what it cannot be had for is told."""

    def take(self, plan: Plan, *, held: bool) -> bool:
        """Commit it at its place, which is claimed, if it can be had after all."""


@dataclass(frozen=True)
class Outcome:
    """What ``install`` did: the record, and how it came about.

    ``did`` is ``nothing``, ``switched`` (to a generation that was there), ``published`` (a new
    generation without building), ``taken`` (from elsewhere) or ``built``.
    """

    record: Record
    did: str


def install(
    spec: Spec,
    config: Config,
    repos: Repos,
    store: Store,
    publisher: Publisher,
    *,
    force: bool = False,
    whole: bool = False,
    taker: Taker | None = None,
) -> Outcome:
    """Install what a spec selects, unless it is installed already, as it would be now.

    With ``force`` it is built in any case, and ``whole``; else it is taken if ``taker`` has it.
    Raises ``TykkyError``; then everything is as it was, and the error's details say where the build
    log is.
    """
    desk = Desk.of(config, store, spec, quiet=False)
    plan = resolve(desk, repos)
    return carry_out(desk, plan, publisher, force=force, whole=whole, taker=taker)


def carry_out(
    desk: Desk,
    plan: Plan,
    publisher: Publisher,
    *,
    force: bool = False,
    verb: str = "install",
    why: str = "",
    after: int = 0,
    whole: bool = False,
    taker: Taker | None = None,
) -> Outcome:
    """Install what is planned ``after`` a generation; ``verb`` and ``why`` are for the history.

    What is built is ``whole``, or a layer on the current generation where that pays.

    Makes a new generation, or switches to one that is there. Raises ``TykkyError``.
    """
    plan.place.check_formats()
    found = None if force else plans.present(plan)
    if found is not None and found.generation == plan.place.current:
        publisher.repair(found)
        return Outcome(found, "nothing")
    desk.store.check_outside(plan.prefix)
    if force or (found is None and plans.reusable(plan) is None):
        gate.check(plan.lock.packages, plan.module, desk)
        licensing.check_lock(plan.lock, plan.module, desk.config, lambda _: None)
        if force or whole or taker is None or not taker.find(plan):
            taker, plan = None, provide(desk, plan)
    else:
        taker = None
    desk.store.prepare()
    sweep(desk.config.build_dir)
    publisher.check(plan.layout.amend(record_of(plan, (), {})))
    with desk.store.claim(plan.prefix, plan.module, console.note) as held:
        plan.place.check_formats()
        if held:
            place.sweep(plan.place)
        # Somebody may have made it, or another of this name, while this one waited.
        plans.check_selection(plan.recipe, plan.place)
        found = None if force else plans.present(plan)
        if found is not None:
            did = "nothing" if found.generation == plan.place.current else "switched"
            publisher.switch(found, verb, why)
            return Outcome(found, did)
        if after and plan.place.current != after:
            cause = (
                f"somebody else has changed {plan.module} meanwhile: it is #{plan.place.current}"
            )
            remedy = "run the same command again, which goes on from there"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
        if taker is not None and taker.take(plan, held=held) and (found := plans.present(plan)):
            publisher.switch(found, verb, why)
            return Outcome(found, "taken")
        old = None if force else plans.reusable(plan)
        if old is None and isinstance(plan.base, bases.Pending):
            plan = provide(desk, plan)  # what it would have been taken from is gone meanwhile
        whole = whole or force
        record = build(desk, plan, publisher, old, held=held, verb=verb, why=why, whole=whole)
        return Outcome(record, "built" if old is None else "taken" if taker else "published")


def resolve(desk: Desk, repos: Repos) -> Plan:
    """Select the recipe, find its lock, and know the digests and the place."""
    assert desk.spec is not None
    with desk.step("resolve") as line:
        plan = plans.make(desk.spec, desk.config, repos, desk.store, line.update)
        line.update(f"{plan.module}, {console.plural(len(plan.lock.packages), 'package')}")
        line.tell(plan=plan)
    if plan.instead:
        console.note("          as updated, not as the lock beside the recipe says")
    if plan.lock_is_new:
        console.note(f"          not locked; 'tykky lock {plan.recipe.spec}' locks it")
    for asked in plans.asked_for(plan):
        console.note(f"          {asked}")
    return plan


def provide(desk: Desk, plan: Plan) -> Plan:
    """Find out early, on the base and elsewhere, what would fail late."""
    with desk.step("base") as line:
        plan = replace(plan, base=bases.provide(plan.base, desk.config, line.update))
        plans.check(plan)
        line.tell(plan=plan)
        line.update(f"{plan.base.name} ({plan.base.id})")
    return plan


def change(
    prefix: Path,
    store: Store,
    publisher: Publisher,
    planned: Callable[[], tuple[Desk, Plan]],
    verb: str,
) -> Record:
    """Make a generation of a place of nobody's database, as it is ``planned`` once it is claimed.

    Raises ``TykkyError``; then the place is as it was.
    """
    store.check_outside(prefix)
    store.prepare()
    with store.claim(prefix, str(prefix), console.note) as held:
        desk, plan = planned()
        sweep(desk.config.build_dir)
        return build(desk, provide(desk, plan), publisher, held=held, verb=verb)


def build(
    desk: Desk,
    plan: Plan,
    publisher: Publisher,
    old: Record | None = None,
    *,
    held: bool,
    verb: str = "install",
    why: str = "",
    whole: bool = False,
) -> Record:
    """Make a new generation and let it be the current one. Hold the claim of the place.

    With ``old``, it gets the contents of that generation; else it may be a layer on the current
    one, unless ``whole``. ``held`` tells whether the claim really
    keeps others away. Raises ``TykkyError``; then the place is as it was.
    """
    plan.place.check_formats()
    signatures.check_key(desk.config)
    before = plan.place.current
    if held:
        place.sweep(plan.place)
    with _working(desk, plan, held=held) as (work, draft):
        if old is not None:
            built = steps.reuse(work, old)
        else:
            built = steps.assemble(work, layered.ground(plan, desk.config, whole=whole))
        gate.check(built.packages, plan.module, desk)
        licensing.check(built.packages, plan.module, desk.config, desk.remark)
        launch = steps.write(work, draft, built)
        steps.test(work, draft, built, launch)
        with _needs_held(work):
            record = steps.commit(work, draft, built)
            with desk.step("publish") as line:
                publisher.switch(record, verb, why)
                line.update(record.title)
    for number in plan.place.numbers if held and before and not plan.layout.keeps_all else ():
        if number not in (before, record.generation):
            place.remove_generation(plan.place, number)
    return record


@contextlib.contextmanager
def _working(desk: Desk, plan: Plan, *, held: bool) -> Iterator[tuple[Work, Draft]]:
    """Whatever happens within: no scratch is left, and a whole generation more or none."""
    config, module = desk.config, plan.module
    # The same install may be under way in two roots at once.
    name = locks.digest_of(str(plan.prefix))[:16]
    scratch = plan.layout.scratch(config.build_dir / name)
    draft = None
    try:
        with scratch.held():
            desk.log.open(config.build_dir / "logs" / f"{module}-{name[:8]}.log")
            desk.log.note(f"tykky {plan.layout.verb} {plan.recipe.spec}: {plan.prefix}")
            desk.known.scratch = scratch
            after = 0 if plan.place.numbers else trash.last_number(desk.store, plan.place)
            draft = place.begin(plan.place, desk.store.permissions, after)
            work = Work(desk, plan, scratch)
            try:
                yield work, draft
            except BaseException:
                plan.layout.failed(work)
                raise
    except BaseException as error:
        desk.log.note(f"{type(error).__name__}: {error}")
        desk.log.settle()
        _give_up(desk, plan, draft, error, held=held)
        raise
    else:
        desk.log.remove()
        with contextlib.suppress(OSError):
            config.build_dir.rmdir()


@contextlib.contextmanager
def _needs_held(work: Work) -> Iterator[None]:
    """Nobody removes what a stack needs while it is committed; raise if somebody has."""
    store = work.desk.store
    with contextlib.ExitStack() as stack:
        for needed in work.plan.needs:
            prefix = Path(needed.prefix)
            if os.access(prefix, os.W_OK):
                stack.enter_context(store.claim(prefix, needed.module, console.note))
        steps.check_needs(work)
        yield


def _give_up(
    desk: Desk, plan: Plan, draft: Draft | None, error: BaseException, *, held: bool
) -> None:
    """Tell what has become of the place; nothing of what was not committed is left there."""
    if isinstance(error, KeyboardInterrupt):
        console.note("stopping, and cleaning up")
    # A number may be somebody else's, where locks do not work; the draft is our own.
    if draft and not draft.path.exists() and plan.place.generation(draft.number).exists():
        console.note(f"{plan.module}#{draft.number} is built, but may not be the current one: run")
        console.note(f"this again, or 'tykky rollback {plan.module} --to {draft.number}'")
    else:
        with contextlib.suppress(OSError):
            if draft is not None:
                discard(draft.path)
            if held:  # else another build may be under way there
                place.sweep(plan.place)
        what = f"{plan.prefix} is as it was" if plan.place.current else "nothing was installed"
        console.note(f"{what}. Log: {desk.log.path}" if desk.log.path else what)
    if isinstance(error, TykkyError) and desk.log.path is not None:
        error.details = (*error.details, f"the whole log: {desk.log.path}")

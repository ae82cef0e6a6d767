"""Resolve the packages of installs anew, show what changes, and build new generations.

What runs keeps the generation that it has; if nothing would change, nothing is made. The lock
beside the recipe is written anew where it may be; else the new generation has a lock of its own,
which counts until the one beside the recipe changes. With --security, only packages with known
holes are changed, by the advisories of the setting 'advisories.osv'.
"""

from __future__ import annotations

from typing import Any

from tykky import console
from tykky.build import extending, gate, pipeline, securing
from tykky.build.updating import Update, prepare
from tykky.build.work import Desk, Step
from tykky.cli.common import Call, Result, flag, named, option, place_of, positional
from tykky.cli.holding import hold
from tykky.errors import Exit, LockError, SpecError, StoreError, TykkyError, told
from tykky.spec import is_path
from tykky.store import Entry, state

EXAMPLES = """\
  tykky update --dry-run python-data              only show what would change
  tykky update python-data/26.11                  the newest packages that the recipe lets in
  tykky update python-data --only numpy           numpy alone; all others stay what they are
  tykky update --all --reason monthly             all installs, one after the other
  tykky update --all --security                   only packages with known holes
"""

ARGUMENTS = (
    positional("INSTALL", "what to update: NAME[/VERSION] [+x ~y k=v], or paths", "*"),
    flag("--all", help="all installs of the store that have a recipe"),
    flag("--dry-run", help="only show what would change"),
    option(
        "--only",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="change only this; repeatable",
    ),
    flag("--full", help="build all of it anew, and not as a layer on what there is"),
    flag("--security", help="change only packages with known holes, where that mends them"),
    option("--reason", default="", metavar="TEXT", help="why, for the history"),
)


def run(call: Call) -> Result:
    """Update one after the other; each is whole before the next begins, or is named."""
    args, store = call.args, call.store
    if bool(args.install) == args.all:
        remedy = "name them, or give --all (and not both)"
        raise StoreError("nothing says which installs to update", remedy=remedy, code=Exit.USAGE)
    if args.all and args.only:
        remedy = "name the installs that have these packages"
        raise StoreError("--only is for certain installs", remedy=remedy, code=Exit.USAGE)
    if args.security and args.only:
        remedy = "name the packages, or let the advisories name them"
        raise StoreError("--security and --only say both what", remedy=remedy, code=Exit.USAGE)
    if args.all:
        entries = [entry for entry in store.open_entries() if state.RETIRED not in entry.marks]
        call.warn_of_unreadable()
    else:
        entries = [_installed(words, call) for words in named(args.install)]
    if args.security:
        securing.want(entries, call.config)
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    for entry in entries:
        try:
            if not args.all or store.record(entry).has_module:
                answers.append(_update(entry, call))
        except SpecError as error:
            if not args.all:
                raise
            console.warn(f"{error.cause}; it stays as it is")
            answers.append({"module": entry.module, "did": "nothing", "reasons": [error.cause]})
        except (TykkyError, OSError) as error:
            if not args.all:
                raise
            errors.append(told(error, f"update {entry.module}"))
            console.error(errors[-1])  # the others are not to suffer from it
            failed = {"did": "failed", "cause": errors[-1].cause}
            answers.append({"module": entry.module, **failed})
    return Result(answers, code=errors[0].code if errors else Exit.OK, errors=tuple(errors))


def _installed(words: str, call: Call) -> Entry:
    try:
        return call.store.one(words)
    except StoreError as error:
        if error.code != Exit.CONFLICT and not is_path(words):
            error.remedy = f"{error.remedy}; 'tykky install {words}' installs it"
        raise


def _update(entry: Entry, call: Call) -> dict[str, Any]:
    config, place = call.config, place_of(entry)
    before = place.current
    try:
        return _updated(entry, call, Desk.of(config, call.store, None, quiet=False))
    except StoreError as error:
        if error.code != Exit.CONFLICT or place.current in (0, before):
            raise
        console.note(f"{error.cause}; going on from there")
        return _update(entry, call)


def _updated(entry: Entry, call: Call, desk: Desk) -> dict[str, Any]:
    args, config = call.args, call.config
    if args.security:
        return _secured(entry, call, desk)
    with desk.step("resolve") as line:
        update = prepare(entry, args.only, config, call.repos, call.store, line.update)
        _tell(update, line)
    return _carried_out(update, call, desk)


def _secured(entry: Entry, call: Call, desk: Desk) -> dict[str, Any]:
    with desk.step("resolve") as line:
        found = securing.secure(entry, call.config, call.repos, call.store, line.update)
        if found.update is None:
            line.update(f"{entry.module}, nothing to change")
        else:
            _tell(found.update, line)
    for hole, why in found.leaves:
        console.warn(f"{entry.title}: {gate.told(hole)}: {why}")
    if found.update is None:
        said = "left as it is" if found.leaves else "no known holes"
        console.note(f"{said}: {entry.title}")
        did = {"module": entry.module, "did": "nothing", "generation": entry.generation}
        return {**did, **found.answer()}
    for hole in found.mends:
        console.note(f"    mends {', '.join(hole.ids)} in {hole.package} {hole.version}")
    why = f"mends {', '.join(dict.fromkeys(hole.ids[0] for hole in found.mends))}"
    return {**_carried_out(found.update, call, desk, why), **found.answer()}


def _tell(update: Update, line: Step) -> None:
    count = len(update.plan.lock.packages)
    line.update(f"{update.old.module}, {console.plural(count, 'package')}")
    line.tell(plan=update.plan)


def _carried_out(update: Update, call: Call, desk: Desk, why: str = "") -> dict[str, Any]:
    args = call.args
    does, title = update.does, update.old.title
    if does == "nothing":
        if not args.dry_run:  # one that was stopped may not have shown all
            call.publisher.repair(update.old)
        console.note(f"nothing would change: {title}")
        return {**update.answer(), "did": "nothing", "generation": update.old.generation}
    for text in update.lines():
        console.note(f"    {text}")
    if args.dry_run:
        console.note(f"a new generation of {title} would be made")
        return {**update.answer(), "did": "planned"}
    why, after = args.reason or why, update.old.generation
    outcome = pipeline.carry_out(
        desk, update.plan, call.publisher, verb="update", why=why, after=after, whole=args.full
    )
    record = outcome.record
    if record.kind == extending.KIND:
        hold(record, call, update.old.needs)
    kept = _keep_lock(update) if outcome.did != "nothing" else False
    console.note(
        f"updated {title} to {record.title}, {console.size(record.bytes)}: {record.prefix}"
    )
    if kept:
        console.note(f"the new lock is {update.lock}")
    return {
        **update.answer(),
        "did": outcome.did,
        "generation": record.generation,
        "lock": update.lock if kept else "",
    }


def _keep_lock(update: Update) -> bool:
    try:
        return update.keep_lock()
    except LockError as error:
        cause, spec = error.cause, update.plan.recipe.spec
        console.warn(f"{cause}; the next install goes by the old one: 'tykky lock {spec}'")
        return False

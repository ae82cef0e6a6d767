"""Make what is installed equal to a stack list: builds, states of versions, removals.

The difference is shown first. What the list names and is not there, or not as it would be now, is
built; the default, hidden and deprecated versions become those that the list says. What no list
names is removed with --prune only, into the trash, from which 'tykky uninstall --undo' brings it
back; whatever is held or needed stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tykky import console
from tykky.cli import building, marking, uninstall
from tykky.cli.common import Call, Result, flag, positional
from tykky.config import Config
from tykky.errors import ConfigError, Exit, TykkyError
from tykky.lists import difference
from tykky.lists.difference import Change, Row
from tykky.store import Entry, state

EXAMPLES = """\
  tykky apply builds/site.yaml --dry-run     only show how it differs from what is there
  tykky apply builds/site.yaml               build, and set what is default, hidden, deprecated
  tykky apply builds/site.yaml --prune       also remove what it does not name
  tykky apply builds/site.yaml --slurm --keep-going    build in jobs
"""

ARGUMENTS = (
    positional("LIST", "the file with the stack list"),
    flag("--prune", help="remove what is installed and in no list"),
    flag("--keep-going", help="go on with the others if one fails"),
    *building.ENGINE,
)


def run(call: Call) -> Result:
    """Show the difference, and make it none."""
    args = call.args
    path, rows = building.looked(call, args.list, far=args.slurm)
    calls = _calls(call, rows)
    work = _work(path, rows, calls)
    if args.dry_run:
        return building.looked_only(work, prune=args.prune)
    if args.prune and not rows:
        cause = f"{path} names no stack, and so all that is installed would be removed"
        raise ConfigError(cause, remedy="'tykky uninstall' removes what you name")
    if work.problems and not args.keep_going:
        raise work.problems[0]
    for line in work.lines(prune=args.prune):
        if line[-1] != "there already":
            console.note("  ".join(filter(None, line)))
    built = building.build(call, work)
    problems: list[TykkyError] = []
    done = [_change(calls[c.row.root], c, problems) for c in _changes(rows, calls)]
    removed: list[str] = []
    if args.prune and not built.failures:
        removed = _remove(calls, work.surplus, problems)
    elif args.prune and work.surplus:
        console.warn("nothing is removed, since not all that the list names is there")
    for problem in problems:
        console.error(problem)
    result = building.answer(work, built)
    value = {**result.value, "states": [d for d in done if d], "removed": removed}
    code = result.code or (problems[0].code if problems else Exit.OK)
    return Result(value, result.show, code, (*result.errors, *problems))


def _calls(call: Call, rows: Sequence[Row]) -> dict[Path, Call]:
    """A call on each root that the list is about."""
    found = {call.config.root: call} if not rows else {}
    for row in rows:
        if row.recipe is not None and row.root not in found:
            flags = {**call.args.flags, "root": str(row.root)}
            found[row.root] = Call(call.args, Config.load(flags))
    return found


def _work(path: Path, rows: list[Row], calls: dict[Path, Call]) -> building.Work:
    surplus: list[Entry] = []
    stays: list[str] = []
    for root, each in calls.items():
        gone, kept = difference.surplus([row for row in rows if row.root == root], each.store)
        surplus += gone
        stays += kept
    return building.Work(path, rows, _changes(rows, calls), surplus, stays)


def _changes(rows: Sequence[Row], calls: dict[Path, Call]) -> list[Change]:
    found: list[Change] = []
    for root, each in calls.items():
        found += difference.changes([row for row in rows if row.root == root], each.store)
    return found


def _change(call: Call, change: Change, problems: list[TykkyError]) -> dict[str, object]:
    """Set or take back one state of what is there by now."""
    entry = difference.entry_of(change.row, call.store)
    if entry is None:
        return {}
    try:
        done = marking.change(
            call, entry, change.mark, change.facts, change.verb, why=change.why, quiet=True
        )
        console.note(f"{entry.module} is {change.text}")
        if change.mark == state.DEFAULT and change.facts is not None:
            for other in call.store.entries(entry.name):
                if other.prefix != entry.prefix and state.DEFAULT in other.marks:
                    marking.change(
                        call, other, state.DEFAULT, None, "default --undo", why="", quiet=True
                    )
        return done
    except TykkyError as error:
        problems.append(error)
        return {}


def _remove(
    calls: dict[Path, Call], surplus: Sequence[Entry], problems: list[TykkyError]
) -> list[str]:
    """Uninstall what no list names; what was removed."""
    removed: list[str] = []
    for call in calls.values():
        own = [e for e in surplus if call.store.places in Path(e.prefix).parents]
        if not own:
            continue
        args = argparse.Namespace(
            **{**vars(call.args), "install": [e.prefix for e in own], "undo": False}
        )
        try:
            uninstall.run(Call(args, call.config))
            removed += [entry.module for entry in own]
        except TykkyError as error:
            problems.append(error)
    return removed

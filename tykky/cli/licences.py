"""Under which licences installs are: ``tykky audit --licences``."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, packages_of, place_of, root_column
from tykky.cli.holes import chosen
from tykky.errors import Exit, TykkyError
from tykky.inventory.policy import ANSWERS, Policy, Verdict
from tykky.store import Entry, Store

#: So much of what somebody has written as a licence is shown.
_WIDTH = 60


def run(call: Call) -> Result:
    """Judge the packages of the current generations of installs by the configured policy."""
    policy = Policy.of(call.config)
    entries, where = chosen(call)
    call.warn_of_unreadable()
    found = {e.prefix: policy.judge(packages_of(e, base=policy.bases)) for e in entries}
    installs = [
        {
            "module": entry.module,
            "prefix": entry.prefix,
            "root": str(where[entry.prefix].root),
            "generation": entry.generation,
            "packages": [{**vars(verdict)} for verdict in found[entry.prefix]],
        }
        for entry in entries
        if not place_of(entry).is_closed
    ]
    sums = _sums(entries, found)
    denied = [e for e in entries if any(v.answer == "deny" for v in found[e.prefix])]
    errors = (_problem(denied),) if denied else ()

    def show() -> None:
        _show(entries, found, where, sums)
        if policy.is_empty:
            console.note("nothing is denied or asked about: see 'licences' in 'tykky config'")
        for error in errors:
            console.error(error)

    value = {"installs": installs, "licences": sums}
    return Result(value, show, Exit.LICENCE if denied else Exit.OK, errors)


def _sums(entries: list[Entry], found: dict[str, list[Verdict]]) -> list[dict[str, Any]]:
    """A row for each licence and answer: how many packages and installs it is of."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for entry in entries:
        for verdict in found[entry.prefix]:
            licence = verdict.spdx or verdict.license
            groups[licence, verdict.answer].append((verdict.name, entry.prefix))
    rows = [
        {
            "licence": licence,
            "answer": answer,
            "packages": len({name for name, _ in each}),
            "installs": len({prefix for _, prefix in each}),
        }
        for (licence, answer), each in groups.items()
    ]
    order = [*reversed(ANSWERS)]
    return sorted(rows, key=lambda r: (order.index(r["answer"]), -r["packages"], r["licence"]))


def _show(
    entries: list[Entry],
    found: dict[str, list[Verdict]],
    where: dict[str, Store],
    sums: list[dict[str, Any]],
) -> None:
    """What is not simply allowed, package by package; then all licences."""
    several, root = root_column(where)
    rows = [
        (
            entry.module,
            *root[entry.prefix],
            verdict.name,
            verdict.version,
            verdict.licence[:_WIDTH],
            verdict.answer,
            verdict.reason,
        )
        for answer in reversed(ANSWERS)
        for entry in entries
        for verdict in found[entry.prefix]
        if verdict.answer == answer and (answer != "allow" or "exception" in verdict.reason)
    ]
    if rows:
        heads = ("PACKAGE", "VERSION", "LICENCE", "VERDICT", "WHY")
        console.table(rows, ("MODULE", *several, *heads))
        console.say()
    totals = [
        (r["licence"][:_WIDTH] or "-", r["answer"], r["packages"], r["installs"]) for r in sums
    ]
    if totals:
        console.table(totals, ("LICENCE", "VERDICT", "PACKAGES", "INSTALLS"))
    blank = [e.module for e in entries if not found[e.prefix] and not place_of(e).is_closed]
    if blank:
        console.note(f"no packages to look at: {', '.join(blank)}")


def _problem(denied: list[Entry]) -> TykkyError:
    return TykkyError(
        f"{console.plural(len(denied), 'install')} with packages under licences that are not "
        "allowed",
        remedy="choose others, or say in licences.exceptions why they may be installed",
        code=Exit.LICENCE,
    )

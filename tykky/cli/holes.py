"""Which installs have packages with known holes: ``tykky audit --advisories``."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, named, packages_of, place_of, root_column
from tykky.errors import Exit, StoreError, TykkyError
from tykky.host import now, user_name
from tykky.inventory.advisories import Finding, Mirror
from tykky.inventory.severity import LEVELS
from tykky.lock import digest_of
from tykky.spec import parse_one
from tykky.store import Entry, Store, roots, state

#: So many installs are named in what is to be typed.
_NAMED = 5
#: And so many that have a hole.
_SHOWN = 2


def run(call: Call) -> Result:
    """Compare the current generations of installs with the advisories."""
    args, settings = call.args, call.config.advisories
    path = Path(args.advisories).expanduser().absolute() if args.advisories else settings.osv
    if path is None:
        cause = "nothing says where the advisories are"
        remedy = "--advisories DIR, or 'tykky config set advisories.osv DIR'"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    if args.advisories and "/" not in args.advisories and not path.exists():
        cause = f"there is no directory or ZIP {args.advisories}"
        remedy = f"if an install is meant: tykky audit {args.advisories} --advisories"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    mirror = Mirror.of(call.config, console.warn, path)
    entries, where = chosen(call)
    call.warn_of_unreadable()
    inside = {entry.prefix: packages_of(entry, base=True) for entry in entries}
    with console.step("audit", console.plural(len(entries), "install")) as line:
        line.update(f"{console.plural(len(entries), 'install')}, reading {path}")
        mirror.want([package for packages in inside.values() for package in packages])
        advisories = "advisory" if mirror.count == 1 else "advisories"
        found = {e.prefix: mirror.match(inside[e.prefix], e.module) for e in entries}
        line.update(
            f"{console.plural(len(entries), 'install')}, {mirror.count} {advisories}, "
            f"the newest of {mirror.newest[:10] or 'no date'}"
        )
    rows = [
        {
            "module": entry.module,
            "prefix": entry.prefix,
            "root": str(where[entry.prefix].root),
            "generation": entry.generation,
            "packages": len(inside[entry.prefix]),
            "compared": sum(mirror.subject(each) is not None for each in inside[entry.prefix]),
            "findings": [finding.answer() for finding in found[entry.prefix]],
        }
        for entry in entries
    ]
    level = args.fail_on or settings.fail_on
    failed = [e for e in entries if any(each.reaches(level) for each in found[e.prefix])]
    source = {"path": str(path), "count": mirror.count, "newest": mirror.newest}
    stale = [each.id for each in mirror.statements if each.is_over]
    value = {"advisories": source, "fail_on": level, "installs": rows, "ended": stale}
    errors = (_problem(failed, level),) if failed else ()

    def show() -> None:
        if args.vex:
            console.json_out(_openvex([each for e in entries for each in found[e.prefix]]))
            return
        _show(entries, found, where)
        _sum_up(entries, rows, found)
        for each in stale:
            console.warn(f"a statement about {each} has ended, and does not count any more")
        for error in errors:
            console.error(error)

    return Result(value, show, Exit.VULNERABLE if failed else Exit.OK, errors)


def chosen(call: Call) -> tuple[list[Entry], dict[str, Store]]:
    """The installs that are meant, and the store of each; those that are retired have no users."""
    entries: dict[str, Entry] = {}
    everything, where = roots.match(call.stores, None)
    for words in named(call.args.pattern):
        if any(sign in words for sign in "*?["):
            some = [e for e in everything if _is_like(e, words)]
        else:
            some = roots.match(call.stores, parse_one(words))[0]
        if not some:
            cause = f"nothing of '{words}' is installed in {call.where}"
            raise StoreError(cause, remedy="'tykky find' lists what is installed")
        entries |= {entry.prefix: entry for entry in some}
    chosen = [*entries.values()] if call.args.pattern else everything
    return [entry for entry in chosen if state.RETIRED not in entry.marks], where


def _is_like(entry: Entry, glob: str) -> bool:
    return fnmatchcase(entry.name, glob) or fnmatchcase(entry.module, glob)


def _show(entries: list[Entry], found: dict[str, list[Finding]], where: dict[str, Store]) -> None:
    """One line for each hole, wherever it is, then one for each install; the worst first."""
    counted = {
        entry.prefix: [each for each in found[entry.prefix] if each.statement is None]
        for entry in entries
    }
    places: dict[Finding, list[str]] = {}
    for entry in entries:
        for each in counted[entry.prefix]:
            places.setdefault(each, []).append(entry.module)
    rows = [
        (
            each.severity,
            f"{each.package} {each.version}",
            each.fixed or "-",
            ", ".join(modules[:_SHOWN])
            + (f" +{len(modules) - _SHOWN}" if modules[_SHOWN:] else ""),
            " ".join([*each.ids, *(f"({name})" for name in each.upstream)]),
        )
        for each, modules in sorted(places.items(), key=lambda item: item[0].order)
    ]
    if rows:
        console.table(rows, ("SEVERITY", "PACKAGE", "MENDED IN", "INSTALLS", "IDENTIFIERS"))
        console.say("")
        several, root = root_column(where)
        touched = [entry for entry in entries if counted[entry.prefix]]
        installs = [
            (
                entry.module,
                *root[entry.prefix],
                counted[entry.prefix][0].severity,
                len(counted[entry.prefix]),
                sum(bool(each.fixed) for each in counted[entry.prefix]),
            )
            for entry in sorted(touched, key=lambda e: counted[e.prefix][0].order[:2])
        ]
        console.table(installs, ("INSTALL", *several, "WORST", "HOLES", "CAN BE MENDED"))
    stated = [(e, each) for e in entries for each in found[e.prefix] if each.statement]
    for (name, package, reason), modules in _by_reason(stated).items():
        console.note(f"does not matter: {name} in {package}, {modules}: {reason}")


def _by_reason(stated: list[tuple[Entry, Finding]]) -> dict[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for entry, each in stated:
        assert each.statement is not None
        key = each.statement.id, f"{each.package} {each.version}", each.statement.reason
        found.setdefault(key, []).append(entry.module)
    return {
        key: modules[0] if len(modules) == 1 else console.plural(len(modules), "install")
        for key, modules in found.items()
    }


def _openvex(findings: list[Finding]) -> dict[str, Any]:
    """What was found as an OpenVEX document: each hole with the packages that have it.

    A site that edits it has a file of statements.
    """
    statements: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in findings:
        stated, (name, *aliases) = each.statement, each.ids
        if stated:
            said = {"status": stated.status, "impact_statement": stated.reason}
        else:
            what = f"update to {each.fixed}" if each.fixed else "no version without it is known"
            said = {"status": "affected", "action_statement": what}
        row = {"vulnerability": {"name": name, "aliases": aliases}, "products": [], **said}
        products = statements.setdefault((name, *said.values()), row)["products"]
        if (product := {"@id": each.purl}) not in products:
            products.append(product)
    rows = [*statements.values()]
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": f"https://openvex.dev/docs/public/vex-{digest_of(rows)}",
        "author": user_name(),
        "timestamp": now(),
        "version": 1,
        "statements": rows,
    }


def _sum_up(
    entries: list[Entry], rows: list[dict[str, Any]], found: dict[str, list[Finding]]
) -> None:
    counts = Counter(
        each.severity.level
        for findings in found.values()
        for each in findings
        if each.statement is None
    )
    touched = sum(any(not f.statement for f in findings) for findings in found.values())
    levels = ", ".join(
        f"{counts[level]} {level}" for level in (*reversed(LEVELS), "unknown") if counts[level]
    )
    of = console.plural(len(entries), "install")
    sums = f"{touched} of {of} have known holes: {levels}" if levels else f"no known holes: {of}"
    console.note(sums)
    packages, compared = (sum(row[key] for row in rows) for key in ("packages", "compared"))
    if packages > compared:
        console.note(
            f"of {packages} packages, {packages - compared} are of a kind that is not compared"
        )
    unknown = [e.module for e, row in zip(entries, rows, strict=True) if not row["packages"]]
    closed = {e.module for e in entries if place_of(e).is_closed}
    if blank := [module for module in unknown if module not in closed]:
        console.warn(f"nobody knows what is in {', '.join(blank)}: 'tykky refresh' may find it")
    if closed:
        console.warn(f"you may not look into {', '.join(sorted(closed))}")


def _problem(failed: list[Entry], level: str) -> TykkyError:
    few = " ".join(dict.fromkeys(entry.module for entry in failed))
    names = few if len(failed) <= _NAMED else "--all"
    return TykkyError(
        f"{console.plural(len(failed), 'install')} with known holes that are {level} or worse",
        remedy=f"'tykky update --security {names}' mends what can be mended",
        code=Exit.VULNERABLE,
    )

"""List what is installed."""

from __future__ import annotations

import os
import re
import string
from dataclasses import asdict, fields

from tykky import console
from tykky.cli.common import (
    Call,
    Result,
    flag,
    option,
    packages_of,
    place_of,
    root_column,
    said,
    specs,
)
from tykky.contents import Installed
from tykky.errors import Exit, StoreError, TykkyError, did_you_mean
from tykky.spec import Spec, parse_one
from tykky.store import Entry, Record, Store, roots
from tykky.store.default import states_of
from tykky.store.place import freed_without

EXAMPLES = """\
  tykky find                                  everything
  tykky find python-data                      every version of it
  tykky find python-data@26 +jupyter          by version and choices
  tykky find python-data/26.11#6              one generation of an install
  tykky find --packages numpy                 which have numpy, with version and build
  tykky find --packages 'numpy>=2,<2.3'       which have such a version
  tykky find --sizes                          how large they are
  tykky find --format '{module} {prefix}'     fields of your choice, one install a line
  tykky find --json                           for programs
"""

_ENTRY = [*(field.name for field in fields(Entry)), "default", "root"]
_RECORD = [*(field.name for field in fields(Record)), "default", "root", "mpi"]

ARGUMENTS = (
    specs("only these", "*"),
    option("--format", metavar="TEXT", help="print TEXT with {field}s for each install"),
    option(
        "--packages",
        metavar="GLOB",
        nargs="?",
        const="*",
        help="list the packages in each, or those that GLOB matches, and only installs with such",
    ),
    flag("--sizes", help="tell the size of each: the images of all its generations"),
)


def run(call: Call) -> Result:
    """Print the installs; exit 6 if a spec was given and nothing is installed of it."""
    args = call.args
    words = " ".join(args.spec)
    spec = parse_one(words.partition("#")[0]) if words else None
    if "#" in words:
        store = call.having(words).store
        found = [store.generation(words).entry()]
        where = {entry.prefix: store for entry in found}
    else:
        found, where = roots.match(call.stores, spec)
    call.warn_of_unreadable()
    inside = _inside(found, args.packages)
    if args.packages not in (None, "*"):
        found = [entry for entry in found if inside[entry.prefix]]
    if args.sizes:  # which nobody can tell of what is closed to them
        found = [entry for entry in found if not place_of(entry).is_closed]
    facts = [{**vars(entry), "root": str(where[entry.prefix].root)} for entry in found]
    sizes = _sizes(found) if args.sizes else {}
    for fact in facts if args.sizes else ():
        fact["bytes"] = sizes[fact["prefix"]]
    if args.packages is not None:
        for fact in facts:
            fact["packages"] = [asdict(package) for package in inside[fact["prefix"]]]
    code = Exit.NOT_FOUND if (spec is not None or args.packages) and not found else Exit.OK
    if args.format is not None:
        return Result(facts, said(_formatted(args.format, found, where)), code)
    if found:
        return Result(facts, lambda: _show(call, found, where, inside, sizes))
    if args.packages and (spec is None or roots.match(call.stores, spec)[0]):
        missing = f"no install in {call.where} has a package '{args.packages}'"
    else:
        what = "nothing" if spec is None else f"nothing of '{spec}'"
        missing = f"{what} is installed in {call.where}"
    errors = (StoreError(missing),) if code else ()
    return Result(facts, lambda: console.note(missing), code, errors)


def _chosen(call: Call, found: list[Entry], where: dict[str, Store]) -> set[str]:
    """The prefixes of the defaults of the names that were found, whatever else there is of them."""
    names = {entry.name for entry in found}
    if len(names) != 1:
        return roots.defaults(found, where)
    return roots.defaults(*roots.match(call.stores, Spec(names.pop())))


def _sizes(found: list[Entry]) -> dict[str, int]:
    """The bytes of the images of each install, by its prefix."""
    places = map(place_of, found)
    return {str(place.prefix): freed_without(place, place.numbers) for place in places}


def _show(
    call: Call,
    found: list[Entry],
    where: dict[str, Store],
    inside: dict[str, list[Installed]],
    sizes: dict[str, int],
) -> None:
    # Which root it is in is said where there is more than one.
    several, root = root_column(where)
    if sizes:
        each = [
            (e.module, *root[e.prefix], f"#{e.generation}", console.size(sizes[e.prefix]))
            for e in found
        ]
        total = ("", *("" for _ in several), "", console.size(sum(sizes.values())))
        console.table([*each, total], ("MODULE", *several, "GEN", "SIZE"))
    elif inside:
        rows = [
            (entry.module, *root[entry.prefix], p.name, p.version, p.build, p.channel, p.license)
            for entry in found
            for p in inside[entry.prefix]
        ]
        heads = ("PACKAGE", "VERSION", "BUILD", "CHANNEL", "LICENCE")
        console.table(rows, ("MODULE", *several, *heads))
    else:
        chosen = _chosen(call, found, where)
        # So is what an install is for, where that is not always this machine.
        archs = ("ARCH",) if {e.arch for e in found} - {"", os.uname().machine} else ()
        lines = [
            (
                e.module,
                *root[e.prefix],
                *(e.arch for _ in archs),
                f"#{e.generation}",
                e.kind,
                e.installed[:10],
                ", ".join(states_of(e, default=e.prefix in chosen)),
                e.description,
            )
            for e in found
        ]
        heads = ("GEN", "KIND", "INSTALLED", "STATE", "DESCRIPTION")
        console.table(lines, ("MODULE", *several, *archs, *heads))


def _inside(found: list[Entry], pattern: str | None) -> dict[str, list[Installed]]:
    """The packages of each install, by its prefix; nothing is read if nobody asked.

    Those of its base are among them only if they are looked for.
    """
    if pattern is None:
        return {}
    if pattern == "*":
        return {entry.prefix: list(packages_of(entry)) for entry in found}
    from tykky.inventory.search import Search
    from tykky.inventory.wanted import wanted

    search = Search([wanted(pattern)])
    inside = {entry.prefix: list(search.rows(entry)) for entry in found}
    for problem in search.problems:
        console.warn(f"{problem}; it is left out")
    return inside


def _formatted(text: str, found: list[Entry], where: dict[str, Store]) -> list[str]:
    """The text for each install; only fields of the record make that be read.

    The default is that of what was found: so a shell knows which is meant by a spec.
    """
    try:
        fields_in = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise _unusable(text, error, "write a field as {name}, a brace as {{") from None
    names = {re.split(r"[.[]", field)[0] for field in fields_in}
    for name in names:
        if name not in _RECORD:
            remedy = did_you_mean(name, _RECORD) or f"there are {', '.join(_RECORD)}"
            raise TykkyError(f"an install has no field '{name}'", remedy=remedy, code=Exit.USAGE)
    lines = []
    chosen = roots.defaults(found, where) if "default" in names else set()
    for entry in found:
        try:
            install = entry if names.issubset(_ENTRY) else where[entry.prefix].record(entry)
            more = {"default": entry.prefix in chosen, "root": str(where[entry.prefix].root)}
            if isinstance(install, Record):
                more["mpi"] = install.mpi.get("version", "") or install.mpi.get("library", "")
            lines.append(text.format_map({**vars(install), **more}))
        except StoreError as error:
            console.warn(f"{error.cause}; it is left out")
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise _unusable(text, error, "write a field as {name}") from None
    return lines


def _unusable(text: str, error: Exception, remedy: str) -> TykkyError:
    cause = f"the format '{text}' cannot be used: {error}"
    return TykkyError(cause, remedy=remedy, code=Exit.USAGE)

"""Tell about a recipe: what it offers, what it is made of, and which installs there are.

With ``#N``, tell about that generation of an install, as its record has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky.cli.common import Call, Result, packages_of, place_of, records_of, specs
from tykky.publish.modulefile import gone
from tykky.recipe import guarded
from tykky.spec import is_path, parse_one
from tykky.store import Record, retired, roots
from tykky.store.default import states_of

if TYPE_CHECKING:
    from tykky.recipe import Recipe

EXAMPLES = """\
  tykky info python-data                versions, variants, commands, installs
  tykky info python-data ~jupyter       the same, as this choice has it
  tykky info python-data/26.11#6        a generation of an install
  tykky info python-data --json         for programs
"""

ARGUMENTS = (specs("a recipe, perhaps with version and choices"),)


def run(call: Call) -> Result:
    """Print the data sheet of one recipe."""
    words = " ".join(call.args.spec)
    if "#" in words or is_path(words):
        record = call.having(words).store.generation(words)
        return Result(asdict(record), lambda: _show_record(record))
    spec = parse_one(words)
    facts = _facts(call.repos.select(spec))
    there, where = roots.match(call.stores, type(spec)(spec.name))
    chosen = roots.defaults(there, where)
    facts["installed"] = [
        {
            "module": e.module,
            "root": str(where[e.prefix].root),
            "generation": e.generation,
            "generations": place_of(e).numbers,
            "prefix": e.prefix,
            "installed": e.installed,
            "marks": dict(e.marks),
            "state": states_of(e, default=e.prefix in chosen),
            "packages": [asdict(package) for package in packages_of(e)],
            "mpi": ", ".join(map(_mpi, records_of([e] if facts["mpi"] else []))),
        }
        for e in there
    ]
    facts["retired"] = [
        asdict(each) for store in call.stores for each in retired.of(store, spec.name)
    ]
    call.warn_of_unreadable()
    return Result(facts, lambda: _show(facts))


_PLAIN = ("kind", "homepage", "license", "maintainers")
#: What of a recipe its packages come from; not every kind has all of them.
_INPUTS = ("channels", "environment", "packages", "pip")


def _listed(recipe: Recipe, field: str) -> list[str]:
    value = guarded(recipe, field) if hasattr(recipe, field) else ()
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, text in value.items()]
    return [value] if value and isinstance(value, str) else list(value)


def _facts(recipe: Recipe) -> dict[str, Any]:
    commands = guarded(recipe, "commands")
    return {
        "name": recipe.name,
        "description": recipe.description,
        "about": recipe.long_description,
        **{field: getattr(recipe, field) for field in _PLAIN},
        "versions": [f"{v} (deprecated)" if v.deprecated else str(v) for v in recipe.versions],
        "selected": str(recipe.spec),
        "deprecated": recipe.deprecation,
        "variants": {
            name: {"values": list(v.values), "default": v.default, "help": v.help}
            for name, v in recipe.variants().items()
        },
        "base": recipe.base or "as configured",
        "mpi": guarded(recipe, "mpi"),
        "commands": dict(commands) if isinstance(commands, Mapping) else list(commands),
        **{field: _listed(recipe, field) for field in _INPUTS},
        "needs": [str(needed) for needed in guarded(recipe, "needs")],
        "loads": list(guarded(recipe, "loads")),
        "file": str(recipe.file),
    }


def _show(facts: dict[str, Any]) -> None:
    console.say(f"{facts['name']}: {facts['description']}")
    if facts["about"]:
        console.say(f"\n{facts['about']}")
    console.say()
    inputs = [name for name in _INPUTS if name != "packages"]
    outputs = ("commands", "needs", "loads", "file")
    keys = (*_PLAIN, "versions", "deprecated", "base", "mpi", *inputs, *outputs)
    _table([(key, facts[key]) for key in keys])
    if facts["variants"]:
        console.say("\nvariants (the default first)")
        variants = facts["variants"].items()
        console.table([(f"  {name}", _choices(v), v["help"]) for name, v in variants])
    _packages(f"packages of {facts['selected']}", facts["packages"])
    if there := facts["installed"]:
        console.say("\ninstalled")
        rows = []
        for i in there:
            count = console.plural(len(i["packages"]), "package") if i["packages"] else ""
            state = ", ".join(i["state"])
            mpi = [i["mpi"]] if facts["mpi"] else []
            rows.append((f"  {i['module']}#{i['generation']}", state, count, *mpi, i["prefix"]))
        console.table(rows)
        for module, name, mark in (
            (i["module"], *each) for i in there for each in i["marks"].items()
        ):
            why = f": {mark['why']}" if mark.get("why") else ""
            use = f"; use {mark['use']}" if mark.get("use") else ""
            by = f"by {mark.get('user', '?')} on {mark.get('when', '?')[:10]}"
            console.say(f"  {module} {name} {by}{why}{use}")
        if any(i["packages"] for i in there):
            console.say(f"  'tykky find --packages \"*\" {facts['name']}' lists them")
    for each in facts["retired"]:
        console.say(f"\n{gone(each['module'], each['facts'])}")
    if not there:
        console.say(f"\nnot installed; 'tykky install {facts['selected']}' does it")


def _show_record(record: Record) -> None:
    """What is known of a generation, whatever has become of its recipe."""
    console.say(f"{record.title}: {record.description}")
    plain = ("kind", "spec", "arch", "homepage", "license", "prefix", "installed", "needs")
    console.say()
    _table(
        [
            *((name, getattr(record, name)) for name in plain),
            ("by", f"{record.by['user']} on {record.by['host']}"),
            ("mpi", _mpi(record)),
            ("base", f"{record.base['name']} ({record.base['id']})"),
            *(("image", f"{i['file']}, {console.size(i['bytes'])}") for i in record.images),
            ("commands", record.commands),
        ]
    )
    _packages("packages", [f"{name} {version}" for name, version in record.packages])


def _mpi(record: Record) -> str:
    """Which MPI an install has, and where that is; empty if its recipe says of none."""
    whose = {"host": "the host's", "own": "its own"}.get(record.mpi.get("declared", ""), "")
    package = f"from {record.mpi['package']}" if "package" in record.mpi else ""
    where = ", ".join(filter(None, (whose, package, record.mpi.get("library"))))
    return f"{version} ({where})" if (version := record.mpi.get("version")) else where


def _table(facts: Sequence[tuple[str, object]]) -> None:
    """A line for each fact that is not empty."""
    rows = [(name, _text(value)) for name, value in facts]
    console.table([row for row in rows if row[1]])


def _packages(title: str, packages: Sequence[str]) -> None:
    import shutil
    import textwrap

    if packages:
        width = min(shutil.get_terminal_size((100, 24)).columns, 100)
        lines = textwrap.fill(_text(packages), width - 2, break_on_hyphens=False)
        console.say(f"\n{title}\n{textwrap.indent(lines, '  ')}")


def _text(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{name} ({program})" for name, program in value.items()]
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _choices(variant: dict[str, Any]) -> str:
    if isinstance(variant["default"], bool):
        return "on, off" if variant["default"] else "off, on"
    return ", ".join(variant["values"])

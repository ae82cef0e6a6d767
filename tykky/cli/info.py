"""Tell about a recipe: what it offers, what it is made of, and which installs there are.

With ``#N``, tell about that generation of an install, as its record has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky.cli import common
from tykky.config import Config
from tykky.contents import of_install
from tykky.recipe import guarded
from tykky.spec import parse_one
from tykky.store import Place, Record, Store

if TYPE_CHECKING:
    from tykky.recipe import Recipe

EXAMPLES = """\
  tykky info python-data                versions, variants, commands, installs
  tykky info python-data ~jupyter       the same, as this choice has it
  tykky info python-data/26.11#6        a generation of an install
  tykky info python-data --json         for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One spec."""
    common.add_specs(parser, many=True, what="a recipe, perhaps with version and choices")


def run(args: argparse.Namespace, config: Config) -> common.Result:
    """Print the data sheet of one recipe."""
    words, store = " ".join(args.spec), Store.of(config)
    if "#" in words:
        record = store.generation(words)
        return common.Result(asdict(record), lambda: _show_record(record))
    spec = parse_one(words)
    recipe = common.repos_of(config).select(spec)
    facts = _facts(recipe)
    facts["installed"] = [
        {
            "module": e.module,
            "generation": e.generation,
            "generations": Place(Path(e.prefix)).numbers,
            "prefix": e.prefix,
            "installed": e.installed,
            "packages": [
                asdict(package) for package in of_install(Place(Path(e.prefix)).generation())
            ],
        }
        for e in store.match(type(spec)(spec.name))
    ]
    for problem in store.unreadable:
        console.warn(f"{problem}; it is left out")
    return common.Result(facts, lambda: _show(facts))


_OUTPUTS = ("commands", "needs", "loads", "file")
#: What of a recipe its packages come from; not every kind has all of them.
_INPUTS = ("channels", "environment", "packages", "pip")


def _listed(recipe: Recipe, field: str) -> list[str]:
    value = guarded(recipe, field) if hasattr(recipe, field) else ()
    return [value] if value and isinstance(value, str) else list(value)


def _facts(recipe: Recipe) -> dict[str, Any]:
    commands = guarded(recipe, "commands")
    return {
        "name": recipe.name,
        "description": recipe.description,
        "about": recipe.long_description,
        "kind": recipe.kind,
        "homepage": recipe.homepage,
        "license": recipe.license,
        "maintainers": list(recipe.maintainers),
        "versions": [
            f"{version} (deprecated)" if version.deprecated else str(version)
            for version in recipe.versions
        ],
        "selected": str(recipe.spec),
        "deprecated": recipe.deprecation,
        "variants": {
            name: {"values": list(v.values), "default": v.default, "help": v.help}
            for name, v in recipe.variants().items()
        },
        "base": recipe.base or "as configured",
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
    plain = ("kind", "homepage", "license", "maintainers", "versions", "deprecated", "base")
    inputs = (name for name in _INPUTS if name != "packages")
    rows = [(key, _text(facts[key])) for key in (*plain, *inputs, *_OUTPUTS)]
    console.table([row for row in rows if row[1]])
    if facts["variants"]:
        console.say("\nvariants (the default first)")
        console.table(
            [
                (f"  {name}", _choices(variant), variant["help"])
                for name, variant in facts["variants"].items()
            ]
        )
    if facts["packages"]:
        console.say(f"\npackages of {facts['selected']}")
        console.say(_wrapped(_text(facts["packages"])))
    if there := facts["installed"]:
        console.say("\ninstalled")
        console.table(
            [
                (f"  {i['module']}#{i['generation']}", _count(i["packages"]), i["prefix"])
                for i in there
            ]
        )
        if any(i["packages"] for i in there):
            console.say(f"  'tykky find --packages \"*\" {facts['name']}' lists them")
    else:
        console.say(f"\nnot installed; 'tykky install {facts['selected']}' does it")


def _show_record(record: Record) -> None:
    """What is known of a generation, whatever has become of its recipe."""
    console.say(f"{record.title}: {record.description}")
    plain = ("kind", "spec", "arch", "homepage", "license", "prefix", "installed", "needs")
    rows = [(name, _text(getattr(record, name))) for name in plain]
    rows.append(("by", " on ".join((record.by["user"], record.by["host"]))))
    rows.append(("base", f"{record.base['name']} ({record.base['id']})"))
    rows += [("image", f"{i['file']}, {console.size(i['bytes'])}") for i in record.images]
    rows.append(("commands", ", ".join(record.commands)))
    console.say()
    console.table([row for row in rows if row[1]])
    if record.packages:
        console.say("\npackages")
        console.say(_wrapped(", ".join(f"{name} {version}" for name, version in record.packages)))


def _count(packages: list[object]) -> str:
    return console.plural(len(packages), "package") if packages else ""


def _wrapped(text: str) -> str:
    import shutil
    import textwrap

    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    return textwrap.fill(
        text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({program})" for name, program in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _choices(variant: dict[str, Any]) -> str:
    if isinstance(variant["default"], bool):
        return "on, off" if variant["default"] else "off, on"
    return ", ".join(variant["values"])

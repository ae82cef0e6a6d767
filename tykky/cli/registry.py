"""Look into the registries that have stacks.

Not every registry says which stacks it has (ghcr.io does not); of a stack that is named, each tells
the versions. What is not needed any more is deleted on the registry, by its own rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tykky import console
from tykky.cli.common import Action, Call, Result, option, positional
from tykky.exchange import registries
from tykky.exchange.registries import Registry

EXAMPLES = """\
  tykky registry list                          what the configured registries have
  tykky registry list python-data              of one stack, with sizes and times
  tykky registry list --from ghcr.io/centre/stacks python-data
"""
#: What is no version: what a build digest stands for, and signatures of other programs.
_OTHER = re.compile(r"build-[0-9a-f]{64}|sha256-.*")


def _list(call: Call) -> Result:
    rows = [
        row
        for each in Registry.configured(call.config, call.args.source)
        for row in _rows(each, call.args.name)
    ]

    def show() -> None:
        if not rows:
            console.note("there is nothing")
            return
        keys = ("name", "version", "arch", "size", "created", "registry")
        console.table(
            [[row.get(key, "") for key in keys] for row in rows], tuple(key.upper() for key in keys)
        )

    return Result(rows, show)


def _rows(registry: Registry, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names or registry.stacks():
        for tag in registry.tags(name):
            if _OTHER.fullmatch(tag):
                continue
            version, _, arch = tag.rpartition("-")
            row: dict[str, Any] = {"name": name, "version": version, "arch": arch}
            row |= {"registry": registry.path, "tag": tag}
            if names and (text := registries.manifest(registry.session(name), tag)):
                told = registries.summary(text, f"{name}:{tag} of {registry.path}")
                row |= {key: told.get(key, "") for key in ("created", "build", "prefix", "spec")}
                row |= {"bytes": told["bytes"], "size": console.size(told["bytes"])}
            yield row


ACTIONS = {
    "list": Action(
        _list,
        "list the stacks of registries",
        (
            positional("NAME", "only these stacks, in detail", "*"),
            option("--from", metavar="HOST/PATH", dest="source", help="the registry to look into"),
        ),
    ),
}

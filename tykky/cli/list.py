"""List the recipes there are, with the first line of what each says of itself."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tykky import console
from tykky.cli import common
from tykky.config import Config
from tykky.errors import TykkyError

if TYPE_CHECKING:
    from tykky.repos import Repos

EXAMPLES = """\
  tykky list                 all recipes
  tykky list 'python-*'      those whose names match
  tykky list --json          for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Globs of names."""
    parser.add_argument("pattern", nargs="*", metavar="PATTERN", help="a name, or a glob of names")


def _description(repos: Repos, name: str) -> str:
    """One broken recipe must not hide the others."""
    try:
        return repos.description(name)
    except TykkyError as error:
        console.error(error)
        return "(cannot be read)"


def run(args: argparse.Namespace, config: Config) -> common.Result:
    """Print a line for every recipe; no recipe is run for it."""
    repos = common.repos_of(config)
    rows = [
        {"name": name, "description": _description(repos, name), "repository": path.parent}
        for name, path in ((n, repos.find(n)) for n in common.recipes(repos, args.pattern))
    ]
    for folder in repos.misnamed():
        console.warn(f"no spec can name the recipe in {folder}")
    return common.Result(
        rows, lambda: console.table([(row["name"], row["description"]) for row in rows])
    )

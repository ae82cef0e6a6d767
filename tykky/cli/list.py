"""List the recipes there are, with the first line of what each says of itself."""

from __future__ import annotations

import argparse

from tykky import console
from tykky.cli.common import Result, positional, recipes, repos_of
from tykky.config import Config
from tykky.errors import TykkyError

EXAMPLES = """\
  tykky list                 all recipes
  tykky list 'python-*'      those whose names match
  tykky list --json          for programs
"""


ARGUMENTS = (positional("PATTERN", "a name, or a glob of names", "*"),)


def run(args: argparse.Namespace, config: Config) -> Result:
    """Print a line for every recipe; no recipe is run for it."""
    repos = repos_of(config)
    rows = []
    for name in recipes(repos, args.pattern):
        path = repos.find(name)
        try:
            description = repos.description(name)
        except TykkyError as error:  # one broken recipe must not hide the others
            console.error(error)
            description = "(cannot be read)"
        rows.append({"name": name, "description": description, "repository": path.parent})
    for folder in repos.misnamed():
        console.warn(f"no spec can name the recipe in {folder}")
    return Result(rows, lambda: console.table([(r["name"], r["description"]) for r in rows]))

"""List the recipes there are, with the first line of what each says of itself."""

from __future__ import annotations

from tykky import console
from tykky.cli.common import Call, Result, positional, recipes
from tykky.errors import TykkyError

EXAMPLES = """\
  tykky list                 all recipes
  tykky list 'python-*'      those whose names match
  tykky list --json          for programs
"""

ARGUMENTS = (positional("PATTERN", "a name, or a glob of names", "*"),)


def run(call: Call) -> Result:
    """Print a line for every recipe; no recipe is run for it."""
    repos, rows = call.repos, []
    for name in recipes(repos, call.args.pattern):
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

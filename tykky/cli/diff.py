"""Tell how two installs or two locks differ.

In their packages, as they really are in it, with what scripts have added, and the sizes and
licences of these; in commands, recipe, base, and in how they are entered. With one install, the
other side is the lock of its recipe: what installing it again would change.
"""

from __future__ import annotations

from pathlib import Path

from tykky import console
from tykky import lock as locks
from tykky.cli.common import Call, Result, flag, positional, said
from tykky.errors import LockError
from tykky.inventory import changes
from tykky.publish.modulefile import leaving
from tykky.spec import parse_one

EXAMPLES = """\
  tykky diff python-data/26.05 python-data/26.11      two installs, by module name
  tykky diff python-data/26.11                        an install, and the lock beside its recipe
  tykky diff python-data#6 python-data#7              two generations of one
  tykky diff --notes python-data/26.05 python-data/26.11
  git show HEAD~1:./1.0-x86_64.json > /tmp/old.json
  tykky diff /tmp/old.json locks/1.0-x86_64.json      two locks
"""

_SIDE = "NAME[/VERSION][#GENERATION], or the file of a lock"
ARGUMENTS = (
    positional("OLD", _SIDE),
    positional("NEW", f"{_SIDE}; default: the recipe's lock", "?"),
    flag("--notes", help="print an announcement for users, in Markdown"),
)


def run(call: Call) -> Result:
    """Print what is different, or the announcement of it."""
    args = call.args
    old, new = _side(args.old, call), _side(args.new or _lock_of_recipe(call), call)
    found = changes.compare(old, new)
    facts = {"old": old.title, "new": new.title, **found.facts()}
    if args.notes:
        from tykky.inventory.notes import announcement

        text = announcement(
            old, new, found, leaving(old.record)["deprecation"] if old.record else ""
        )
        return Result({**facts, "notes": text}, said(text.splitlines()))
    lines = list(found.lines())
    return Result(facts, said(lines) if lines else lambda: console.note("no difference"))


def _side(word: str, call: Call) -> changes.Side:
    if (path := _file(word)) is not None:
        return changes.of_lock(path)
    return changes.of_record(call.having(word).store.generation(word))


def _file(word: str) -> Path | None:
    """The file that a word names; a module's name has a slash in it, too."""
    path = Path(word)
    return path if word.endswith(".json") or path.is_file() else None


def _lock_of_recipe(call: Call) -> str:
    if (path := _file(call.args.old)) is not None:
        raise LockError(f"{path} is compared with nothing", remedy="name another lock, or install")
    record = call.having(call.args.old).store.generation(call.args.old)
    recipe = call.repos.select(parse_one([record.spec]))
    return str(locks.path_of(recipe, record.arch))

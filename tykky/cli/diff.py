"""Tell how two installs or two locks differ in their packages.

An install is compared by the packages that are really in it, with what its scripts have added.
With one install, the other side is the lock of its recipe: what installing it again would change.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tykky import console
from tykky import lock as locks
from tykky.cli.common import Call, Result, place_of, positional, said
from tykky.contents import of_install, own
from tykky.errors import LockError
from tykky.spec import parse_one

EXAMPLES = """\
  tykky diff python-data/26.05 python-data/26.11      two installs, by module name
  tykky diff python-data/26.11                        an install, and the lock beside its recipe
  tykky diff python-data#6 python-data#7              two generations of one
  git show HEAD~1:./1.0-x86_64.json > /tmp/old.json
  tykky diff /tmp/old.json locks/1.0-x86_64.json      two locks
"""

_SIDE = "NAME[/VERSION][#GENERATION], or the file of a lock"
ARGUMENTS = (
    positional("OLD", _SIDE),
    positional("NEW", f"{_SIDE}; default: the recipe's lock", "?"),
)


def run(call: Call) -> Result:
    """Print what was added, removed and changed."""
    old, new = call.args.old, call.args.new or _lock_of_recipe(call)
    difference = locks.difference(_packages(old, call), _packages(new, call))
    lines = list(difference.lines())
    show = said(lines) if lines else lambda: console.note("no difference")
    return Result(asdict(difference), show)


def _packages(word: str, call: Call) -> list[locks.Named]:
    """The packages of one side."""
    if (path := _file(word)) is not None:
        return list(locks.read(path).packages)
    record = call.having(word).store.generation(word)
    folder = place_of(record).generation(record.generation)
    return list(own(of_install(folder)) or locks.read(folder / "lock.json").packages)


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

"""Remove stacks: first the module, then the install.

Programs that run from an install go on undisturbed: it is kept in the store's trash until
'tykky gc' deletes it for good.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tykky import console
from tykky.cli.common import Result
from tykky.config import Config
from tykky.errors import Exit, StoreError
from tykky.publish import Publisher
from tykky.store import Entry, Place, Store, place, trash

EXAMPLES = """\
  tykky uninstall fireworks                 the only install of that name
  tykky uninstall python-data/26.05         by module name, with all its generations
  tykky uninstall python-data/26.11#6       one generation that is not the current one
  tykky gc --days 0                         free the space at once
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which installs."""
    parser.add_argument(
        "install", nargs="+", metavar="INSTALL", help="NAME[/VERSION][#GENERATION], or a path"
    )


def _named(words: list[str]) -> list[str]:
    """The installs meant by the words: choices belong to the name before them."""
    names: list[str] = []
    for word in words:
        if names and (word[:1] in "+~" or ("=" in word and "/" not in word)):
            names[-1] += f" {word}"
        else:
            names.append(word)
    return names


def run(args: argparse.Namespace, config: Config) -> Result:
    """Remove each install; none is removed unless all may be."""
    store = Store.of(config)
    store.prepare()
    publisher = Publisher(config, store)
    names = _named(args.install)
    single = [name for name in names if "#" in name]
    chosen = list({e.prefix: e for e in (store.one(n) for n in names if "#" not in n)}.values())
    for entry in chosen:
        _check(entry, store, publisher, {each.prefix for each in chosen})
    answers = [_remove_generation(name, store) for name in single]
    for entry in chosen:
        with store.claim(Path(entry.prefix), entry.module, console.note):
            # Somebody may have begun to need it since.
            _check(entry, store, publisher, {each.prefix for each in chosen})
            publisher.withdraw(entry)
            trash.put(store, entry)
        console.note(f"uninstalled {entry.module}")
        answers.append({"module": entry.module, "prefix": entry.prefix})
    return Result(answers)


def _check(entry: Entry, store: Store, publisher: Publisher, going: set[str]) -> None:
    trash.check_removable(store, Path(entry.prefix))
    publisher.check_removable(entry)
    needing = [other for other in store.dependents(entry) if other.prefix not in going]
    if needing:
        raise StoreError(
            f"{entry.module} is needed by {', '.join(other.module for other in needing)}",
            remedy="uninstall those first, or name them in the same command",
            code=Exit.CONFLICT,
        )


def _remove_generation(name: str, store: Store) -> dict[str, object]:
    record = store.generation(name)
    here = Place(Path(record.prefix))
    with store.claim(here.prefix, record.module, console.note) as held:
        here.check_formats()
        if held:
            place.sweep(here)
        needing = store.dependents(record, record.generation)
        if record.generation == here.current or needing:
            by = ", ".join(other.module for other in needing)
            raise StoreError(
                f"{record.title} is needed by {by}" if needing else f"{record.title} is in use",
                remedy="uninstall those first"
                if needing
                else "go back first: 'tykky rollback', "
                f"or remove all of it: 'tykky uninstall {record.module}'",
                code=Exit.CONFLICT,
            )
        freed = place.remove_generation(here, record.generation)
    console.note(f"removed {record.title}, {console.size(freed)}")
    return {"module": record.module, "prefix": record.prefix, "generation": record.generation}

"""Remove stacks: first the module, then the install.

Programs that run from an install go on undisturbed: it is kept in the store's trash until
'tykky gc' deletes it for good.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tykky import console
from tykky.cli import common
from tykky.config import Config
from tykky.errors import Exit, StoreError
from tykky.publish import modules
from tykky.store import Store, trash

EXAMPLES = """\
  tykky uninstall fireworks                 the only install of that name
  tykky uninstall python-data/26.05         by module name
  tykky uninstall 1a2b3c4d                  by hash
  tykky gc --days 0                         free the space at once
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which installs."""
    parser.add_argument("install", nargs="+", metavar="INSTALL", help="NAME[/VERSION] or a hash")
    common.add_json(parser)


def _named(words: list[str]) -> list[str]:
    """The installs meant by the words: choices belong to the name before them."""
    names: list[str] = []
    for word in words:
        if names and (word[:1] in "+~" or "=" in word):
            names[-1] += f" {word}"
        else:
            names.append(word)
    return names


def run(args: argparse.Namespace, config: Config) -> int:
    """Remove each install; none is removed unless all may be."""
    store = Store.of(config)
    store.prepare()
    entries = list(dict.fromkeys(store.one(name).hash for name in _named(args.install)))
    chosen = [store.one(digest) for digest in entries]
    for entry in chosen:
        store.check_removable(Path(entry.prefix))
        modules.check_removable(entry, config)
        needing = [other for other in store.dependents(entry) if other.hash not in entries]
        if needing:
            raise StoreError(
                f"{entry.module} is needed by {', '.join(other.module for other in needing)}",
                remedy="uninstall those first, or name them in the same command",
                code=Exit.CONFLICT,
            )
    for entry in chosen:
        with store.claim(entry.hash, entry.module, console.note):
            modules.withdraw(entry, config, store)
            trash.bury(store, entry)
        console.note(f"uninstalled {entry.module} ({entry.short_hash})")
    if args.json:
        console.json_out([{"module": e.module, "hash": e.hash, "prefix": e.prefix} for e in chosen])
    return 0

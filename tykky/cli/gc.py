"""Delete for good what was uninstalled, and what killed builds left.

Programs that still run from a deleted image may fail, on this node or another one, so
only what was uninstalled more than a week ago is deleted, unless told otherwise.
"""

from __future__ import annotations

import argparse

from tykky import console
from tykky.build.scratch import sweep
from tykky.cli import common
from tykky.config import Config
from tykky.store import Store, trash

EXAMPLES = """\
  tykky gc                 what was uninstalled more than 7 days ago
  tykky gc --days 0        all of it, now
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How old."""
    parser.add_argument(
        "--days", type=float, default=7, metavar="N", help="leave what is younger (default: 7)"
    )
    common.add_json(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Empty the trash."""
    store = Store.of(config)
    removed, freed = trash.empty(store, args.days * 86400)
    trash.forget_owners(store)
    swept = sweep(config.build_dir)
    if args.json:
        console.json_out({"removed": removed, "bytes": freed, "builds": swept})
    else:
        console.note(
            f"deleted {console.plural(removed, 'uninstalled stack')}, {console.size(freed)}"
        )
        if swept:
            console.note(f"deleted what {console.plural(swept, 'killed build')} had left")
    return 0

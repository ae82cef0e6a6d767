"""Rebuild the database from the installs that are there.

Nothing is dropped: what cannot be read is set aside under another name, and said.
"""

from __future__ import annotations

import argparse

from tykky import console
from tykky.cli import common
from tykky.config import Config
from tykky.store import Store
from tykky.store.check import reindex

EXAMPLES = """\
  tykky reindex                        after a database was lost, or something is damaged
  tykky reindex --root /appl/tykky     of another root
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No more than the form of the answer."""
    common.add_json(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Say what was changed."""
    done = []
    for sentence in reindex(Store.of(config)):
        done.append(sentence)
        if not args.json:
            console.say(sentence)
    if args.json:
        console.json_out(done)
    elif not done:
        console.note("the database has every install already")
    return 0

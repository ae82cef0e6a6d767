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


def run(args: argparse.Namespace, config: Config) -> common.Result:
    """Say what was changed."""
    done = list(reindex(Store.of(config)))

    def show() -> None:
        for sentence in done:
            console.say(sentence)
        if not done:
            console.note("the database has every install already")

    return common.Result(done, show)

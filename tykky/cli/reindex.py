"""Rebuild the database from the installs that are there.

Nothing is dropped: what cannot be read is set aside under another name, and said.
"""

from __future__ import annotations

import argparse

from tykky import console
from tykky.cli.common import Result, said
from tykky.config import Config
from tykky.store import Store
from tykky.store.check import reindex

EXAMPLES = """\
  tykky reindex                        after a database was lost, or something is damaged
  tykky reindex --root /appl/tykky     of another root
"""


def run(args: argparse.Namespace, config: Config) -> Result:
    """Say what was changed."""
    done = list(reindex(Store.of(config)))
    nothing = "the database has every install already"
    return Result(done, said(done) if done else lambda: console.note(nothing))

"""Rebuild the database from the installs that are there, and remove modules of none.

Nothing is dropped: what cannot be read is set aside under another name, and said.
"""

from __future__ import annotations

from tykky import console
from tykky.cli.common import Call, Result, said
from tykky.store.check import reindex

EXAMPLES = """\
  tykky reindex                        after a database was lost, or something is damaged
  tykky reindex --root /appl/stacks    of another root
"""


def run(call: Call) -> Result:
    """Say what was changed."""
    done = [*reindex(call.store), *call.publisher.withdraw_orphans()]
    nothing = "the database has every install already"
    return Result(done, said(done) if done else lambda: console.note(nothing))

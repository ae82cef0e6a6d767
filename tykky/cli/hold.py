"""Keep installs, or generations of them: 'tykky gc' never deletes what is held.

Held is also what nobody uses for years: a paper's results, say, that must be made again.
"""

from __future__ import annotations

from tykky.cli.common import Call, Result, flag, positional
from tykky.cli.marking import REASON, each
from tykky.store import state

EXAMPLES = """\
  tykky hold python-data/25.05 --reason "the paper of 2025"
  tykky hold python-data/26.11#6           one generation
  tykky hold --undo python-data/25.05
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION]", "+"),
    flag("--undo", help="let it go like all others"),
    REASON,
)


def run(call: Call) -> Result:
    """Hold or let go each."""
    return each(call, state.HELD, None if call.args.undo else {}, "hold")

"""Take versions from 'module avail'; who says the full name can load them, for ever.

With --testing they are said to be tested; 'tykky install --testing' makes one so from the start.
"""

from __future__ import annotations

from tykky.cli.common import Call, Result, flag, positional
from tykky.cli.marking import REASON, each
from tykky.store import state

EXAMPLES = """\
  tykky hide python-data/25.05
  tykky hide --undo python-data/26.11      it has been tested, and is for everybody
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION]", "+"),
    flag("--testing", help="it is not hidden for good, but tested"),
    flag("--undo", help="show it again"),
    REASON,
)


def run(call: Call) -> Result:
    """Hide or show each."""
    args = call.args
    facts = None if args.undo else {"as": "testing" if args.testing else "hidden"}
    return each(call, state.HIDDEN, facts, "hide")

"""Say that versions are to be left, until when, and for which other.

Who loads one on a terminal is told; batch jobs, scp and rsync see nothing. From the day on that
--until says, it cannot be loaded any more.
"""

from __future__ import annotations

import argparse
import datetime
import time

from tykky.cli.common import Call, Result, flag, option, positional
from tykky.cli.marking import REASON, each, plain
from tykky.errors import Exit, StoreError
from tykky.store import state

EXAMPLES = """\
  tykky deprecate python-data/25.05 --until 2027-06-30 --use python-data/26.11
  tykky deprecate --undo python-data/25.05
"""


def _day(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no day such as 2027-06-30") from None


ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION]", "+"),
    option("--until", type=_day, metavar="DATE", help="the first day without it"),
    option("--use", default="", metavar="OTHER", help="what to use instead"),
    flag("--undo", help="it is not to be left"),
    REASON,
)


def run(call: Call) -> Result:
    """Mark or unmark each."""
    args = call.args
    said = {"until": args.until or "", "use": args.use}
    facts = {key: plain(value, f"--{key}") for key, value in said.items() if value}
    if facts.get("until", "9") <= time.strftime("%Y-%m-%d") and not args.undo:
        cause = f"{facts['until']} is past: who loads it from then on is refused"
        raise StoreError(cause, remedy="'tykky retire' does it at once", code=Exit.USAGE)
    return each(call, state.DEPRECATED, None if args.undo else facts, "deprecate")

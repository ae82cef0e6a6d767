"""Tell which installs are behind their recipes, locks and bases; nothing is built.

The network is asked only with --upstream: what the package index and channels have by now.
"""

from __future__ import annotations

from typing import Any

from tykky import console
from tykky.build.updating import behind
from tykky.cli.common import Call, Result, flag, named, positional
from tykky.errors import Exit, TykkyError, told
from tykky.store import state

EXAMPLES = """\
  tykky outdated                                 all installs
  tykky outdated python-data --upstream          and whether there are newer packages
  tykky outdated --upstream --check              for a nightly job: exit 28 if anything is behind
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION] [+x ~y k=v], or paths; default: all installs", "*"),
    flag("--upstream", help="resolve anew, too: how many packages would change"),
    flag("--check", help="exit 28 if anything is behind"),
)


def run(call: Call) -> Result:
    """One line for each install that is behind, in the order of 'tykky find'."""
    args, store = call.args, call.store
    entries = [store.one(words) for words in named(args.install)]
    entries = entries or [e for e in store.open_entries() if state.RETIRED not in e.marks]
    call.warn_of_unreadable()
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    for entry in entries:
        try:
            if store.record(entry).has_module:
                found = behind(entry, call.config, call.repos, store, upstream=args.upstream)
                answers.append({"module": entry.module, "title": entry.title, "behind": found})
        except (TykkyError, OSError) as error:
            errors.append(told(error, f"look at {entry.module}"))
            console.error(errors[-1])
    rows = [(a["title"], "; ".join(a["behind"])) for a in answers if a["behind"]]

    def show() -> None:
        console.table(rows)
        if not rows and not errors:
            console.note("nothing is behind")

    code = errors[0].code if errors else Exit.DAMAGED if rows and args.check else Exit.OK
    return Result(answers, show, code, tuple(errors))

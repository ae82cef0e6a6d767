"""Check whether this machine can run and install stacks, and tell what is missing.

Each line is one thing that was tried, as the user who asks. The exit code is 0 if stacks run
here, else 26.

With --store, look through all installs like 'tykky verify', and propose how to mend what is not
whole; --fix does what Tykky can do itself, and says what is left.

With an install, tell instead what of your own comes before what is in it: packages in ~/.local and
PYTHONPATH, R libraries, Jupyter kernels, libraries in LD_LIBRARY_PATH. If there is anything, the
exit code is 7.
"""

from __future__ import annotations

import os
from dataclasses import asdict

from tykky import console
from tykky.cli.common import Call, Result, flag, positional
from tykky.doctor import examine
from tykky.errors import Exit, TykkyError

EXAMPLES = """\
  tykky doctor                       on the node where a command failed
  tykky -c root=/appl/stacks doctor  for another root
  srun -n1 tykky doctor --json       on a compute node, for programs
  tykky doctor --store               what is not whole, and how to mend it
  tykky doctor --store --fix         mend it
  tykky doctor python-data           when a stack does not do what it does for others
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION]", "?"),
    flag("--store", help="look through the installs instead, and propose mends"),
    flag("--fix", help="with --store: do what can be done without building"),
)

_GOOD_FOR = {"run stacks": "run", "install stacks": "install", "load modules": "modules"}


def run(call: Call) -> Result:
    """Print all probes, or what hides something of an install."""
    if call.args.store or call.args.fix:
        if call.args.install or not call.args.store:
            cause = "--store and --fix are for the whole store, and not for one install"
            remedy = "'tykky doctor --store --fix', or 'tykky verify INSTALL'"
            raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
        from tykky.cli.mending import mend

        return mend(call, fix=call.args.fix)
    return _install(call) if call.args.install else _machine(call)


def _machine(call: Call) -> Result:
    report = examine(call.config)
    runs, loads = report.works("run"), report.works("modules")
    good_for = {"run": runs, "install": runs and report.works("install"), "modules": loads}

    def show() -> None:
        rows = [
            (p.verdict, p.purpose, p.name, f"{p.found}; {p.remedy}" if p.remedy else p.found)
            for p in report.probes
        ]
        console.table(rows, ("", "FOR", "WHAT", "FOUND"))
        console.say()
        for what, key in _GOOD_FOR.items():
            console.say(f"{what:<16}{'yes' if good_for[key] else 'no'}")

    value = {**good_for, "probes": [asdict(probe) for probe in report.probes]}
    return Result(value, show, Exit.OK if good_for["run"] else Exit.NODE)


def _install(call: Call) -> Result:
    from tykky.doctor.shadows import shadows

    record = call.having(call.args.install).store.generation(call.args.install)
    found = shadows(record, os.environ)

    def show() -> None:
        rows = [(f"{s.kind} {s.name}", s.theirs, s.ours, s.where) for s in found]
        if rows:
            console.table(rows, ("YOUR OWN", "VERSION", "INSTEAD OF", "IN"))
        for remedy in dict.fromkeys(s.remedy for s in found):
            console.note(remedy)
        if not rows:
            console.note(f"nothing of your own comes before what is in {record.title}")

    return Result([asdict(s) for s in found], show, Exit.CONFLICT if found else Exit.OK)

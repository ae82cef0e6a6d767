"""Check whether this machine can run and install stacks, and tell what is missing.

Each line is one thing that was tried, as the user who asks. The exit code is 0 if stacks run
here, else 26.
"""

from __future__ import annotations

from dataclasses import asdict

from tykky import console
from tykky.cli.common import Call, Result
from tykky.doctor import examine
from tykky.errors import Exit

EXAMPLES = """\
  tykky doctor                       on the node where a command failed
  tykky -c root=/appl/tykky doctor   for another root
  srun -n1 tykky doctor --json       on a compute node, for programs
"""

_GOOD_FOR = {"run stacks": "run", "install stacks": "install", "load modules": "modules"}


def run(call: Call) -> Result:
    """Print all probes; exit 26 unless stacks can be run here."""
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

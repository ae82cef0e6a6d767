"""Check whether this machine can run and install stacks, and tell what is missing.

Each line is one thing that was tried, as the user who asks. The exit code is 0 if stacks run
here, else 26.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tykky import console
from tykky.cli import common
from tykky.config import Config
from tykky.doctor import Report, examine
from tykky.errors import Exit

EXAMPLES = """\
  tykky doctor                       on the node where a command failed
  tykky -c root=/appl/tykky doctor   for another root
  srun -n1 tykky doctor --json       on a compute node, for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the form of the answer."""


def run(args: argparse.Namespace, config: Config) -> common.Result:
    """Print all probes; exit 26 unless stacks can be run here."""
    report = examine(config)
    good_for = {
        "run": report.works("run"),
        "install": report.works("run") and report.works("install"),
        "modules": report.works("modules"),
    }
    value = {**good_for, "probes": [asdict(probe) for probe in report.probes]}
    code = Exit.OK if good_for["run"] else Exit.NODE
    return common.Result(value, lambda: _print(report, good_for), code)


def _print(report: Report, good_for: dict[str, bool]) -> None:
    rows = []
    for probe in report.probes:
        line = f"{probe.found}; {probe.remedy}" if probe.remedy else probe.found
        rows.append((probe.verdict, probe.purpose, probe.name, line))
    console.table(rows, ("", "FOR", "WHAT", "FOUND"))
    console.say()
    console.say(f"run stacks      {_answer(good_for['run'])}")
    console.say(f"install stacks  {_answer(good_for['install'])}")
    console.say(f"load modules    {_answer(good_for['modules'])}")


def _answer(possible: bool) -> str:
    return "yes" if possible else "no"

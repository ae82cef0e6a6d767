"""Both runtimes for the tests of the launcher, and what they declare to differ between the two.

A test module whose fixtures ask for ``entered_with`` runs with each runtime. What cannot be the
same is declared at the test that shows it, with one of three marks::

    @differs("argv[0]", native="as it was called", apptainer="the program's path")
    @native_only("one mount", native="shared by all commands", apptainer="each has its own")
    @once("launch.conf is read before the runtime matters")

``differs`` stands at tests that run with both and show either; ``native_only`` at those for which
there is nothing to show with Apptainer. ``python -m tests.launcher.runtimes FILE`` writes the table
of all of them into a page of the documentation.
"""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tykky.runtime.base import Runtime

SYSTEM = Path(__file__).parents[1] / "system"
BEGIN = "<!-- Made by `python -m tests.launcher.runtimes`, from the tests. -->\n"
END = "<!-- End of what was made. -->\n"


def differs(topic: str, *, native: str, apptainer: str) -> pytest.MarkDecorator:
    """Mark a test that runs with both runtimes and shows how they differ."""
    return pytest.mark.runtimes_differ(topic, native, apptainer)


def native_only(topic: str, *, native: str, apptainer: str) -> pytest.MarkDecorator:
    """Mark a test that Apptainer has nothing for: ``apptainer`` says what is there instead."""
    return pytest.mark.native_only(topic, native, apptainer)


#: These are declared here because tests of several modules show them.
shared = differs(
    "several commands at once",
    native="share one mount, one namespace and one image server on a node",
    apptainer="have one of each",
)
argv0 = differs(
    "`argv[0]` of the program, `$0` of a shell",
    native="as it was called",
    apptainer="the path of the program",
)


def once(why: str) -> pytest.MarkDecorator:
    """Mark a test that would do the same again with another runtime."""
    return pytest.mark.once(why)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for ``entered_with`` each runtime that it is for."""
    if "entered_with" not in metafunc.fixturenames:
        return
    ways = [pytest.param(Runtime.NATIVE, id="native")]
    marks = [mark.name for mark in metafunc.definition.iter_markers()]
    if not {"native_only", "once"} & set(marks):
        missing = pytest.mark.skipif(
            not shutil.which("apptainer"),
            reason="apptainer is not installed: tools/provision apptainer",
        )
        ways.append(pytest.param(Runtime.APPTAINER, id="apptainer", marks=[missing]))
    metafunc.parametrize("entered_with", ways, indirect=True, scope="module")


def table() -> str:
    """The table of what differs, in Markdown, in the order of the tests."""
    rows = dict.fromkeys(_declared())
    lines = ["| | native | Apptainer |", "|---|---|---|"]
    lines += [f"| {topic} | {native} | {apptainer} |" for topic, native, apptainer in rows]
    return "\n".join(lines) + "\n"


def _declared() -> Iterator[tuple[str, str, str]]:
    for file in sorted(SYSTEM.glob("test_launcher_*.py")):
        module = importlib.import_module(f"tests.system.{file.stem}")
        tests = [value for name, value in vars(module).items() if name.startswith("test_")]
        for marked in (module, *tests):
            marks = getattr(marked, "pytestmark", [])
            for mark in marks if isinstance(marks, list) else [marks]:
                if mark.name in ("runtimes_differ", "native_only"):
                    yield mark.args


def in_page(page: str, new: str) -> str:
    """The text of a page with a new table in place of the one that it has."""
    around = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not around.search(page):
        raise ValueError(f"the page has no place for the table, between {BEGIN!r} and {END!r}")
    return around.sub(lambda _: f"{BEGIN}\n{new}\n{END}", page)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(in_page(target.read_text(), table()))

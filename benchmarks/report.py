"""The page of measurements, from the JSON that the benchmarks write: ``make measurements``."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

TOP = Path(__file__).parents[1]
PAGE = TOP / "share/doc/reference/measurements.md"
DATA = PAGE.with_suffix(".json")
PICTURE = PAGE.with_suffix(".svg")
README = TOP / "README.md"
TEMPLATE = Path(__file__).with_name("plot.svg.j2")
BEGIN, END = "<!-- made by: make measurements -->\n", "<!-- end -->\n"

#: The share of the processors' time that others may take before times are rough.
QUIET = 0.05

#: What the README shows of it: the group and the case.
_SUMMARY = (
    ("start", "python -c pass"),
    ("start", "python -c 'import numpy'"),
    ("slow file system", "import scipy.stats, cold"),
    ("slow file system", "import scipy.stats, cold: metadata operations"),
    ("memory", "200 MB read by 16 processes"),
)

_Row = dict[str, Any]


def amount(value: float, unit: str) -> str:
    """A value with its unit, as people read it: milliseconds, MB, or a plain number."""
    if unit == "s":
        return f"{value * 1e3:,.1f} ms" if value < 9.9995 else f"{value:,.2f} s"
    if unit == "bytes":
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,.0f}"


def tables(run: dict[str, Any]) -> str:
    """Markdown: when and where it was measured, the targets, and all figures by group."""
    machine = run["machine"]
    day = datetime.datetime.fromtimestamp(run["time"], datetime.timezone.utc).date()
    lines = [
        f"Measured on {day.isoformat()}, in {run['minutes']:g} minutes: {machine['processors']} x "
        f"{machine['processor']}, {machine['memory'] / 2**30:.0f} GiB of memory, "
        f"{machine['system']}, Linux {machine['kernel']}. Before the run "
        f"{run['busy']:.0%} of the processors' time went to others"
        f"{', so the times are rough' if run['busy'] > QUIET else ''}.",
        "",
        "### Targets",
        "",
        "| what | target | reached | |",
        "|---|---|---|---|",
    ]
    for row in run["results"]:
        if row["target"]:
            wanted, reached = _target(row)
            said = "met" if row["met"] else "**missed**"
            lines.append(
                f"| {row['group']}: {_code(row['case'])} | {wanted} | {reached} | {said} |"
            )
    for group, rows in groupby(run["results"], key=lambda row: row["group"]):
        lines += ["", f"### {group[0].upper()}{group[1:]}", ""]
        lines += ["| case | Tykky | peer | peer's | ratio | rounds |", "|---|--:|---|--:|--:|--:|"]
        lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def summary(run: dict[str, Any]) -> str:
    """Markdown: what tells most, in one table."""
    lines = ["| | Tykky | a plain environment | `apptainer exec` |", "|---|--:|--:|--:|"]
    for group, case in _SUMMARY:
        rows = [row for row in run["results"] if (row["group"], row["case"]) == (group, case)]
        plain = next((row for row in rows if "venv" in row["peer"]), None)
        container = next((row for row in rows if "apptainer" in row["peer"]), None)
        cells = [
            amount(row["peer_value"], row["unit"]) if row else "" for row in (plain, container)
        ]
        what = _code(case) if group == "start" else f"{group}: {case}"
        lines.append(
            f"| {what} | {amount(rows[0]['value'], rows[0]['unit'])} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _code(case: str) -> str:
    """A case in Markdown: commands as code."""
    return f"`{case}`" if case.startswith(("true", "python", "tykky")) else case


def _target(row: _Row) -> tuple[str, str]:
    """What was wanted, and what came out, in the same terms."""
    limit = row["target"]["limit"]
    if row["target"]["kind"] == "ratio":
        return f"at most {limit:.2f}x", f"{row['ratio']:.2f}x"
    if row["target"]["kind"] == "value":
        return f"at most {limit:g}", amount(row["value"], row["unit"])
    excess = amount(row["value"] - row["peer_value"], row["unit"])
    return f"at most +{amount(limit, row['unit'])}", f"+{excess}"


def _line(row: _Row) -> str:
    peer = ratio = ""
    if row["peer_value"] is not None:
        peer, ratio = amount(row["peer_value"], row["unit"]), f"{row['ratio']:.2f}"
    cells = (_code(row["case"]), amount(row["value"], row["unit"]), row["peer"], peer, ratio)
    return f"| {' | '.join((*cells, str(row['rounds'])))} |"


@dataclass(frozen=True)
class Bar:
    """One bar of the picture: ``who`` gives its colour, ``part`` its length, from 0 to 1."""

    label: str
    who: str
    said: str
    part: float


@dataclass(frozen=True)
class Panel:
    """One of the charts: its title, and its bars from top to bottom."""

    title: str
    bars: tuple[Bar, ...]


def plot(run: dict[str, Any]) -> str:
    """The picture, as SVG."""
    template = jinja2.Template(
        TEMPLATE.read_text(encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return template.render(panels=list(_panels(run["results"])))


def _panels(rows: list[_Row]) -> Iterator[Panel]:
    for title, group, cases in (
        ("A start, everything warm (ms)", "start", ("true", "python -c pass", "numpy")),
        ("import scipy.stats from a slow file system (ms)", "slow file system", ("cold", "warm")),
        ("Questions to its metadata server", "slow file system", ("cold: meta", "warm: meta")),
        ("Memory while 16 processes read 200 MB (MB)", "memory", ("read by",)),
    ):
        found = [row for row in rows if row["group"] == group and row["peer"] != "by one"]
        bars = [bar for case in cases for bar in _bars(found, case)]
        longest = max((value for *_, value in bars), default=1)
        yield Panel(
            title,
            tuple(Bar(label, who, said, value / longest) for label, who, said, value in bars),
        )


def _bars(rows: list[_Row], case: str) -> Iterator[tuple[str, str, str, float]]:
    """Label, class, text and length of each bar of a case: Tykky's, and those of its peers."""
    metadata = ": " in case
    chosen = [
        row
        for row in rows
        if case in row["case"] and (": " in row["case"]) == metadata and "conda" not in row["case"]
    ]
    for number, row in enumerate(chosen):
        label = row["case"].partition(": ")[0].removeprefix("import scipy.stats, ")
        label = label.partition("read by ")[2] or label
        scale = {"s": 1e3, "bytes": 1e-6}.get(row["unit"], 1)
        if number == 0:
            mine = row["value"] * scale
            yield label, "tykky", f"{mine:,.1f}" if row["unit"] == "s" else f"{mine:,.0f}", mine
        theirs = row["peer_value"] * scale
        said = f"{theirs:,.1f}" if row["unit"] == "s" else f"{theirs:,.0f}"
        yield "", "apptainer" if "apptainer" in row["peer"] else "plain", said, theirs


def page_with(text: str, made: str) -> str:
    """The text of a page with what was made of a run in it: ``tables`` or ``summary``."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> int:
    """Write tables and picture. Returns the exit code."""
    run = json.loads(DATA.read_text(encoding="utf-8"))
    for page, made in ((PAGE, tables(run)), (README, summary(run))):
        page.write_text(page_with(page.read_text(encoding="utf-8"), made), encoding="utf-8")
    PICTURE.write_text(plot(run), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

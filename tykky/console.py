"""What people see: notes, warnings, errors, steps, tables, JSON.

Answers go to stdout, everything else to stderr. Colours, the spinner and the line that is
redrawn appear on terminals only, never with ``NO_COLOR``, ``TERM=dumb`` or in a pipe.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TextIO

from tykky.errors import TykkyError, masked

if TYPE_CHECKING:
    from rich.status import Status

_BOLD, _RED, _YELLOW, _GREEN, _DIM, _PLAIN = (f"\x1b[{n}m" for n in (1, 31, 33, 32, 2, 0))
#: With the marks that turn the order of what follows around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STEP_WIDTH = 9


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at this stream on a terminal that can redraw a line."""
    return os.environ.get("TERM", "dumb") != "dumb" and stream.isatty()


def _coloured(stream: TextIO, code: str, text: str) -> str:
    if is_terminal(stream) and not os.environ.get("NO_COLOR"):
        return f"{code}{text}{_PLAIN}"
    return text


def _write(stream: TextIO, text: str) -> None:
    """Write one or more whole lines, without the passwords and tokens in them.

    A reader that went away (``tykky find | head -1``) is no error of ours: the stream is
    pointed at /dev/null so that neither this nor Python's last flush raises.
    """
    text = masked(text)
    try:
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:  # a name that is no text, or a terminal with few characters
            stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
            stream.write("\n")
        stream.flush()
    except BrokenPipeError:
        _discard(stream)


def _discard(stream: TextIO) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)


def flush() -> None:
    """Flush stdout and stderr; to be called last, so that a closed pipe stays quiet.

    So does a disk that is full: that was told when it was written to.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def _visible(text: str, keep: str = "\n\t") -> str:
    """The text with control characters written out: what others wrote must not steer a terminal."""

    def written_out(found: re.Match[str]) -> str:
        number = ord(found[0])
        return found[0] if found[0] in keep else f"\\{'xu'[number > 255]}{number:02x}"

    return _CONTROL.sub(written_out, text)


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def say(text: str = "") -> None:
    """An answer: a line on stdout."""
    _write(sys.stdout, _visible(text))


def note(text: str) -> None:
    """A line on stderr about what happens."""
    _write(sys.stderr, _visible(text))


def warn(text: str) -> None:
    """A line on stderr about what may be wrong."""
    _write(sys.stderr, f"tykky: {_coloured(sys.stderr, _YELLOW, 'warning:')} {_visible(text)}")


def error(problem: TykkyError) -> None:
    """An error on stderr: the cause, its place, details, and what to do."""
    lines = [f"tykky: {_coloured(sys.stderr, _RED, 'error:')} {_visible(problem.cause)}"]
    if problem.where is not None:
        lines += [f"  {line}" for line in _visible(str(problem.where)).splitlines()]
    lines += [f"  {_coloured(sys.stderr, _DIM, _visible(line))}" for line in problem.details]
    if problem.remedy:
        lines.append(f"  {_visible(problem.remedy)}")
    _write(sys.stderr, "\n".join(lines))


def duration(seconds: float) -> str:
    """``0.4 s``, ``3.2 s``, ``75 s``, ``12 min 5 s``, ``2 h 3 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def plural(number: int, what: str) -> str:
    """``1 command``, ``2 commands``."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def size(octets: int) -> str:
    """``812 B``, ``74 MB``, ``1.3 GB``: decimal units, at most three figures."""
    amount, units = float(octets), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    figures = 1 if units[0] != "B" and amount < 9.95 else 0
    return f"{amount:.{figures}f} {units[0]}"


class Step:
    """A running step of the pipeline: one line with its time, and a spinner on a terminal.

    ``update`` says what it is doing now. Nothing is shown of a ``quiet`` one.
    """

    def __init__(self, name: str, text: str = "", *, quiet: bool = False) -> None:
        self.name = name
        self.quiet = quiet
        self.text = text
        self._status: Status | None = None
        self._out = sys.stdout  # as it was when the step began, wherever it leads meanwhile
        if is_terminal(sys.stderr) and not quiet:
            from rich.console import Console
            from rich.status import Status

            self._status = Status(self._label(), console=Console(stderr=True, highlight=False))
            self._status.start()
        self._started = time.monotonic()

    def _label(self) -> Any:
        from rich.text import Text

        return Text(f"{self.name:<{_STEP_WIDTH}} {masked(self.text)}")

    def update(self, text: str) -> None:
        """Change what is said about the step; shown at once on a terminal."""
        self.text = text
        if self._status is not None:
            self._status.update(self._label())

    def show(self, text: str) -> None:
        """Print a line of what the step's own programs say: above the spinner, or on stdout."""
        if self._status is None:
            _write(self._out, _visible(text))
            return
        from rich.text import Text

        self._status.console.print(Text(_visible(masked(text)), style="dim"), soft_wrap=True)

    def __enter__(self) -> Step:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Stop the spinner and print the step's one line, with its time."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self.quiet:
            return
        taken = duration(time.monotonic() - self._started)
        code, outcome = (_RED, f"failed after {taken}") if failure else (_GREEN, taken)
        name = _coloured(sys.stderr, code, f"{self.name:<{_STEP_WIDTH}}")
        text = f"{self.text} ... " if self.text else ""
        _write(sys.stderr, f"{name} {text}{outcome}")


#: ``with console.step("squash") as step:``
step = Step


def table(rows: Sequence[Sequence[object]], headers: Sequence[str] = ()) -> None:
    """Aligned columns on stdout, two blanks apart; headers, on a terminal in bold."""
    cells = [[masked(str(cell)) for cell in row] for row in rows]
    shown = columns([headers, *cells] if headers else cells)
    if headers:
        shown[0] = _coloured(sys.stdout, _BOLD, shown[0])
    if shown:
        _write(sys.stdout, "\n".join(shown))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: its columns are aligned, two blanks apart."""
    # Also for a file that somebody prints: see 'list-packages'.
    rows = [[_visible(cell, keep="") for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip_longest(*rows, fillvalue="")]
    padded = (
        [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)]
        for row in rows
    )
    return ["  ".join(cells).rstrip() for cells in padded]


def json_out(value: object) -> None:
    """One JSON document on stdout; paths and enumerations become text and numbers."""
    import json

    _write(sys.stdout, json.dumps(value, indent=2, default=str, ensure_ascii=False))

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tykky import console
from tykky.errors import ConfigError, Where

ESCAPE = "\x1b["


def run(code: str, *, terminal: bool = False, **env: str) -> str:
    """What Python code that uses the console writes to stderr, a pipe or a terminal."""
    command = [sys.executable, "-c", f"from tykky import console\n{code}"]
    root = Path(console.__file__).parent.parent
    settings = {"PATH": os.environ["PATH"], "TERM": "xterm", "PYTHONPATH": str(root), **env}
    if not terminal:
        return subprocess.run(
            command, env=settings, stderr=subprocess.PIPE, text=True, check=True
        ).stderr
    reader, writer = pty.openpty()
    subprocess.run(command, env=settings, stderr=writer, check=True)
    os.close(writer)
    shown = b""
    while True:
        try:
            block = os.read(reader, 4096)
        except OSError:  # a terminal that nobody holds any more
            break
        if not block:
            break
        shown += block
    os.close(reader)
    return shown.decode()


STEP = "with console.step('build', 'installing [b]23[/b] packages'): pass"


def test_step_is_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("build", "installing") as step:
        step.update("installing 23 packages")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "build     installing 23 packages ... 0.0 s\n"


def test_failing_step_says_so_and_raises(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), console.step("squash"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "squash    failed after 0.0 s\n"


def test_step_without_a_terminal_does_not_import_rich() -> None:
    code = f"import sys\n{STEP}\nassert 'rich' not in sys.modules"
    assert run(code) == "build     installing [b]23[/b] packages ... 0.0 s\n"


def test_step_on_a_terminal_ends_as_one_line_in_colour() -> None:
    shown = run(STEP, terminal=True)
    last = shown.replace("\r\n", "\n").strip("\n").split("\n")[-1]
    assert re.search(r"\x1b\[32mbuild +\x1b\[0m installing \[b]23\[/b] packages .* s$", last)


def test_no_color_is_honoured_on_a_terminal() -> None:
    shown = run("console.warn('careful')", terminal=True, NO_COLOR="1")
    assert shown == "tykky: warning: careful\r\n"
    assert ESCAPE in run("console.warn('careful')", terminal=True)


def test_spinner_has_no_colour_with_no_color() -> None:
    assert f"{ESCAPE}3" not in run(STEP, terminal=True, NO_COLOR="1")


def test_dumb_terminal_gets_plain_lines() -> None:
    assert ESCAPE not in run(STEP, terminal=True, TERM="dumb")


def test_error_has_cause_place_details_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\nrooot: /x\n")
    console.error(
        ConfigError(
            "unknown key 'rooot'",
            remedy="did you mean 'root'?",
            where=Where(path, 2, 0, 5),
            details=("one", "two"),
        )
    )
    assert capsys.readouterr().err.splitlines() == [
        "tykky: error: unknown key 'rooot'",
        f"  {path}:2",
        "      rooot: /x",
        "      ^^^^^",
        "  one",
        "  two",
        "  did you mean 'root'?",
    ]


def test_table_is_aligned_without_tabs_or_trailing_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.table([("a", 1, "x"), ("bbbb", 22, "")], ("NAME", "N", "WHAT"))
    assert capsys.readouterr().out == "NAME  N   WHAT\na     1   x\nbbbb  22\n"


def test_table_of_nothing_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([])
    assert capsys.readouterr().out == ""


def test_wide_characters_keep_columns_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([("数据", "x"), ("abcd", "y")])
    assert capsys.readouterr().out == "数据  x\nabcd  y\n"


def test_cell_with_a_line_break_stays_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([("a\nb\tc", "x")])
    assert capsys.readouterr().out == "a\\x0ab\\x09c  x\n"


def test_json_has_paths_as_text_and_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    console.json_out({"root": Path("/x"), "name": "é", "list": ()})
    assert json.loads(capsys.readouterr().out) == {"root": "/x", "name": "é", "list": []}


def test_control_characters_reach_the_terminal_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.note("a\x1b[31mb\rc\u202ed")
    assert capsys.readouterr().err == "a\\x1b[31mb\\x0dc\\u202ed\n"
    assert console.columns([("a\x1b", "x"), ("a", "y")]) == ["a\\x1b  x", "a      y"]


def test_name_that_is_no_text_is_shown_with_its_bytes_written_out() -> None:
    code = "import os; from tykky import console; console.say(os.fsdecode(b'a\\xffb'))"
    root = Path(console.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root), "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a\\udcffb\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_reader_that_goes_away_is_no_error(stream: str) -> None:
    verb = "say" if stream == "stdout" else "note"
    code = (
        f"import sys\nfrom tykky import console\n"
        f"for i in range(20000): console.{verb}('x' * 50)\nconsole.flush()\n"
        f"open(sys.argv[1], 'w').write('ended')"
    )
    root = Path(console.__file__).parent.parent
    redirect = "" if stream == "stdout" else "2>&1 >/dev/null"
    script = f'"$0" -c "$1" /dev/fd/5 {redirect} | head -n 1 >/dev/null; exit "${{PIPESTATUS[0]}}"'
    reader, writer = os.pipe()
    done = subprocess.run(
        ["bash", "-c", f"exec 5>&{writer}; {script}", sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(root)},
        pass_fds=(writer,),
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(writer)
    assert os.read(reader, 100) == b"ended"
    os.close(reader)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_standard_output_is_told_once() -> None:
    code = "import sys; from tykky.cli import main; sys.exit(main(['config', 'get', 'root']))"
    env = {**os.environ, "PYTHONPATH": str(Path(console.__file__).parent.parent)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            env=env,
            text=True,
            check=False,
        )
    assert done.returncode == 20
    assert done.stderr.startswith("tykky: error: cannot go on: No space left on device")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (725, "12 min 5 s"),
        (7380, "2 h 3 min"),
        (7200, "2 h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_960, "10 kB"),
        (74_123_456, "74 MB"),
        (999_600_000, "1.0 GB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_sizes_are_short(octets: int, text: str) -> None:
    assert console.size(octets) == text

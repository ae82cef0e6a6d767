"""Runs a session in a terminal of its own and draws what is seen there, for the README.

usage: python tools/picture.py [share/doc/session.svg]

The commands are real ones, run in an empty home with the ``tykky`` that is first on PATH, with the
machine's Lmod. `make picture` calls this.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import sys
import tempfile
import termios
from pathlib import Path

from rich import _export_format
from rich.console import Console
from rich.text import Text

#: What is typed.
SESSION = (
    "cat requirements.txt",
    "tykky create mystack --from requirements.txt",
    "tykky install mystack",
    "module load mystack",
    "which python",
    "python -c 'import scipy; print(scipy.__version__)'",
    "tykky find",
)
_COLUMNS = 100
_BEFORE = """\
. /usr/share/lmod/lmod/init/bash
module use ~/.tykky/modules
printf 'numpy>=2\\nscipy\\n' >requirements.txt
tykky list >/dev/null
clear
"""


def shown(raw: str) -> list[str]:
    """The lines that are left on a terminal, with their colours; it knows what Tykky uses."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[?\d;]*[A-Za-z]|\r?\n|\r)", raw):
        if part in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row == len(lines))
        elif part in ("\x1b[2J", "\x1b[3J"):
            lines, row = [""], 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(0, row - int(up[1] or 1))
        elif part != "\r" and not re.fullmatch(r"\x1b\[[?\d;]*[A-Zhl]", part):
            lines[row] += part
    return lines


def run(home: Path) -> str:
    """Type the session in a home, and return all that the terminal was sent."""
    script = _BEFORE
    for command in SESSION:
        quoted = command.replace("'", "'\\''")
        script += f"printf '\\e[1;32m$\\e[0m \\e[1m%s\\e[0m\\n' '{quoted}'\n{command}\necho\n"
    kept = ("LANG", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "SSL_CERT_FILE")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    (home / "bin").mkdir()
    (home / "bin/tykky").symlink_to(shutil.which("tykky") or "tykky")
    env["PATH"] = f"{home}/bin:/usr/local/bin:/usr/bin:/bin"  # and no other python
    env |= {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
    env |= {"HOME": str(home), "TERM": "xterm-256color", "COLUMNS": str(_COLUMNS)}
    (home / "session").write_text(script)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execve("/bin/bash", ["bash", "--noprofile", "--norc", "session"], env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, _COLUMNS, 0, 0))
    said = b""
    try:
        while data := os.read(terminal, 65536):
            said += data
    except OSError:  # the terminal has gone with the session
        pass
    os.waitpid(child, 0)
    return said.decode("utf-8", "replace")


def draw(lines: list[str], out: Path) -> None:
    """Write the lines as a picture that needs no fonts from elsewhere."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=False)
    form = re.sub(r"@font-face \{\{.*?\}\}", "", _export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    text = console.export_svg(title="tykky", code_format=form, unique_id="session")
    kept = [line.rstrip() for line in text.splitlines() if "Generated with" not in line]
    out.write_text("\n".join([*kept, ""]), encoding="utf-8")


def main() -> None:
    """Run and draw the session."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "share/doc/session.svg")
    home = Path(tempfile.mkdtemp(prefix="tykky-"))
    try:
        lines = shown(run(home).replace(str(home), "/home/kim"))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    while lines and not lines[-1].strip():
        lines.pop()
    draw(lines, out)
    print(f"drew {len(lines)} lines: {out}")


if __name__ == "__main__":
    main()

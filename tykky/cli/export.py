"""Write a stack into one executable file, which runs on machines without Tykky; or its packages.

With --runnable, FILE COMMAND ARGUMENTS runs a command of the stack, FILE alone lists them. In it
are the images of the stack, of what it needs and of what it runs on, and an image server; the
machine has to have user namespaces and /dev/fuse. What is bound from the host is seen where the
machine has it, too. The same install gives the same file. Not for stacks that are entered by
Apptainer, or through a directory.

With --packages, FILE lists the packages with their digests, as 'pip install -r' or 'conda create
--file' takes them, and 'tykky create --from' makes the same stack of.
"""

from __future__ import annotations

from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, flag, option, positional, said
from tykky.cli.exec import meant
from tykky.errors import Exit, TykkyError
from tykky.exchange import listed, runnable
from tykky.files import Permissions, write_file
from tykky.store import Record

EXAMPLES = """\
  tykky export --runnable python-data -o python-data
  ./python-data python script.py                on another machine, or for another user
  tykky export --packages python-data -o requirements.txt
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path"),
    flag("--runnable", help="a file that runs"),
    flag("--packages", help="a list of its packages: of pip, or an explicit one of conda"),
    option("-o", "--output", type=Path, metavar="FILE", required=True, help="the file to write"),
)


def run(call: Call) -> Result:
    """Write the file, whole or not at all."""
    path = call.args.output.absolute()
    if call.args.runnable == call.args.packages:
        remedy = "one of --runnable, --packages; 'tykky bundle' makes one for 'tykky import'"
        raise TykkyError("nothing says what kind of file", remedy=remedy, code=Exit.USAGE)
    if path.is_dir():
        raise TykkyError(f"{path} is a folder", remedy="name a file in it", code=Exit.USAGE)
    record = meant(call, call.args.install)
    if call.args.packages:
        return _list(call, record, path)
    made = runnable.prepare(record, call.config)
    for each in made.left_out:
        console.warn(f"not in the file: {each}")
    with console.step("export", record.title) as line:
        size = runnable.write(path, made, call.config, line.update)
        line.update(f"{path}, {console.size(size)}")
    answer = {"file": path, "bytes": size, "install": record.title, "left_out": made.left_out}
    return Result(answer, said([f"wrote {path}: {record.title}"]))


def _list(call: Call, record: Record, path: Path) -> Result:
    """Write the packages of an install."""
    write_file(path, listed.text(record).encode(), Permissions())
    answer = {"file": path, "install": record.title}
    return Result(answer, said([f"wrote {path}: the packages of {record.title}"]))

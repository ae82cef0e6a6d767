"""Let programs of the host look into a stack: a read-only mount of its files at a folder.

All your programs on this machine see it, whatever has started them: an editor that runs already,
a language server, grep, a file manager. It stays until --undo, and shows the generation that it was
made of. Without DIR, it is made in a folder of yours in /tmp, which is told. This needs fusermount3
on the machine, and for a stack with layers fuse-overlayfs; where they are not, --while still shows
the files to one command. 'tykky exec' needs none of it: what it starts sees the stack at its own
path. Without an install, the mounts that are there are listed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, flag, option, place_of, positional
from tykky.cli.exec import meant
from tykky.errors import Exit, StoreError, TykkyError
from tykky.runtime.base import image_path
from tykky.store import Record
from tykky.tools import mounts
from tykky.tools.mounts import Layer, Mount

EXAMPLES = """\
  tykky mount python-data                     says where
  tykky mount python-data ~/look              there
  tykky mount python-data ~/look --while grep -rn polyfit ~/look/lib
  tykky mount                                 which there are
  tykky mount --undo ~/look                   or by the name of the stack
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path", "?"),
    positional("DIR", "an empty folder, or one that is to be made", "?"),
    option(
        "--while",
        dest="command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="for the time of a command, which is all that follows",
    ),
    flag("--undo", help="unmount: a folder, or an install"),
)


def run(call: Call) -> Result:
    """Mount, unmount, or list."""
    args = call.args
    if not args.install:
        if args.undo or args.command is not None:
            remedy = "'tykky mount' lists the mounts that there are"
            raise TykkyError("nothing says of what", remedy=remedy, code=Exit.USAGE)
        found = list(mounts.present())
        return Result([vars(each) for each in found], lambda: _show(found))
    if args.undo:
        return _undo(call)
    record = meant(call, args.install)
    images = _images(record)
    target = _target(record, args.dir)
    if args.command is not None:
        return Result(code=_during(call, record, images, target))
    made = Mount(str(target), record.title)
    try:
        if made not in [Mount(each.target, each.what) for each in mounts.present()]:
            made = mounts.mount(images, target, record.title, call.config.server)
    except mounts.Invisible as error:
        inside = f"look from inside: tykky shell {args.install}; or for one command: --while"
        error.remedy = error.remedy or inside
        raise
    return Result(vars(made), lambda: console.say(made.target))


def _show(found: list[Mount]) -> None:
    if found:
        console.table([(each.what, each.target) for each in found], ("INSTALL", "MOUNTED AT"))
    else:
        console.note("there are none: 'tykky mount NAME [DIR]' makes one")


def _target(record: Record, folder: str | None) -> Path:
    name = f"{record.name}-{record.version}{record.suffix}"
    path = Path(folder) if folder else mounts.folder() / f"{name}-{record.generation}"
    return Path(os.path.realpath(path))


def _images(record: Record) -> list[Layer]:
    """What has the files of an install. Raises ``StoreError``."""
    prefix = place_of(record).prefix
    if record.images:
        return [Layer(str(image_path(prefix, image["file"]))) for image in record.images]
    root = str(record.launch.get("root", "")).replace("$PREFIX", str(prefix))
    if root and Path(root).is_file():
        return [Layer(root, int(record.launch.get("root_offset", 0)))]
    where = f"its files are in {root}" if root else "there is nothing to be mounted"
    raise StoreError(f"{record.title} has no image: {where}", code=Exit.CONFLICT)


def _during(call: Call, record: Record, images: list[Layer], target: Path) -> int:
    """Run the command while the mount is there; its exit code."""
    words = call.args.command
    if not words:
        raise TykkyError("nothing says what to run", code=Exit.USAGE)

    def action() -> int:
        try:
            status = subprocess.run(words, check=False).returncode
        except OSError as error:
            print(f"tykky: error: cannot run {words[0]}: {error.strerror}", file=sys.stderr)
            return 127 if isinstance(error, FileNotFoundError) else 126
        return status if status >= 0 else 128 - status

    try:
        made = mounts.mount(images, target, record.title, call.config.server)
    except mounts.Invisible as error:
        console.note(f"{error.cause}; only the command and what it starts will see it")
        return mounts.during(images, target, call.config.server, action)
    try:
        return action()
    finally:
        mounts.unmount(made)


def _undo(call: Call) -> Result:
    name, found = call.args.install, list(mounts.present())
    path = os.path.realpath(name)
    chosen = [each for each in found if each.target == path]
    chosen = chosen or [m for m in found if name in (m.what, m.what.partition("#")[0])]
    chosen = chosen or [m for m in found if m.what.partition("/")[0] == name]
    if not chosen:
        raise StoreError(f"nothing of '{name}' is mounted", remedy="'tykky mount' lists what is")
    for each in chosen:
        mounts.unmount(each)
        console.note(f"unmounted {each.target}")
    return Result([vars(each) for each in chosen])

"""Make the commands and modules of installs again, after a change or for another runtime.

The image stays as it is, and so does what runs at the moment. The module is made again from
the recipe as it is now, with its deprecation and the site's template. What is taken from the
configuration again: mount points, the image server, how long mounts are kept, and this Tykky's
launcher. The runtime and the isolation stay what they were unless they are named here.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from tykky import console
from tykky.build import commands
from tykky.build.entering import Entering, launch_plan
from tykky.cli import common
from tykky.config import Config
from tykky.errors import Exit, StoreError, TykkyError
from tykky.files import write_file
from tykky.publish import modules
from tykky.spec import parse_one
from tykky.store import HIDDEN, Entry, Record, Store
from tykky.store.record import read, render
from tykky.tools.squash import Image

EXAMPLES = """\
  tykky refresh python-data                        with the configuration as it is now
  tykky refresh biokit --runtime apptainer         enter it with Apptainer from now on
  tykky refresh --all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which installs, and what to change."""
    parser.add_argument("install", nargs="*", metavar="INSTALL", help="names, NAME/VERSION, hashes")
    parser.add_argument("--all", action="store_true", help="all installs of the store")
    parser.add_argument(
        "--runtime", choices=("native", "apptainer", "auto"), help="how to enter them from now on"
    )
    parser.add_argument(
        "--isolation",
        choices=("open", "mounts", "closed"),
        help="how much of the host their programs see from now on",
    )
    common.add_json(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Refresh one after the other; each is whole before the next begins."""
    store = Store.of(config)
    if bool(args.install) == args.all:
        raise StoreError(
            "nothing says which installs to refresh",
            remedy="name them, or give --all (and not both)",
            code=Exit.USAGE,
        )
    entries = store.entries() if args.all else [store.one(name) for name in args.install]
    answers = []
    for entry in entries:
        with console.step("refresh", entry.module) as line:
            record = _refresh(entry, args, config, store)
            way = Entering.read(record.launch)
            module = _publish(record, config, store)
            line.update(f"{entry.module}: {way.runtime}, {way.isolation}, {module}")
        answers.append({"module": entry.module, "launch": record.launch})
    if args.json:
        console.json_out(answers)
    return Exit.OK


def _publish(record: Record, config: Config, store: Store) -> str:
    """Make the modulefile again, from the recipe as it is now; says whether that could be done."""
    if not record.module_file:
        return "which has no module"
    try:
        recipe = common.repos_of(config).select(parse_one(record.spec))
    except TykkyError:
        return "its module as it was, since its recipe is not there any more"
    modules.publish(recipe, record, config, store)
    return "its module made anew"


def _refresh(entry: Entry, args: argparse.Namespace, config: Config, store: Store) -> Record:
    with store.claim(entry.hash, entry.module, console.note):
        record = read(Path(entry.prefix))
        way = Entering.read(record.launch)
        way = replace(
            way, runtime=args.runtime or way.runtime, isolation=args.isolation or way.isolation
        )
        image = Image(**record.image) if record.image else Image("", "", 0)
        prefix = Path(record.prefix)
        plan = launch_plan(way, record.module, prefix, image, record.commands, config)
        new = replace(record, launch=asdict(way))
        # The record first: a launch.conf that it does not explain would not survive the next time.
        write_file(prefix / HIDDEN / "record.json", render(new), store.permissions)
        commands.make(plan, record.commands, store.permissions)
        return new

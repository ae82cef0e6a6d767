"""Make what users see of installs again, after a change or for another runtime.

Commands, links, database and modules are derived from the records, so the recipes are not needed.
What is taken from the configuration again: mount points, the image server, how long mounts are
kept, the site's template, and this Tykky's launcher. Where that changes how a stack is entered, it
gets a new generation with the same image; what runs, and what is loaded, stays as it is. The
runtime and the isolation stay what they were unless they are named here.
"""

from __future__ import annotations

import argparse
from typing import Any

from tykky import console
from tykky.build.renewing import is_entered_as, renew
from tykky.cli.common import (
    Result,
    changing,
    flag,
    option,
    place_of,
    positional,
    warn_of_unreadable,
)
from tykky.config import Config
from tykky.errors import Exit, StoreError, TykkyError
from tykky.publish import Publisher
from tykky.store import Entry, Store

EXAMPLES = """\
  tykky refresh python-data                        with the configuration as it is now
  tykky refresh --check --all                      only say what would change
  tykky refresh biokit --runtime apptainer         enter it with Apptainer from now on
  tykky refresh --all
"""


ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION], paths", "*"),
    flag("--all", help="all installs of the store"),
    flag("--check", help="change nothing; exit 28 if it would"),
    option(
        "--runtime", choices=("native", "apptainer", "auto"), help="how to enter them from now on"
    ),
    option(
        "--isolation",
        choices=("open", "mounts", "closed"),
        help="how much of the host their programs see from now on",
    ),
)


def run(args: argparse.Namespace, config: Config) -> Result:
    """Refresh one after the other; each is whole before the next begins, or is named."""
    store = Store.of(config)
    if bool(args.install) == args.all:
        raise StoreError(
            "nothing says which installs to refresh",
            remedy="name them, or give --all (and not both)",
            code=Exit.USAGE,
        )
    entries = store.entries() if args.all else [store.one(name) for name in args.install]
    if args.all:
        warn_of_unreadable(store)
    publisher = Publisher(config, store)
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    for entry in entries:
        work = _check if args.check else _refresh
        try:
            answers.append(work(entry, args, config, publisher))
        except TykkyError as error:
            if not args.all:
                raise
            console.error(error)  # the others are not to suffer from it
            errors.append(error)
    if errors:
        return Result(answers, code=errors[0].code, errors=tuple(errors))
    changes = [answer for answer in answers if answer.get("changes")]
    return Result(answers, lambda: _show(answers, args), Exit.DAMAGED if changes else Exit.OK)


def _show(answers: list[dict[str, Any]], args: argparse.Namespace) -> None:
    for answer in answers:
        for change in answer.get("changes", ()):
            console.say(f"{answer['title']}: {change}")
    if args.check and not any(answer["changes"] for answer in answers):
        console.note("nothing would change")


def _check(
    entry: Entry, args: argparse.Namespace, config: Config, publisher: Publisher
) -> dict[str, Any]:
    place = place_of(entry)
    record = place.record()
    changes = [*publisher.differences(record)]
    if not is_entered_as(place, record, config, args.runtime, args.isolation):
        changes.append("a new generation would be entered in another way, as is configured now")
    return {"title": record.title, "changes": changes}


def _refresh(
    entry: Entry, args: argparse.Namespace, config: Config, publisher: Publisher
) -> dict[str, Any]:
    place, store = place_of(entry), publisher.store
    with console.step("refresh", entry.module) as line:
        store.check_outside(place.prefix)
        with changing(store, place, entry.prefix):
            record = place.record()
            store.check_entry(record)
            if not is_entered_as(place, record, config, args.runtime, args.isolation):
                record = renew(place, record, config, store, args.runtime, args.isolation)
            publisher.switch(record, "refresh")
        launch = record.launch
        line.update(f"{record.title}: {launch['runtime']}, {launch['isolation']}")
    shown = {"runtime": launch["runtime"], "isolation": launch["isolation"]}
    return {"title": record.title, "module": record.module, **shown, "launch": launch}

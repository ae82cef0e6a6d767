"""Make what users see of installs again, after a change or for another runtime.

Commands, links, database and modules are derived from the records, so the recipes are not needed.
What is taken from the configuration again: mount points, the image server, how long mounts are
kept, the site's template, and this Tykky's launcher. Where that changes how a stack is entered, it
gets a new generation with the same image; what runs, and what is loaded, stays as it is. The
runtime and the isolation stay what they were unless they are named here. An install that an earlier
Tykky made gets a new generation, too, that knows more of its packages. Files that belong to you
get the modes and the groups that are configured.
"""

from __future__ import annotations

import shlex
from typing import Any

from tykky import console
from tykky.build.renewing import is_entered_as, is_known, renew
from tykky.cli.common import Call, Result, flag, option, place_of, positional
from tykky.errors import Exit, StoreError, TykkyError, told
from tykky.runtime.base import CONF_NAME
from tykky.store import Entry
from tykky.store.place import damaged

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


def run(call: Call) -> Result:
    """Refresh one after the other; each is whole before the next begins, or is named."""
    args, store = call.args, call.store
    if bool(args.install) == args.all:
        remedy = "name them, or give --all (and not both)"
        raise StoreError("nothing says which installs to refresh", remedy=remedy, code=Exit.USAGE)
    entries = store.open_entries() if args.all else [store.one(name) for name in args.install]
    if args.all:
        call.warn_of_unreadable()
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    for entry in entries:
        try:
            answers.append(_check(entry, call) if args.check else _refresh(entry, call))
        except (TykkyError, OSError) as error:
            if not args.all:
                raise
            errors.append(told(error, f"refresh {entry.module}"))
            console.error(errors[-1])  # the others are not to suffer from it
    if errors:
        return Result(answers, code=errors[0].code, errors=tuple(errors))
    changes = [answer for answer in answers if answer.get("changes")]

    def show() -> None:
        for answer in changes:
            for change in answer["changes"]:
                console.say(f"{answer['title']}: {change}")
        if args.check and not changes:
            console.note("nothing would change")

    return Result(answers, show, Exit.DAMAGED if changes else Exit.OK)


def _check(entry: Entry, call: Call) -> dict[str, Any]:
    place, args = place_of(entry), call.args
    record = place.record()
    changes = [str(fault) for fault in call.publisher.differences(record)]
    if not is_entered_as(place, record, call.config, args.runtime, args.isolation):
        changes.append("a new generation would be entered in another way, as is configured now")
    if not is_known(place, record):
        changes.append("a new generation would tell more of its packages and files")
    return {"title": record.title, "changes": changes}


def _refresh(entry: Entry, call: Call) -> dict[str, Any]:
    place, config, store = place_of(entry), call.config, call.store
    how = (call.args.runtime, call.args.isolation)
    with console.step("refresh", entry.module) as line:
        store.check_outside(place.prefix)
        with call.changing(place, entry.prefix):
            record = place.record()
            store.check_entry(record)
            if original := place.original():
                cause = f"{record.title} is a copy of {original}, and works only there"
                remedy = f"'tykky relocate {shlex.quote(str(place.prefix))}' lets it work here"
                raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
            if (path := damaged(record)) and not path.endswith(CONF_NAME):  # that is made anew
                what = "the image " if path.endswith(".sqfs") else ""
                cause, remedy = f"{what}{path} is damaged or missing", "install it again"
                raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
            if not is_entered_as(place, record, config, *how) or not is_known(place, record):
                record = renew(place, record, config, store, *how)
            call.publisher.switch(record, "refresh")
            call.publisher.settle(record)
        shown = {key: record.launch[key] for key in ("runtime", "isolation")}
        line.update(f"{record.title}: {shown['runtime']}, {shown['isolation']}")
    return {"title": record.title, "module": record.module, **shown, "launch": record.launch}

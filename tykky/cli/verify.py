"""Check installs: is every image, command and module what was installed?

Reads every image whole, so it takes seconds for each; made for a weekly cron job.
"""

from __future__ import annotations

import argparse

from tykky import console
from tykky.cli import common
from tykky.config import Config
from tykky.errors import Exit, StoreError, TykkyError
from tykky.publish import modules
from tykky.spec import parse_one
from tykky.store import Entry, Record, Store
from tykky.store.check import faults

EXAMPLES = """\
  tykky verify                  everything
  tykky verify python-data      every version of it
  tykky verify --json           for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A spec."""
    common.add_specs(parser, many=False, what="only these")
    common.add_json(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Print a line for each install that is not whole; exit 28 if there is one."""
    store = Store.of(config)
    entries = store.match(parse_one(args.spec) if args.spec else None)
    answers = []
    bases: dict[str, list[str]] = {}
    for problem in store.unreadable:
        answers.append({"module": "", "prefix": "", "faults": [problem]})
    for entry in entries:
        try:
            record = store.record(entry)
            found = [*faults(record, store), *_of_base(record, config, bases)]
        except TykkyError as error:
            found = [error.cause]
        # What a classic command made has no module.
        if (
            _has_module(entry, store)
            and modules.owner_of(modules.path_of(config, entry.module)) != entry.prefix
        ):
            found.append("its modulefile is missing or belongs to another")
        answers.append({"module": entry.module, "prefix": entry.prefix, "faults": found})
    wrong = [answer for answer in answers if answer["faults"]]
    if args.json:
        console.json_out(answers)
        return Exit.DAMAGED if wrong else Exit.OK
    for answer in wrong:
        for fault in answer["faults"]:
            console.say(f"{answer['module'] or 'database'}: {fault}")
    console.note(f"verified {console.plural(len(entries), 'install')}, {len(wrong)} not whole")
    if wrong:
        console.note("'tykky refresh NAME' mends commands and modules, 'tykky reindex' the rest;")
        console.note("a damaged image has to be uninstalled and installed again, and one that was")
        console.note("pulled has to be pulled again: 'tykky base verify' says how")
    return Exit.DAMAGED if wrong else Exit.OK


def _of_base(record: Record, config: Config, known: dict[str, list[str]]) -> list[str]:
    """What is wrong with the pulled image that an install runs on; each is read once."""
    from tykky.bases import cache

    digest = record.base.get("digest", "")
    pulled = cache.by_digest(config, digest) if digest else None
    if pulled is None:
        return []
    if digest not in known:
        problem = cache.problem_of(config, pulled)
        image = cache.file_of(config, pulled)
        known[digest] = [f"the image {image}, which it runs on: {problem}"] if problem else []
    return known[digest]


def _has_module(entry: Entry, store: Store) -> bool:
    try:
        return bool(store.record(entry).module_file)
    except StoreError:
        return True

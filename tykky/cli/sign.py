"""Sign installs with an ssh key, so that others can tell who answers for them.

What is installed while 'signing.key' is set is signed already. A signature is of a record, which
has the digests of the images and of all else of a generation. Only what is whole is signed: all of
it is read first. Without a generation (#6), all of a version are signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, flag, named, option, place_of, said, specs
from tykky.cli.verify import meant
from tykky.errors import Exit, StoreError, explained
from tykky.files import read_small, write_file
from tykky.store import Record, signatures, state
from tykky.store.inspection import Inspector
from tykky.store.record import NAME

EXAMPLES = """\
  tykky sign python-data                       all generations of every version of it
  tykky sign python-data/26.11#7 --key ~/.ssh/id_ed25519.pub
  tykky sign --all                             every install of the root
"""

ARGUMENTS = (
    specs("only these", "*"),
    flag("--all", help="all installs of the root"),
    option("--key", type=Path, metavar="FILE", help="a private key, or KEY.pub of one in an agent"),
)


def run(call: Call) -> Result:
    """Sign one after the other; nothing is signed if anything is not whole."""
    args = call.args
    words = named(args.spec)
    if bool(words) == args.all:
        cause, remedy = "nothing says what to sign", "name it, or give --all (and not both)"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    sign = signatures.signer(call.config, args.key and args.key.expanduser().absolute())
    if sign is None:
        cause = "nothing says with which key to sign"
        remedy = "give --key FILE, or 'tykky config set signing.key FILE'"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    sign(b"")  # before all is read
    chosen = [record for there in _calls(call, words) for record in _whole(*there)]
    answers: list[dict[str, Any]] = []
    for there, record in chosen:
        place, title = place_of(record), record.title
        folder = place.generation(record.generation)
        with there.changing(place, record.module), explained(f"sign {title}"):
            data = sign(read_small(folder / NAME))
            write_file(folder / signatures.NAME, data, there.store.permissions)
        event = state.event("sign", record.generation, record.generation)
        there.publisher.tell(record.module, event)
        answers.append({"title": title, "file": str(folder / signatures.NAME)})
    return Result(answers, said([f"signed {answer['title']}" for answer in answers]))


def _calls(call: Call, words: Sequence[str]) -> Iterator[tuple[Call, list[str]]]:
    """The calls on the roots that have what is meant, each with its words."""
    found: dict[Path, tuple[Call, list[str]]] = {} if words else {Path(): (call, [])}
    for word in words:
        there = call.having(word)
        found.setdefault(there.config.root, (there, []))[1].append(word)
    yield from found.values()


def _whole(call: Call, words: Sequence[str]) -> Iterator[tuple[Call, Record]]:
    """The generations that are meant. Raises ``StoreError`` if one is not as it was written."""
    entries, records = meant(call.store, words)
    for entry in entries:
        place_of(entry).check_open()
        records += place_of(entry).records()
    inspector = Inspector(call.store.permissions)
    images = [place_of(r).images / image["file"] for r in records for image in r.images]
    with console.step("verify", console.plural(len(records), "generation")):
        inspector.read(images, call.config.jobs, lambda done, total: None)
    for record in records:
        folder = place_of(record).generation(record.generation)
        wrong = [str(fault) for fault in inspector.generation(record)]
        verdict = signatures.of_generation(folder, call.config)
        if verdict.state == "bad":
            wrong.append(f"{folder / signatures.NAME} {verdict.why}")
        if wrong:
            cause = f"{record.title} is not what was installed, and nothing was signed: {wrong[0]}"
            remedy = "'tykky verify' says what brings it back"
            raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
        yield call, record

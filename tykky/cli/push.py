"""Push installs to a registry, from which other machines and sites take them.

What leaves is the images with the record, the recipe, the lock and the bill of materials: not the
log of the build, and nothing that names your home directory or has a password in it. What a stack
needs is pushed before it. Parts that the registry has are not sent again. With 'signing.key' set,
it is signed by you.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, flag, named, option, said, specs
from tykky.errors import Exit, StoreError, TykkyError
from tykky.exchange import plain
from tykky.exchange.pushing import Pusher, Sent, needed, title_of
from tykky.exchange.registries import Registry
from tykky.store import Record, signatures

EXAMPLES = """\
  tykky push python-data                       the default version, to the first configured registry
  tykky push python-data/26.11 --to ghcr.io/centre/stacks
  tykky push --all                             everything in the root
  podman login ghcr.io                         logins are where container programs keep them
"""

ARGUMENTS = (
    specs("what to push", "*"),
    option("--to", metavar="HOST/PATH", help="the registry, and the path there"),
    flag("--all", help="all installs of the root"),
)


def run(call: Call) -> Result:
    """Push one after the other."""
    words = named(call.args.spec)
    if bool(words) == call.args.all:
        cause, remedy = "nothing says what to push", "name it, or give --all (and not both)"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    registry = Registry.configured(call.config, call.args.to)[0]
    signatures.check_key(call.config)
    pusher = Pusher(registry, call.config, signatures.signer(call.config))
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    done: set[str] = set()
    for record in chosen(call, words):
        try:
            for each in (*needed(record), record):
                if each.title not in done:
                    done.add(each.title)
                    answers.append(asdict(_push(pusher, each)))
        except TykkyError as error:
            if not call.args.all:
                raise
            console.error(error)  # the others are not to suffer from it
            errors.append(error)
    lines = [
        f"{'pushed' if answer['tags'] else 'there already:'} {answer['module']}: {answer['name']}"
        for answer in answers
    ]
    code = errors[0].code if errors else Exit.OK
    return Result(answers, said(lines), code, tuple(errors))


def chosen(call: Call, words: list[str]) -> list[Record]:
    """The generations that are meant; all current ones without words."""
    if words:
        return [call.having(word).store.generation(word) for word in words]
    records = [call.store.record(entry) for entry in call.store.open_entries()]
    return [record for record in records if record.has_module]


def _push(pusher: Pusher, record: Record) -> Sent:
    if home := plain.Homes.of(record).around:
        told = f"{record.title} lies in {home}, which its programs name: others will see that path"
        console.warn(told)
    with console.step("push", record.title) as line:
        sent = pusher.push(record, line.update)
        line.update(title_of(sent))
    return sent

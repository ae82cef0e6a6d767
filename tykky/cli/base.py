"""List, pull and verify bases: the images that stacks are built in and run on.

An image is pulled once for a site and shared by all installs that use it. What has no need to be
pulled, a SIF of the site's own say, is listed with the aliases.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tykky import console
from tykky.bases import cache
from tykky.bases.reference import resolve
from tykky.cli.common import Action, Call, Result, flag, positional
from tykky.config import Config
from tykky.errors import Exit, TykkyError

EXAMPLES = """\
  tykky base list                              aliases, and images that were pulled
  tykky base pull docker://almalinux:9
  tykky base pull rocky-9                      what an alias names
  tykky base pull debian:builds/debian-12.txt  build one of Debian packages
  tykky base verify                            compare all pulled images with their digests
"""


def _list(call: Call) -> Result:
    config = call.config
    rows: list[dict[str, Any]] = []
    for name, text in dict(config.bases).items():
        rows.append({"name": name, "reference": text, **_state(name, config)})
    named = {row["digest"] for row in rows}
    for pulled in cache.all_pulled(config, console.warn):
        if pulled.digest not in named:
            rows.append({"name": "", "reference": pulled.references[0], **_of(pulled)})
    shown = ({**row, "size": console.size(row["bytes"])} for row in rows)
    heads = ("name", "reference", "state", "size", "pulled")
    table = [[row[head] for head in heads] for row in shown]
    return Result(rows, lambda: console.table(table, heads))


def _state(name: str, config: Config) -> dict[str, Any]:
    """What is here of an alias, without asking any registry."""
    blank = {"state": "not pulled", "digest": "", "bytes": 0, "pulled": ""}
    try:
        reference = resolve(name, config.bases, Path("/"))
        if reference.scheme == "path":
            there = reference.path.exists()
            octets = reference.path.stat().st_size if reference.path.is_file() else 0
            return {**blank, "state": "here" if there else "missing", "bytes": octets}
        pulled = cache.by_reference(config, str(reference))
    except TykkyError as error:
        return {**blank, "state": error.cause}
    return _of(pulled) if pulled else blank


def _of(pulled: cache.Pulled) -> dict[str, Any]:
    facts = {"digest": pulled.digest, "bytes": pulled.bytes, "pulled": pulled.pulled}
    return {"state": "pulled", **facts}


def _pull(call: Call) -> Result:
    from tykky.bases.pull import pull

    args, config = call.args, call.config
    reference = resolve(args.base, config.bases, Path.cwd())
    if reference.scheme in ("host", "path", "stack"):
        cause = f"'{args.base}' needs no pulling: it is {reference}"
        remedy = "name it in a recipe or in the configuration as it is"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    with console.step("base", str(reference)) as line:
        before = None
        # A file is looked at again, since it may have changed.
        if reference.scheme in ("docker", "oras") and not args.again:
            before = cache.by_reference(config, str(reference))
        pulled = before or pull(reference, config, line.update, again=args.again)
        state = "was pulled before" if before else "pulled"
        line.update(f"{args.base} {state}, {console.size(pulled.bytes)}, {pulled.digest[:16]}")
    return Result({**_of(pulled), "file": cache.file_of(config, pulled)})


def _verify(call: Call) -> Result:
    config = call.config
    answers = []
    named = [_named(name, config) for name in call.args.base]
    for pulled in named or cache.all_pulled(config, console.warn):
        path, name = cache.file_of(config, pulled), pulled.references[0]
        with console.step("verify", name) as line:
            problem = cache.problem_of(config, pulled)
            line.update(f"{name}: {problem or 'good'}")
        answers.append({"reference": name, "file": path, "problem": problem})
    wrong = [answer for answer in answers if answer["problem"]]
    if not wrong:
        return Result(answers)
    cause = f"{len(wrong)} of {len(answers)} pulled images are damaged"
    remedy = f"pull again: tykky base pull --again {wrong[0]['reference']}"
    damage = TykkyError(cause, remedy=remedy, code=Exit.DAMAGED)
    console.error(damage)
    return Result(answers, code=Exit.DAMAGED, errors=(damage,))


def _named(name: str, config: Config) -> cache.Pulled:
    reference = resolve(name, config.bases, Path.cwd())
    pulled = cache.by_reference(config, str(reference))
    if pulled is None:
        cause, remedy = f"the base '{name}' was not pulled", f"pull it: tykky base pull {name}"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    return pulled


_BASE = positional("BASE", "an alias, docker://..., a file, ...")
_BASES = positional("BASE", "names of bases; default: all", "*")
_AGAIN = flag("--again", help="ask for it anew, though it was pulled before")
ACTIONS = {
    "list": Action(_list, "list aliases and pulled images"),
    "pull": Action(_pull, "pull an image into the site's cache", [_BASE, _AGAIN]),
    "verify": Action(_verify, "compare pulled images with their digests", [_BASES]),
}

"""Check installs: is every image, command and module what was installed?

Reads every image whole, so it takes seconds for each; made for a weekly cron job.
"""

from __future__ import annotations

from functools import cache as once
from typing import Any

from tykky import console
from tykky.bases import cache
from tykky.cli.common import Call, Result, named, place_of, specs
from tykky.errors import Exit, TykkyError
from tykky.spec import is_path, parse_one
from tykky.store import Record, state
from tykky.store.check import faults, unentered

EXAMPLES = """\
  tykky verify                  everything
  tykky verify python-data      every version of it, with all generations
  tykky verify python-data#6    one generation
  tykky verify --json           for programs
"""

ARGUMENTS = (specs("only these", "*"),)


def run(call: Call) -> Result:
    """Say for each install what is not whole; exit 28 if anything is."""
    store, words, config = call.store, call.args.spec, call.config

    @once
    def of_base(digest: str) -> list[str]:
        """What is wrong with the pulled image that installs run on; each is read once."""
        pulled = cache.by_digest(config, digest) if digest else None
        problem = cache.problem_of(config, pulled) if pulled else ""
        image = cache.file_of(config, pulled) if pulled else ""
        return [f"the image {image}, which it runs on: {problem}"] if problem else []

    records: list[Record] = []
    entries = [] if words else store.match(None)
    answers = [_answer("", "", [problem]) for problem in store.unreadable]
    for word in named(words):
        if "#" in word:
            records.append(store.generation(word))
        elif is_path(word):
            entries.append(store.one(word))
        else:
            entries += store.match(parse_one(word)) or [store.one(word)]  # which says there is none
    for lost in () if words else unentered(store):
        missing = f"{lost.prefix} is not in the database: 'tykky reindex'"
        answers.append(_answer("", str(lost.prefix), [missing]))
    for entry in {entry.prefix: entry for entry in entries}.values():
        place = place_of(entry)
        wrong = [] if place.current else ["no generation is current: 'tykky rollback' mends that"]
        try:
            wrong += [f"its history {place.hidden / state.NAME} is damaged"] * state.is_damaged(
                place
            )
        except (TykkyError, OSError) as error:
            wrong.append(str(error))
        for number in place.numbers:
            try:
                records.append(place.record(number))
            except (TykkyError, OSError) as error:
                wrong.append(str(error))
        if wrong:
            answers.append(_answer(entry.module, entry.prefix, wrong))
    for record in records:
        found: list[str] = []
        current = record.generation == place_of(record).current
        try:
            found += [*faults(record), *of_base(record.base.get("digest", ""))]
            if current:
                found += [text for text in call.publisher.differences(record) if text not in found]
        except (TykkyError, OSError) as error:
            found.append(str(error))
        answers.append(_answer(record.module if current else record.title, record.prefix, found))
    bad = [answer for answer in answers if answer["faults"]]
    count = len({record.prefix for record in records} | {entry.prefix for entry in entries})
    return Result(answers, lambda: _show(bad, count), Exit.DAMAGED if bad else Exit.OK)


def _answer(module: str, prefix: str, found: list[str]) -> dict[str, Any]:
    return {"module": module, "prefix": prefix, "faults": found}


def _show(wrong: list[dict[str, Any]], count: int) -> None:
    for answer in wrong:
        for fault in answer["faults"]:
            console.say(f"{answer['module'] or 'database'}: {fault}")
    modules = {answer["module"].partition("#")[0] for answer in wrong}
    console.note(f"verified {console.plural(count, 'install')}, {len(modules)} not whole")
    if wrong:
        console.note("'tykky refresh NAME' mends commands and modules, 'tykky reindex' entries;")
        console.note("a damaged image is built again by 'tykky install --force', or go back to an")
        console.note("earlier generation: 'tykky rollback'; one that was pulled has to be pulled")
        console.note("again: 'tykky base verify' says how")

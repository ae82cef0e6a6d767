"""Tell which installs have a package, a command or a module of that name, or a file.

Names are those of users: "which six" as well as "which 'jupyter*'" and "which 'numpy<2'". Upper
case, and whether it is a dash, a dot or an underscore, make no difference in the names of packages.
Those of the image that a stack was built in are found, too. Everything is answered from the
records; nothing is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, flag, place_of, positional
from tykky.errors import Exit, StoreError, TykkyError
from tykky.inventory import search
from tykky.inventory.wanted import Wanted, wanted
from tykky.store import Entry, roots

EXAMPLES = """\
  tykky which numpy                    with which versions
  tykky which 'numpy>=2,<2.3.1'        what an advisory is about
  tykky which 'jupyter*'
  tykky which --commands samtools      only as a command
  tykky which --files libhdf5.so       a file of that name
  tykky which --files 'lib/libhdf5*'   by the end of its path; or by the whole path
"""

ARGUMENTS = (
    positional("NAME", "a package, perhaps with versions, a command or a module; or a glob", "+"),
    flag("--commands", help="only commands"),
    flag("--packages", help="only packages"),
    flag("--files", help="files, by their name, the end of their path, or their path"),
)


def run(call: Call) -> Result:
    """A line for each that is found; exit 6 if a name is nowhere."""
    answers: list[dict[str, Any]] = []
    entries, where = roots.match(call.stores, None)
    call.warn_of_unreadable()
    problems: list[str] = []
    hits = _files(call, entries, problems) if call.args.files else _names(call, entries, problems)
    for entry, hit in hits:
        answers.append(_answer(hit, entry, str(where[entry.prefix].root)))
    for problem in problems:
        console.warn(f"{problem}; it is left out")
    there = {answer["asked"] for answer in answers}
    lacking = [name for name in call.args.name if name not in there]
    what = "a file" if call.args.files else ""
    causes = [f"nothing in {call.where} has {what} '{name}'".replace("  ", " ") for name in lacking]
    remedy = "" if what else "'tykky list' shows the recipes; 'tykky which --files' looks for files"
    errors = tuple(StoreError(cause, remedy=remedy) for cause in causes)

    def show() -> None:
        rows = [(a["module"], a["what"], a["name"], a["version"], _where(a)) for a in answers]
        if rows:
            console.table(rows, ("MODULE", "WHAT", "NAME", "VERSION", "WHERE"))
        for error in errors:
            console.error(error)

    return Result(answers, show, Exit.NOT_FOUND if errors else Exit.OK, errors)


def _names(
    call: Call, entries: list[Entry], problems: list[str]
) -> Iterator[tuple[Entry, search.Hit]]:
    args = call.args
    every = not (args.commands or args.packages)
    asked = [Wanted(name, name) if args.commands else wanted(name) for name in args.name]
    looking = search.Search(asked, every or args.packages, every or args.commands, problems)
    for entry in entries:
        for name in args.name if every else ():
            if fnmatchcase(entry.name, name) or fnmatchcase(entry.module, name):
                yield entry, search.Hit("module", name, entry.module)
        yield from ((entry, hit) for hit in looking.of(entry))


def _files(
    call: Call, entries: list[Entry], problems: list[str]
) -> Iterator[tuple[Entry, search.Hit]]:
    """The files; of an install that has no list of them, its images are read."""
    from tykky.inventory import files

    unlisted = 0
    for entry in entries:
        try:
            place = place_of(entry)
            if place.is_closed:
                continue
            if (paths := files.read(place.generation(entry.generation))) is None:
                unlisted += 1
                paths = "\n".join(files.of_images(place.record()))
        except (TykkyError, OSError) as error:
            problems.append(error.cause if isinstance(error, TykkyError) else str(error))
            continue
        for name in call.args.name:
            for path in files.matching(paths, name, entry.prefix):
                base = "its image" if path.startswith("/") else ""
                yield entry, search.Hit("file", name, path, base=base)
    if unlisted:
        were = f"{console.plural(unlisted, 'install')} of an earlier Tykky"
        console.note(f"the images of {were} had to be read: 'tykky refresh' lists their files")


def _answer(hit: search.Hit, entry: Entry, root: str) -> dict[str, Any]:
    name = hit.name.rpartition("/")[2] if hit.what == "file" else hit.name
    paths = {"command": f"{entry.prefix}/bin/{name}", "file": str(Path(entry.prefix, hit.name))}
    return {
        "asked": hit.asked,
        "module": entry.module,
        "what": hit.what,
        "name": name,
        "version": hit.version,
        "path": paths.get(hit.what, ""),
        "base": hit.base,
        "root": root,
    }


def _where(answer: dict[str, Any]) -> str:
    inside = f"in {'' if answer['what'] == 'file' else 'its base '}{answer['base']}"
    return " ".join(filter(None, (answer["path"], inside if answer["base"] else "")))

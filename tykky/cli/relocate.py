"""Make an install work at another path than where it was made, with the same images.

What in it names the old path is written anew, as a layer of kilobytes on its images: scripts,
settings, links, and programs that have room for the new path. What cannot be changed is named, and
nothing is done then. ROOT is where it is to be; without it, that is the root in which a copy lies
(or what was moved), else the configured one. With --all, every install that came into the root by
copying or moving that is made to work there.

What classic commands made is moved with 'mv', or copied with 'rsync -al', and needs nothing else.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tykky import console
from tykky.build import relocating
from tykky.build.relocating import Move, Source, planned
from tykky.build.rewire import Found
from tykky.cli import uninstall
from tykky.cli.common import Call, Result, flag, place_of, positional
from tykky.config import Config
from tykky.errors import Exit, StoreError, TykkyError, told
from tykky.host import real
from tykky.spec import is_path, parse_one
from tykky.store import HIDDEN, Place, Record, place, signatures, spare, state
from tykky.store.place import below

EXAMPLES = """\
  tykky relocate python-data ~/stacks       from another root into one of your own
  tykky relocate /mnt/old/store/geo/2.1     out of a root that is known by its path only
  tykky relocate --all --root /new/stacks   after 'mv' or 'rsync -a' of a whole root
  tykky relocate --dry-run python-data /x   only say what would be changed, and what cannot be
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path", "?"),
    positional("ROOT", "the root where it is to be, or its name", "?"),
    flag("--all", help="all of the root that were made elsewhere"),
    flag("--move", help="then uninstall it where it was"),
    flag("--dry-run", help="change nothing; exit 25 if it cannot be done"),
)
#: What is written anew, as answers name it, for people.
_KINDS = {"text": "texts", "links": "links", "programs": "programs", "emptied": "byte codes"}


@dataclass(frozen=True)
class Wish:
    """A place of which a generation is to work at another, and the call on the root of that.

    It is the current one if there is no ``number``.
    """

    call: Call
    origin: Place
    number: int
    here: Place

    @property
    def is_copy(self) -> bool:
        """Whether the files are there already."""
        return self.origin == self.here

    @property
    def record(self) -> Record:
        """The generation, as it is where it is now. Raises ``StoreError``."""
        return self.origin.record(self.number)


def run(call: Call) -> Result:
    """Relocate one, or one after the other; each is whole before the next begins, or is named."""
    args = call.args
    if bool(args.install) == args.all or (args.all and args.move):
        remedy = "name one, or give --all, and the root of that by --root (and not --move)"
        raise StoreError("nothing says what to relocate", remedy=remedy, code=Exit.USAGE)
    wishes = [*_copied(call)] if args.all else [_wish(call)]
    answers: list[dict[str, Any]] = []
    errors: list[TykkyError] = []
    for wish in wishes:
        try:
            coming = [other.here.prefix for other in wishes]
            answers.append(_survey(wish, coming) if args.dry_run else _relocate(wish))
        except (TykkyError, OSError) as error:
            if not args.all:
                raise
            errors.append(told(error, f"relocate {wish.here.prefix}"))
            console.error(errors[-1])  # the others are not to suffer from it
        finally:
            if wish.call is not call:
                wish.call.settle()
    refused = any(answer.get("refused") for answer in answers)
    code = errors[0].code if errors else Exit.PATH_TOO_LONG if refused else Exit.OK
    return Result(answers, lambda: _show(answers), code, errors=tuple(errors))


def _wish(call: Call) -> Wish:
    """What is meant by the words of a call. Raises ``TykkyError``."""
    words, _, number = call.args.install.partition("#")
    if number and not number.isdecimal():
        raise StoreError(f"'{number}' is no number of a generation", code=Exit.USAGE)
    if is_path(words) or (Path(words) / HIDDEN).is_dir():
        origin = Place(real(Path(words)))
    else:
        named = _copied(call, parse_one(words).name)
        copies = [wish.here for wish in named if _is_meant(words, wish.record)]
        store = call.having(words).store
        origin = copies[0] if len(copies) == 1 else place_of(store.one(words))
    origin.check_open()
    record = origin.record(int(number or 0))
    is_copy = bool(origin.original(record.generation))
    wanted = call.args.root
    if not wanted and is_copy and origin.prefix.parent.parent.name == "store":
        wanted = str(origin.prefix.parents[2])
    there = _on(call, wanted, record)
    here = there.store.place(record.name, f"{record.version}{record.suffix}")
    if is_copy and here.prefix.exists() and here.prefix.samefile(origin.prefix):
        here = origin
    return Wish(there, origin, int(number or 0), here)


def _on(call: Call, wanted: str | None, record: Record) -> Call:
    """The call on the root that is wanted, which may be told by the path of the place in it."""
    if not wanted:
        return call
    own = ("store", *record.module.split("/", 1))
    if Path(wanted).parts[-3:] == own:
        wanted = str(Path(wanted).parents[2])
    elif Path(wanted).parts[-3:-1] == own[:2]:
        cause = f"{record.module} cannot be at {wanted}"
        remedy = f"name the root alone: its place there is {'/'.join(own)}"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    return Call(call.args, Config.load({**call.args.flags, "root": wanted}))


def _is_meant(words: str, record: Record) -> bool:
    spec = parse_one(words)
    version = f"{record.version}{record.suffix}"
    return record.name == spec.name and spec.version in (None, record.version, version)


def _copied(call: Call, name: str = "") -> Iterator[Wish]:
    """The installs of the root that were made elsewhere, all or those of one name.

    Those first that others need.
    """
    hidden = (call.store.places / name).glob(f"*/{HIDDEN}") if name else ()
    there = map(Place, sorted(path.parent for path in hidden)) if name else below(call.store.places)
    found = {here.prefix: here for here in there if _is_elsewhere(here)}
    needs: dict[str, list[str]] = {}
    for prefix, here in found.items():
        near = [Path(n.rpartition("#")[0]).parts[-2:] for n in here.record().needs]
        needs[str(prefix)] = [str(p) for p in found if p.parts[-2:] in near]
    for name in spare.ordered(needs):
        here = found[Path(name)]
        yield Wish(call, here, 0, here)


def _is_elsewhere(here: Place) -> bool:
    try:
        return bool(here.current and not here.is_closed and here.original())
    except StoreError as error:
        console.warn(f"{error.cause}; it is left out")
        return False


def _answer(wish: Wish, move: Move) -> dict[str, Any]:
    record = move.source.record
    return {
        "module": record.module,
        "from": record.prefix,
        "prefix": str(wish.here.prefix),
        "needs": dict(move.needs),
    }


def _is_there(wish: Wish, record: Record) -> bool:
    """Whether the place has the same contents already, and they work there."""
    here = wish.here
    if not here.current or here.original():
        return False
    there = here.record()
    return there.build == record.build and not (place.damaged(there) or place.missing(there))


def _source(wish: Wish) -> Source:
    """The files of what is relocated. Raises ``StoreError`` for what cannot be whole."""
    if path := place.damaged(wish.record):
        cause = f"{wish.record.title} cannot be relocated: {path} is damaged or missing"
        raise StoreError(cause, remedy="'tykky verify' tells more", code=Exit.DAMAGED)
    return Source.at(wish.origin, wish.number)


def _survey(wish: Wish, coming: Collection[Path]) -> dict[str, Any]:
    """What relocating would do, together with others that are to come to their places."""
    call, source = wish.call, _source(wish)
    move = planned(source, wish.here, call.store, call.config, coming)
    if _is_there(wish, source.record):
        return {"did": "nothing", **_answer(wish, move)}
    with console.step("relocate", source.record.title) as line:
        line.update("looking for the files that name its path")
        found = relocating.survey(move, call.config)
    return {"did": "dry run", **_answer(wish, move), **vars(found)}


def _relocate(wish: Wish) -> dict[str, Any]:
    """Make a generation at the new place, and let it be the current one."""
    call, here, source = wish.call, wish.here, _source(wish)
    move = planned(source, here, call.store, call.config)
    leave = _leaving(wish) if call.args.move else None
    made = None if _is_there(wish, source.record) else _made(wish, move)
    if made is not None:
        new, found = made
        folder = shlex.quote(str(call.config.module_path))
        console.note(f"use it: module use {folder}; module load {new.module}")
        answer = {"did": "relocated", **_answer(wish, move), **vars(found)}
        answer |= {"generation": new.generation, "layer": _size_of_layer(new)}
    else:
        call.publisher.repair(here.record())  # who has made it may have been stopped
        answer = {"did": "nothing", **_answer(wish, move), "generation": here.current}
    if leave is not None:
        leave()
    return answer


def _made(wish: Wish, move: Move) -> tuple[Record, Found] | None:
    """The new generation, which is current, and what was written anew; ``None`` if it was there.

    Somebody else may have made it meanwhile.
    """
    call, here, source = wish.call, wish.here, move.source
    old = source.record
    call.store.check_outside(here.prefix)
    call.store.prepare()
    with console.step("relocate", old.module) as line:
        call.publisher.check(replace(old, prefix=str(here.prefix)))
        with call.changing(here, old.module) as held:
            if _is_there(wish, old):
                return None
            new, found = relocating.relocate(
                move, here, call.config, call.store, line.update, held=held
            )
            call.publisher.switch(new, "relocate", f"from {old.prefix}")
            if not wish.is_copy:
                signed = (source.folder / signatures.NAME).exists()
                if signed and not (here.generation() / signatures.NAME).exists():
                    console.warn(f"{new.title} is not signed, as {old.title} was")
            elif f"{state.HELD}#{old.generation}" not in new.marks:
                # It works only where it was made, and all of it is in the new one.
                place.remove_generation(here, old.generation)
        files = console.plural(len(found.text) + len(found.links) + len(found.programs), "file")
        layer = console.size(_size_of_layer(new))
        line.update(f"{new.title}: {files} anew, a layer of {layer}")
    return new, found


def _size_of_layer(record: Record) -> int:
    return sum(image["bytes"] for image in record.images[len(record.originals) :])


def _leaving(wish: Wish) -> Callable[[], None]:
    """What uninstalls it where it was. Raises ``TykkyError`` if that may not be."""
    if wish.is_copy:
        cause = f"{wish.here.prefix} is where it is to be already: nothing else is to go"
        raise StoreError(cause, remedy="leave --move out", code=Exit.USAGE)
    args = argparse.Namespace(**{**vars(wish.call.args), "install": [str(wish.origin.prefix)]})
    args.undo, root = False, str(wish.origin.prefix.parents[2])
    old = Call(args, Config.load({**args.flags, "root": root}))
    uninstall.check(old.store.one(args.install[0]), old.publisher, ())

    def leave() -> None:
        uninstall.run(old)
        old.settle()

    return leave


def _show(answers: Sequence[Mapping[str, Any]]) -> None:
    if not answers:
        console.note("nothing in this root was made elsewhere")
    for answer in answers:
        if answer["did"] == "nothing":
            console.note(f"{answer['module']} is at {answer['prefix']} already")
            continue
        counts = {kind: len(answer[key]) for key, kind in _KINDS.items() if answer[key]}
        anew = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
        will = "would be written anew" if answer["did"] == "dry run" else "written anew"
        console.say(f"{answer['module']}: {will}: {anew}")
        for name, why in answer["refused"]:
            console.say(f"  cannot be: {name}: {why}")
        for old, new in answer["needs"].items():
            stays = f"{old}, where it is" if old == new else f"{new}, which was {old}"
            console.say(f"  needs {stays}")

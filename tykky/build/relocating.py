"""An install that works at another path than where it was made, with the images that it has.

What in them names the path where it was made is written anew, a layer of kilobytes that lies on
the images; what has the path in a form that cannot be changed is refused by name. The layer says
which paths it has changed (``paths`` in the record), so that it is never the parent of another
one: who relocates again leaves it out and begins with the same images.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky import lock as locks
from tykky.build import rewire
from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.build.keeping import keep_bill
from tykky.build.plan import check_path
from tykky.build.viewing import View, moved, viewed
from tykky.contents import of_install
from tykky.errors import Exit, StoreError, explained
from tykky.files import bring, count, digest_file, discard, walk
from tykky.host import host_name, now, user_name
from tykky.inventory import cyclonedx
from tykky.runtime.base import CONF_NAME
from tykky.store import Place, Record, Store, place, roots, signatures
from tykky.store import record as records
from tykky.store.written import note, what, wrong_image
from tykky.tools.squash import DIGITS

if TYPE_CHECKING:
    from tykky.config import Config

_WHOLE = "relocate it from where it is whole, or install it anew: 'tykky verify' tells more"
#: What of a generation is not taken over, but made for the new place.
_OWN = (records.NAME, CONF_NAME, signatures.NAME, "host", "root", cyclonedx.FILE)


@dataclass(frozen=True)
class Source:
    """The files of a generation, wherever they are: its folder, and that of its images.

    The record is as it was written there, so its prefix is where it was made.
    """

    record: Record
    folder: Path
    images: Path

    @classmethod
    def at(cls, here: Place, number: int = 0) -> Source:
        """A generation of a place, the current one without a number. Raises ``StoreError``."""
        found = here.record(number)
        folder = here.generation(found.generation)
        written = records.read(folder)
        return cls(replace(written, generation=found.generation), folder, here.images)


@dataclass(frozen=True)
class Move:
    """What changes with the place ``prefix``: ``paths`` of the record, also those that stay.

    ``needs`` has the generations that it needs, as they are called there.
    """

    source: Source
    prefix: Path
    paths: Mapping[str, str]
    needs: Mapping[str, str]

    @property
    def within(self) -> dict[str, str]:
        """The paths that the contents name, and what these are by now."""
        was = self.source.record.made_with
        pairs = ((was.get(old, old), new) for old, new in self.paths.items())
        return {old: new for old, new in pairs if old != new}


def planned(
    source: Source, here: Place, store: Store, config: Config, coming: Collection[Path] = ()
) -> Move:
    """What relocating to a place changes, if it can be done, once others are ``coming`` to theirs.

    Raises ``StoreError``.
    """
    record = source.record
    if not record.has_module:
        cause = f"{record.prefix} was made by a classic command"
        if record.launch.get("relocatable"):
            cause, remedy = f"{cause}, and needs nothing for that", "use 'mv', or 'rsync -al'"
        else:
            cause = f"{cause} so that it lies over the path that it was made for, and works there"
            remedy = "make it again by that command where it is to be"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    _check_names(record)
    check_path(here.prefix, "choose another root: --root DIR")
    if here.current and not here.original():
        there = here.record()
        if (there.version, there.suffix) != (record.version, record.suffix):
            cause = f"the module {there.module} belongs to another selection: {there.spec}"
            raise StoreError(cause, remedy="uninstall that first", code=Exit.CONFLICT)
    needs = {need: _having(need, record, store, coming) for need in record.needs}
    paths = {record.prefix: str(here.prefix)}
    for old, new in needs.items():
        paths[old.rpartition("#")[0]] = new.rpartition("#")[0]
    if image := str(record.launch.get("root", "")):
        paths[image] = _root(image, source, store, config)
    return Move(source, here.prefix, paths, needs)


def _check_names(record: Record) -> None:
    """Raise ``StoreError`` for names that lead elsewhere: anybody may have written the record."""
    places = [record.prefix, *(need.rpartition("#")[0] for need in record.needs)]
    if (
        record.module != f"{record.name}/{record.version}{record.suffix}"
        or any("/" in name or name[:1] in ("", ".") for name in record.commands)
        or any(i["file"] != f"{i['sha256'][:DIGITS]}.sqfs" for i in record.images)
        or any(not path.startswith("/") for path in (*places, *record.made_with.values()))
        or (record.has_module and any(len(Path(path).parts) < 4 for path in places))
    ):
        cause = f"the record of {record.title} has names that none has that Tykky writes"
        raise StoreError(cause, remedy="do not use it", code=Exit.DAMAGED)


def _having(need: str, record: Record, store: Store, coming: Collection[Path]) -> str:
    """Where the generation that is needed is now: in the same root, where it was, or elsewhere.

    Raises ``StoreError``.
    """
    prefix, _, number = need.rpartition("#")
    wanted, parts = record.needed.get(need), Path(prefix).parts[-2:]
    own, was = store.place(*parts), Place(Path(prefix))
    elsewhere = [each.place(*parts) for each in roots.searched(store)[0] if each is not store]
    # What is a layer on the images of another lies where that does, and on no layer of that.
    parent = record.images[0].get("parent") if record.images and need == record.needs[0] else None
    for there in (was,) if parent else (own, was, *elsewhere):
        with contextlib.suppress(StoreError, OSError):
            new = there.prefix in coming
            numbers = [n for n in there.numbers if new or not there.original(n)]
            known = {n: there.record(n) for n in numbers}
            same = [n for n in numbers if known[n].build == wanted]
            same = [n for n in same if parent in (None, known[n].images[-1]["sha256"])]
            if found := next((n for n in same if str(n) == number), max(same, default=0)):
                return f"{there.prefix}#{found}"
    title = "/".join(parts)
    remedy = f"install {title} as it was, or relocate it first: 'tykky relocate DIR/{title}'"
    if parent:
        remedy = "it lies on the images of that, and only there: 'tykky extend' makes it on another"
    elif own.current and own.original():
        remedy = f"relocate that first: 'tykky relocate {shlex.quote(str(own.prefix))}'"
    cause = f"{record.module} needs {need}, which is not here as it was"
    raise StoreError(cause, remedy=remedy, code=Exit.NOT_FOUND)


def _root(image: str, source: Source, store: Store, config: Config) -> str:
    """Where the image is that an install is entered with. Raises ``StoreError``."""
    record, old = source.record, Path(image)
    size, above = int(record.launch.get("root_size", 0)), Path(record.prefix).parents[2]
    # It may have come along with its root, or be in that which the files are in now.
    there = (store.root, *[*source.images.parents][4:5]) if above in old.parents else ()
    copied = [root / old.relative_to(above) for root in there]
    for path in (*copied, old, config.bases_dir / old.name):
        with contextlib.suppress(OSError):
            if path.is_dir() if not size else path.stat().st_size >= size:
                return str(path)
    cause = f"{record.module} runs in the image {old}, which is not here"
    remedy = f"copy it to {config.bases_dir / old.name}, where it is looked for as well"
    raise StoreError(cause, remedy=remedy, code=Exit.BASE)


def survey(move: Move, config: Config) -> rewire.Found:
    """What would be written anew, and what cannot be; nothing is written."""
    with _view(move, config) as view:
        return view.rewired(move.source.images)


def _view(move: Move, config: Config) -> contextlib.AbstractContextManager[View]:
    name = locks.digest_of(["relocate", str(move.prefix)])[:16]
    return viewed(move.source.record.originals, move.within, config, name)


def check(found: rewire.Found, move: Move, store: Store) -> None:
    """Raise ``StoreError`` if something cannot be written anew."""
    if not found.refused:
        return
    record, count_of = move.source.record, len(found.refused)
    shown = [f"{name}: {why}" for name, why in found.refused[:20]]
    if count_of > 20:
        shown.append(f"and {count_of - 20} more; --json names all")
    again = shlex.join(["tykky", "--root", str(store.root), "install", record.spec])
    raise StoreError(
        f"{record.title} cannot be made to work at {move.prefix}: "
        f"{console.plural(count_of, 'file')} of it name{'s' if count_of == 1 else ''} "
        f"{next(iter(move.within))} where that cannot be changed",
        remedy=f"build it there, from its lock: '{again}'; or choose another path",
        code=Exit.PATH_TOO_LONG,
        details=tuple(shown),
    )


def relocate(
    move: Move,
    here: Place,
    config: Config,
    store: Store,
    say: Callable[[str], None] = lambda _: None,
    *,
    held: bool,
) -> tuple[Record, rewire.Found]:
    """Commit a generation at a place, of files that lie elsewhere or were made for another path.

    Hold the claim of the place; ``held`` tells whether that keeps others away. The generation is
    not the current one yet. Raises ``TykkyError``; then the place is as it was.
    """
    signatures.check_key(config)
    source, permissions = move.source, store.permissions
    record = source.record
    say("whether it is whole")
    _check_whole(source, config)
    draft = place.begin(here, permissions)
    try:
        with explained(f"relocate {record.module}"), _view(move, config) as view:
            say("the files that name its path")
            found = view.rewired(source.images)
            check(found, move, store)
            _bring(source, here, store, say)
            images = [*record.originals, *view.layer(here, permissions)]
            _take_over(source.folder, draft.path)
            permissions.apply_again(draft.path)
            record = _record(move, images, draft.number)
            entering, number = Entering.read(record.launch), draft.number
            plan = launch_plan(
                entering, record.module, here.prefix, number, images, record.commands, config
            )
            lay_launch(plan, draft.path, permissions)
            if problem := keep_bill(record, of_install(draft.path), draft.path, permissions):
                console.warn(problem)
            record = replace(record, files=count(draft.path) + 1 + len(images))
            return place.commit(draft, record, permissions, signatures.signer(config)), found
    finally:
        if draft.path.exists():
            discard(draft.path)
            if held:  # else another may be under way there
                place.sweep(here)


def _check_whole(source: Source, config: Config) -> None:
    """Raise ``StoreError`` if images, or what lies beside the record, are not what was written."""
    wrong = ""
    if signatures.of_generation(source.folder, config).state == "bad":
        wrong = f"the signature of {source.record.title} is not of what lies there"
    for name, noted in source.record.notes.items():
        path = source.folder / name
        with explained(f"read {path}"):
            if not os.path.lexists(path) or what(note(path)) != what(noted):
                wrong = f"{path} is not what was written, or is gone"
    if wrong := wrong or wrong_image(source.images, source.record.originals):
        raise StoreError(wrong, remedy=_WHOLE, code=Exit.DAMAGED)


def _take_over(folder: Path, new: Path) -> None:
    """Copy what lies beside a record, but for what is made anew. Raises ``OSError``."""
    for entry in walk(folder):
        name = Path(entry.path).relative_to(folder)
        if name.parts[0] in _OWN:
            continue
        if entry.is_dir(follow_symlinks=False):
            (new / name).mkdir()
        elif entry.is_file(follow_symlinks=False):
            shutil.copy2(entry.path, new / name, follow_symlinks=False)
        else:  # a link to somebody's own file, or a pipe
            cause = f"{entry.path} is nothing that Tykky has put there"
            raise StoreError(cause, remedy="do not use it", code=Exit.DAMAGED)


def _bring(source: Source, here: Place, store: Store, say: Callable[[str], None]) -> None:
    """Let the images be among those of a place: by another name, or copied."""
    for image in source.record.originals:
        old, new = source.images / image["file"], here.images / image["file"]
        say(f"the image {image['file']} ({console.size(image['bytes'])})")
        with explained(f"bring {old}"):
            bring(old, new, store.permissions, link=old.stat().st_uid == os.geteuid())
            if not new.samefile(old) and digest_file(new) != image["sha256"]:
                cause = f"the image {new} is not what was installed"
                raise StoreError(cause, remedy=_WHOLE, code=Exit.DAMAGED)


def _record(move: Move, images: Sequence[Mapping[str, Any]], number: int) -> Record:
    """The record of the new generation."""
    old, paths = move.source.record, {o: n for o, n in move.paths.items() if o != n}
    launch = moved(dict(old.launch), paths)
    launch["needs"] = [need.rpartition("#")[::2] for need in move.needs.values()]
    there = (Place(Path(prefix)).record(int(number)) for prefix, number in launch["needs"])
    launch["needed_images"] = [needed.names_of_images for needed in there]
    return replace(
        old,
        prefix=str(move.prefix),
        generation=number,
        installed=now(),
        by={**old.by, "user": user_name(), "host": host_name()},
        needs=tuple(move.needs.values()),
        needed={move.needs.get(need, need): build for need, build in old.needed.items()},
        launch=launch,
        shown=moved(dict(old.shown), paths),
        images=tuple(images),
        notes={},
        marks={},
    )

"""An install that works at another path than where it was made, with the images that it has.

What in them names the path where it was made is written anew, a layer of kilobytes that lies on
the images; what has the path in a form that cannot be changed is refused by name. The layer says
which paths it has changed (``paths`` in the record), so that it is never the parent of another
one: who relocates again leaves it out and begins with the same images.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky import lock as locks
from tykky.build import rewire, root
from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.build.keeping import keep_bill
from tykky.build.plan import check_path
from tykky.build.rebuilding import options_of
from tykky.build.restoring import NAME, copy_in
from tykky.contents import of_install
from tykky.errors import Exit, StoreError, TykkyError, explained
from tykky.files import bring, copy_tree, count, digest_file, discard
from tykky.host import host_name, now, user_name
from tykky.inventory import cyclonedx
from tykky.runtime.base import CONF_NAME, ImageMount
from tykky.store import Place, Record, Store, place, roots, signatures
from tykky.store import record as records
from tykky.store.record import PATHS
from tykky.store.written import note, what
from tykky.tools import process
from tykky.tools.scratch import Scratch
from tykky.tools.squash import squash

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
        raise StoreError(
            f"{record.prefix} was made by a classic command, and needs nothing for that"
            if record.launch.get("relocatable")
            else f"{record.prefix} lies over the path that it was made for, and works there only",
            remedy="move it by 'mv', or copy it by 'rsync -al'"
            if record.launch.get("relocatable")
            else "make it again where it is to be",
            code=Exit.USAGE,
        )
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
        paths[image] = _root(image, record, store, config)
    return Move(source, here.prefix, paths, needs)


def _having(need: str, record: Record, store: Store, coming: Collection[Path]) -> str:
    """Where the generation that is needed is now: in the same root, where it was, or elsewhere.

    Raises ``StoreError``.
    """
    prefix, _, number = need.rpartition("#")
    wanted, parts = record.needed.get(need), Path(prefix).parts[-2:]
    own = store.place(*parts)
    elsewhere = [each.place(*parts) for each in roots.searched(store)[0] if each is not store]
    for there in (own, Place(Path(prefix)), *elsewhere):
        with contextlib.suppress(StoreError, OSError):
            new = there.prefix in coming
            numbers = [n for n in there.numbers if new or not there.original(n)]
            same = [n for n in numbers if there.record(n).build == wanted]
            if found := next((n for n in same if str(n) == number), max(same, default=0)):
                return f"{there.prefix}#{found}"
    title = "/".join(parts)
    remedy = f"install {title} as it was, or relocate it first: 'tykky relocate DIR/{title}'"
    if own.current and own.original():
        remedy = f"relocate that first: 'tykky relocate {shlex.quote(str(own.prefix))}'"
    cause = f"{record.module} needs {need}, which is not here as it was"
    raise StoreError(cause, remedy=remedy, code=Exit.NOT_FOUND)


def _root(image: str, record: Record, store: Store, config: Config) -> str:
    """Where the image is that an install is entered with. Raises ``StoreError``."""
    size, old = int(record.launch.get("root_size", 0)), Path(image)
    above = Path(record.prefix).parents[2]
    copied = [store.root / old.relative_to(above)] if above in old.parents else []
    for path in (*copied, old, config.bases_dir / old.name):
        with contextlib.suppress(OSError):
            if path.is_dir() if not size else path.stat().st_size >= size:
                return str(path)
    cause = f"{record.module} runs in the image {old}, which is not here"
    remedy = f"copy it to {config.bases_dir}, where {record.base.get('name')} is looked for"
    raise StoreError(cause, remedy=remedy, code=Exit.BASE)


@dataclass
class _View:
    """The contents of images, mounted where a build has its scratch."""

    move: Move
    scratch: Scratch
    config: Config

    def run(
        self, images: Path, layers: Sequence[Mapping[str, Any]], *words: str, given: str
    ) -> str:
        """What a Python of this machine prints that sees them at ``top``."""
        mounts = [
            ImageMount(i["file"], i["bytes"], str(self.top), layer="parent" in i) for i in layers
        ]
        self.top.mkdir(exist_ok=True)
        command = root.view(images, mounts, self.scratch, self.config)
        clean = {"PATH": "/usr/bin:/bin", "HOME": str(self.scratch.home), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [command, sys.executable, "-I", *words],
            input=given.encode(errors="surrogateescape"),
            capture_output=True,
            env=clean,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace")
            error = process.failure("look at the contents of the install", done.returncode, said)
            error.remedy = error.remedy or "'tykky doctor' tells whether this machine can do it"
            raise error
        return done.stdout.decode(errors="surrogateescape")

    @property
    def top(self) -> Path:
        """Where they are seen."""
        return self.scratch.path / "seen"


def survey(move: Move, config: Config) -> rewire.Found:
    """What would be written anew, and what cannot be; nothing is written."""
    with _scratch(move, config) as scratch:
        return _looked_at(_View(move, scratch, config), move.source.images)


@contextlib.contextmanager
def _scratch(move: Move, config: Config) -> Iterator[Scratch]:
    name = locks.digest_of(["relocate", str(move.prefix)])[:16]
    scratch = Scratch(config.build_dir / name)
    with scratch.held():
        scratch.home.mkdir()
        yield scratch
    with contextlib.suppress(OSError):
        config.build_dir.rmdir()


def _looked_at(view: _View, images: Path) -> rewire.Found:
    """Write anew what names a path, in the top of the scratch directory."""
    below, within = view.move.source.record.originals, view.move.within
    if not below or not within:
        return rewire.Found()
    wish: dict[str, Any] = {"top": str(view.top), "out": str(view.scratch.top), "paths": within}
    wish |= {"jobs": view.config.jobs, "without": [NAME]}
    said = view.run(images, [*below], str(Path(rewire.__file__)), given=json.dumps(wish))
    found = rewire.Found(**json.loads(said))
    found.refused = [(name, why) for name, why in found.refused]
    return found


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
        with explained(f"relocate {record.module}"), _scratch(move, config) as scratch:
            say("the files that name its path")
            view = _View(move, scratch, config)
            found = _looked_at(view, source.images)
            check(found, move, store)
            _bring(source, here, store, say)
            images = [*record.originals, *_layer(view, here, store)]
            copy_tree(source.folder, draft.path)
            for name in _OWN:
                discard(draft.path / name)
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
    for image in source.record.originals:
        path = source.images / image["file"]
        with explained(f"read {path}"):
            if not path.is_file() or digest_file(path) != image["sha256"]:
                wrong = f"the image {path} is not what was installed, or is gone"
    if wrong:
        raise StoreError(wrong, remedy=_WHOLE, code=Exit.DAMAGED)


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


def _layer(view: _View, here: Place, store: Store) -> Iterator[Mapping[str, Any]]:
    """What was written anew, as an image that lies on the others; none where these were made.

    There is one even if it has nothing but the copy of the record: it tells where they were made.
    It is seen on them once, as commands will see it.
    """
    scratch, below = view.scratch, [*view.move.source.record.originals]
    if not below or not view.move.within:
        return
    fact = {"parent": below[-1]["sha256"], PATHS: view.move.within}
    _put_copy(view, here.images, fact)
    lowest = here.images / below[0]["file"]
    before = {*here.images.iterdir()}
    with tempfile.TemporaryFile() as log:

        def run(line: list[str]) -> str:
            return process.run(" ".join(line), line, os.environ, Path("/"), log)

        image = squash(scratch.top, here.images, view.config, run, options_of(lowest, run))
    if (path := here.images / image.file) not in before:
        store.permissions.apply(path)
    layer = {**asdict(image), **fact}
    try:
        view.run(here.images, [*below, layer], "-c", _SAME, given=str(scratch.top))
    except TykkyError as error:
        if error.code == Exit.BUILD:  # and nothing else is known to be the matter
            error.cause = "the layer that was written cannot be laid over its image on this machine"
            error.code = Exit.NODE
        raise
    yield layer


#: Whether all in the tree that is named is seen in the mounted one, which is beside it.
_SAME = """
import filecmp, os, sys
top = sys.stdin.read()
seen = os.path.join(os.path.dirname(top), "seen")
for where, folders, files in os.walk(top):
    for name in files + [n for n in folders if os.path.islink(os.path.join(where, n))]:
        ours = os.path.join(where, name)
        theirs = os.path.join(seen, os.path.relpath(ours, top))
        if os.path.islink(ours):
            same = os.readlink(ours) == os.readlink(theirs)
        else:
            same = filecmp.cmp(ours, theirs, shallow=False)
        if not same:
            sys.exit(f"{theirs} is not what was written")
"""


def _put_copy(view: _View, images: Path, fact: Mapping[str, Any]) -> None:
    """Put the copy of the record into the layer, as it is in the images, with the paths of now."""
    below = view.move.source.record.originals
    copies = (copy_in(images / each["file"]) for each in reversed(below))
    if (record := next(filter(None, copies), None)) is not None:
        same = _moved(asdict(record), view.move.within)
        # The layer itself comes last; its name and digest are not known in it.
        own = {"file": "", "sha256": "", "bytes": 0, **fact}
        data = records.render(replace(record, **{**same, "images": (*below, own), "steps": ()}))
        (view.scratch.top / NAME).write_bytes(data)


def _record(move: Move, images: Sequence[Mapping[str, Any]], number: int) -> Record:
    """The record of the new generation."""
    old, paths = move.source.record, {o: n for o, n in move.paths.items() if o != n}
    launch = _moved(dict(old.launch), paths)
    launch["needs"] = [need.rpartition("#")[::2] for need in move.needs.values()]
    return replace(
        old,
        prefix=str(move.prefix),
        generation=number,
        installed=now(),
        by={**old.by, "user": user_name(), "host": host_name()},
        needs=tuple(move.needs.values()),
        needed={move.needs.get(need, need): build for need, build in old.needed.items()},
        launch=launch,
        shown=_moved(dict(old.shown), paths),
        images=tuple(images),
        notes={},
        marks={},
    )


def _moved(value: Any, paths: Mapping[str, str]) -> Any:
    """Facts of a record with the paths as they are by now."""
    match value:
        case str():
            return rewire.moved(value, paths)
        case dict():
            return {_moved(key, paths): _moved(each, paths) for key, each in value.items()}
        case list() | tuple():
            return tuple(_moved(each, paths) for each in value)
    return value

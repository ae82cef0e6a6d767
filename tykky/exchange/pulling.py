"""An install from an artifact: found, checked, and laid where it belongs here.

All that is fetched is known by its digest before: that of the record by the manifest, those of all
else by the record, which is what is signed. Nothing is visible before everything is there and
whole; what has come stays with the downloads, and the next call goes on with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from tykky import bases, console, fetch
from tykky.build.entering import Entering
from tykky.config.schema import Isolation
from tykky.errors import Exit, StepError, StoreError, TykkyError, explained, from_os_error
from tykky.exchange import placing, plain
from tykky.exchange.artifact import (
    FILE,
    FOLDER,
    IMAGE,
    INSTALL,
    ROOT,
    Artifact,
    Part,
    build_tag,
    read,
)
from tykky.exchange.sources import Source, small
from tykky.fetch import is_sha256
from tykky.files import digest_file
from tykky.recipe.fields import WrongValue, check_setenv, no_text
from tykky.runtime.base import Runtime
from tykky.store import Place, Record, Store, place, signatures
from tykky.store import record as records
from tykky.store.written import is_note, what

if TYPE_CHECKING:
    from tykky.build.pipeline import Publisher
    from tykky.config import Config

_IMAGE_FILE = re.compile(r"[0-9a-f]{16}\.sqfs")
_RUNTIMES, _ISOLATIONS = {each.value for each in Runtime}, get_args(Isolation)
#: More than any stack needs that needs others.
_DEEPEST = 50
#: What modulefiles are made of, and of which kind that is.
_SHOWN = {
    **dict.fromkeys(("description", "about", "homepage", "license", "family"), "str"),
    **dict.fromkeys(("keywords", "maintainers", "loads"), "tuple[str, ...]"),
    **{"setenv": "Mapping[str, str]", "deprecation": "str"},
}
#: A generation of another place: its name and version are the end of its path.
_NEED = re.compile(r"/.+(/[A-Za-z0-9][\w.+-]*){2}#[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True)
class Found:
    """An install in a source: its ``record``, which is the text ``data``.

    ``signed`` is what its ``signature`` is worth, if that matters.
    """

    source: Source
    name: str
    digest: str
    artifact: Artifact
    record: Record
    data: bytes
    signature: bytes | None = None
    signed: signatures.Verdict | None = None

    @property
    def title(self) -> str:
        """What it is, and where."""
        return f"{self.record.module} of {self.source.title}"


@dataclass(frozen=True)
class Got:
    """What was pulled: the record here; the bytes that were fetched, and those that were there."""

    record: Record
    did: str
    fetched: int = 0
    there: int = 0
    title: str = ""
    digest: str = ""


def find(sources: Sequence[Source], name: str, tag: str, config: Config) -> Found | None:
    """An install by a tag in the first source that has it, its signature checked.

    Raises ``TykkyError``.
    """
    for source in sources:
        if text := source.manifest(name, tag):
            return opened(source, name, text, config)
    return None


def opened(source: Source, name: str, text: bytes, config: Config) -> Found:
    """The install of a manifest, if its record may be trusted. Raises ``TykkyError``."""
    title = f"{name} of {source.title}"
    artifact = read(text, title)
    if artifact.kind != INSTALL:
        raise StepError(f"{title} is no install", code=Exit.NOT_FOUND)
    data = small(source, name, artifact.config)
    record = _parsed(data, title)
    found = Found(source, name, Part.of(text, "").sha256, artifact, record, data)
    _check_names(found)
    own = [p for p in artifact.of_kind(FILE) if p.title == signatures.NAME]
    signature = small(source, name, own[0]) if own else None
    signed = trusted(found.title, data, signature, config)
    return replace(found, signature=signature, signed=signed)


def _parsed(data: bytes, title: str) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, records.NAME).write_bytes(data)
        try:
            return records.read(Path(folder))
        except StoreError as error:
            told = error.cause.replace(str(Path(folder, records.NAME)), f"the record of {title}")
            code = Exit.NEWER if isinstance(error, records.NewerFormat) else Exit.DAMAGED
            remedy = error.remedy if code is Exit.NEWER else "ask who has pushed it"
            raise StoreError(told, remedy=remedy, code=code) from None


def _check_names(found: Found) -> None:
    """Raise ``StoreError`` if a record says what no record of Tykky's does, whoever has made it."""
    record, why = found.record, ""
    images = {part.sha256: part for part in found.artifact.of_kind(IMAGE)}
    names = (*record.commands, *record.programs)
    odd = [n for n in record.commands if "/" in n or n[:1] in (".", "")]
    odd += [n for n in names if not n.isprintable()]
    entered = Entering.read(record.launch)
    files = [image["file"] for image in record.images]
    told = [(i["sha256"], i["bytes"]) for i in record.originals]
    roots = found.artifact.of_kind(ROOT)
    if record.name != found.name or not record.has_module:
        why = f"it is the record of {record.module}"
    elif (
        odd
        or any("\0" in name or not is_note(noted) for name, noted in record.notes.items())
        or not all(map(_IMAGE_FILE.fullmatch, files))
        or not all(map(_NEED.fullmatch, (f"{record.prefix}#1", *record.needs, *record.needed)))
    ):
        why = "it has names that cannot be"
    elif entered.runtime not in _RUNTIMES or entered.isolation not in _ISOLATIONS:
        why = "it is entered in a way that this Tykky does not know"
    elif told_wrong := _told_wrong(record):
        why = told_wrong
    elif roots and not is_sha256(record.base.get("digest", "")):
        why = "it does not say in which image it runs"
    elif any(s not in images or images[s].size != size for s, size in told):
        why = "it speaks of an image that the artifact does not have"
    if why:
        raise StoreError(
            f"the record of {found.title} cannot be used: {why}",
            remedy="ask who has pushed it",
            code=Exit.DAMAGED,
        )


def _told_wrong(record: Record) -> str:
    """What is wrong with what a module would tell and set; nothing if it is as of a recipe."""
    shown = {key: records.frozen(value) for key, value in record.shown.items()}
    if any(not records.is_a(kind, shown.get(key)) for key, kind in _SHOWN.items()):
        return "it does not say what its module does"
    texts = (record.description, record.homepage, record.license, record.maintainers, shown)
    if strange := next(filter(None, map(no_text, _texts(texts))), ""):
        return f"its text has {strange.rstrip(',')}"
    try:
        check_setenv(shown["setenv"])
    except WrongValue as wrong:
        return wrong.cause
    return ""


def _texts(value: object) -> Iterator[str]:
    """All texts in a value of a record."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts((*value, *value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def trusted(
    title: str, data: bytes, signature: bytes | None, config: Config
) -> signatures.Verdict | None:
    """What a signature is worth, as far as the site cares. Raises ``StoreError`` by policy."""
    policy = config.signing.policy
    if policy == "ignore" or (policy == "warn" and config.signing.allowed_signers is None):
        return None
    verdict = signatures.check(data, signature, config)
    if verdict.state == "bad" or (policy == "require" and not verdict.is_good):
        said = "whoever answers for it makes it again with 'signing.key' set"
        raise StoreError(
            f"{title} is not taken: its signature {verdict.why}",
            remedy="ask who has made it" if verdict.state == "bad" else said,
            code=Exit.DAMAGED,
        )
    if not verdict.is_good:
        console.warn(f"{title}: its signature {verdict.why}")
    return verdict


@dataclass(frozen=True)
class Puller:
    """Takes installs out of sources into one store."""

    sources: Sequence[Source]
    config: Config
    store: Store
    publisher: Publisher
    #: What is being pulled: nothing needs itself, whoever has made the records.
    under_way: set[str] = field(default_factory=set)

    def pull(self, found: Found, say: fetch.Say) -> Got:
        """Have an install, with what it needs, as the current one of its place.

        Raises ``TykkyError``; then the place is as it was.
        """
        record, store = found.record, self.store
        here = self.place_of(record)
        here.check_formats()
        if self._is_there(here, record):
            self.publisher.repair(here.record())
            return Got(here.record(), "nothing", title=found.title, digest=found.digest)
        self.check(record)
        if found.digest in self.under_way or len(self.under_way) > _DEEPEST:
            cause = f"{found.title} needs itself, or too much, so nothing can be done with it"
            raise StoreError(cause, remedy="ask who has pushed it", code=Exit.DAMAGED)
        self.under_way.add(found.digest)
        try:
            before = [got for need in self._missing(found) for got in [self.pull(need, say)]]
        finally:
            self.under_way.discard(found.digest)
        store.check_outside(here.prefix)
        store.prepare()
        self.publisher.check(replace(record, prefix=str(here.prefix)))
        with self.fetched(found, here, say) as files:
            with store.claim(here.prefix, record.module, console.note) as held:
                here.check_formats()
                if self._is_there(here, record):  # somebody else has pulled it meanwhile
                    return Got(here.record(), "nothing", title=found.title, digest=found.digest)
                if held:
                    place.sweep(here)
                new = files.lay(say, held=held)
                self.publisher.switch(new, "pull", f"from {found.source.title}")
            files.forget()
        moved = sum(got.fetched for got in before) + files.bytes
        return Got(new, "pulled", moved, files.there, found.title, found.digest)

    def place_of(self, record: Record) -> Place:
        """Where an install has its place in this store."""
        return self.store.place(record.name, f"{record.version}{record.suffix}")

    def _is_there(self, here: Place, record: Record) -> bool:
        with contextlib.suppress(StoreError):
            there = here.record() if here.current else None
            same = there and (there.build, there.publish) == (record.build, record.publish)
            if there and same and not here.original():
                return not (place.damaged(there) or place.missing(there))
        return False

    def check(self, record: Record) -> None:
        """Raise ``StepError`` for what cannot run here; tell of what may not."""
        if record.arch != bases.arch():
            raise StepError(
                f"{record.module} is for {record.arch}, and this machine is {bases.arch()}",
                remedy="name one that was built for it: 'tykky registry list NAME'",
                code=Exit.BASE,
            )
        host = bases.host()
        if record.base.get("name") == "host" and record.base.get("digest") != host.digest:
            built = record.base.get("id")
            console.warn(f"{record.module} was built on {built}, and this is {host.id}: test it")

    def _missing(self, found: Found) -> Iterator[Found]:
        """What an install needs and is not here, from the same source. Raises ``StoreError``."""
        record = found.record
        for need, build in record.needed.items():
            if placing.is_there(need, build, self.store):
                continue
            name, version = Path(need.rpartition("#")[0]).parts[-2:]
            other = find([found.source], name, build_tag(build), self.config)
            if other is None or other.record.build != build:
                raise StoreError(
                    f"{record.module} needs {name}/{version} as it was built with, and that is "
                    f"neither here nor at {found.source.title}",
                    remedy=f"push that, too: 'tykky push {record.module}' pushes both",
                    code=Exit.NOT_FOUND,
                )
            yield other

    @contextlib.contextmanager
    def fetched(self, found: Found, here: Place, say: fetch.Say) -> Iterator[Fetched]:
        """All files of an install, checked, before anything is done with them."""
        record, layers = found.record, found.artifact.layers
        images: dict[str, Path] = {}
        there, downloads = 0, self.config.cache_dir / "downloads"
        counted = {file for each in here.records() for file in each.files_of_images}
        wanted = [p for p in layers if p.kind in (IMAGE, ROOT)]
        for number, part in enumerate(wanted, 1):

            def tell(text: str, number: int = number) -> None:
                say(f"part {number} of {len(wanted)}, {text}")

            if part.kind == ROOT:
                if part.sha256 != record.base.get("image"):
                    raise _strange(found, part)
                if placing.has_root(record, part, self.config):
                    there += part.size
                    continue
            else:
                files = [i["file"] for i in record.originals if i["sha256"] == part.sha256]
                if not files:
                    raise _strange(found, part)
                path = here.images / files[0]
                with explained(f"read {path}"):
                    if path.is_file() and digest_file(path) == part.sha256:
                        if files[0] in counted:
                            there += part.size
                            continue
                        # A pull that was killed has left it, and it will be swept.
                        downloads.mkdir(parents=True, exist_ok=True)
                        with contextlib.suppress(OSError):
                            os.link(path, downloads / part.sha256)
            there += part.size if (downloads / part.sha256).exists() else 0
            images[part.sha256] = found.source.fetch(found.name, part, tell)
        try:
            with tempfile.TemporaryDirectory(prefix="tykky-") as top:
                folder = Path(top, str(record.generation))
                folder.mkdir()
                size = self._beside(found, folder) + sum(part.size for part in wanted) - there
                yield Fetched(self, found, here, folder, images, there, size)
        except OSError as error:
            raise from_os_error(error, f"pull {found.title}") from error

    def _beside(self, found: Found, folder: Path) -> int:
        """Write what lies beside the record; how many bytes that was. Raises ``StoreError``."""
        notes = {k: what(v) for k, v in found.record.notes.items() if what(v) != "folder"}
        size, files = 0, dict[str, tuple[bytes, bool]]()
        for part in found.artifact.layers:
            if part.kind in (FILE, FOLDER) and part.title != signatures.NAME:
                data = small(found.source, found.name, part)
                size += len(data)
                more = {part.title: (data, False)}
                files |= plain.unpacked(data, found.title) if part.kind == FOLDER else more
        told = {name: Part.of(data, "").sha256 for name, (data, _) in files.items()}
        if told != notes or any(Path(n).is_absolute() or ".." in Path(n).parts for n in notes):
            wrong = sorted({*told.items()} ^ {*notes.items()})
            cause = f"{wrong[0][0] if wrong else 'a file'} of {found.title} is not what its record"
            raise StoreError(
                f"{cause} says", remedy="it was changed: ask who has pushed it", code=Exit.DAMAGED
            )
        (folder / records.NAME).write_bytes(found.data)
        if found.signature is not None:
            signed = {records.NAME: found.data, signatures.NAME: found.signature}
            files |= {f"{signatures.PULLED}/{k}": (text, False) for k, text in signed.items()}
        for name, (data, is_program) in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755 if is_program else 0o644)
        return size


def _strange(found: Found, part: Part) -> StoreError:
    return StoreError(
        f"{found.title} has {part.title or 'a part'}, of which its record does not speak",
        remedy="it was changed: ask who has pushed it",
        code=Exit.DAMAGED,
    )


@dataclass(frozen=True)
class Fetched:
    """The files of an install that was found, ready to be laid where it belongs.

    So many ``bytes`` were fetched, and so many more were ``there``.
    """

    puller: Puller
    found: Found
    here: Place
    folder: Path
    images: Mapping[str, Path]
    there: int
    bytes: int

    def lay(self, say: Callable[[str], None], *, held: bool) -> Record:
        """Commit the generation; hold the claim of the place, as ``lay`` of placing wants it.

        Raises ``TykkyError``.
        """
        record, puller = self.found.record, self.puller
        config, store = puller.config, puller.store
        for part in self.found.artifact.of_kind(ROOT):
            placing.keep_root(record, part, self.images.get(part.sha256), config)
        say("its images")
        for image in record.originals:
            if (path := self.images.get(image["sha256"])) is not None:
                if not path.exists():  # who has pulled the same into another root needs it no more
                    (part,) = (p for p in self.found.artifact.layers if p.sha256 == image["sha256"])
                    path = self.found.source.fetch(self.found.name, part, say)
                placing.keep_image(path, self.here, image["file"], store)
        by = {**record.by, "pulled": f"{self.found.source.title} sha256:{self.found.digest}"}
        by.pop("signed", None)  # which anybody may have written there
        if self.found.signed and self.found.signed.is_good:
            by["signed"] = f"{self.found.signed.by} {self.found.signed.when}"
        record = replace(record, by=by)
        return placing.lay(record, self.folder, self.here, config, store, say, held=held)

    def forget(self) -> None:
        """What was laid need not stay with the downloads."""
        for path in self.images.values():
            with contextlib.suppress(OSError):
                path.unlink()


def shown(got: Got) -> str:
    """What was pulled, for people."""
    if got.did == "nothing":
        return f"{got.record.title} is what {got.title} is: nothing to do"
    moved, there = console.size(got.fetched), console.size(got.there)
    return f"pulled {got.record.title}: {moved} fetched, {there} there already"


def refused(error: TykkyError) -> bool:
    """Whether an error is of the source, so that building instead may do."""
    return error.code not in (Exit.NO_SPACE, Exit.NOT_WRITABLE, Exit.CONFLICT)

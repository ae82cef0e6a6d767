"""The record of a generation: the JSON that says what it is, and all that can be made of it.

``record.json`` is written last, so its existence is the commit. Modulefile, commands, activation
and listings need nothing but the record. The database has a short entry for each place, so that
listing thousands of them reads little.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tykky.errors import Exit, StoreError
from tykky.files import parse_json, read_json

NAME = "record.json"
#: By this, an image of a record is known to be a layer that lets those below work elsewhere: which
#: paths in them it has changed, and into what.
PATHS = "paths"
#: What makes the data of one format that of the next: the first one is for format 1.
_LADDER: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = ()


@dataclass(frozen=True)
class Step:
    """One step of the pipeline and how long it took, in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Entry:
    """A place in the database: enough to list it, choose it, and find its record.

    ``prefix`` is the place's path; ``build`` the digest of what its current ``generation`` was
    built from; ``needs`` are generations of other places, ``<prefix>#<number>``; ``versions`` are
    those that its recipe had, in its order; ``marks`` what somebody has decided about the version
    (see :mod:`tykky.store.state`), which no record has on disk.
    """

    name: str
    version: str
    suffix: str
    module: str
    prefix: str
    kind: str
    description: str
    installed: str  # ISO 8601, UTC
    generation: int = 0
    build: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    deprecated: bool = False
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    arch: str = ""

    @property
    def title(self) -> str:
        """How messages name it: ``python-data/26.11#7``."""
        return f"{self.module}#{self.generation}"


@dataclass(frozen=True)
class Record(Entry):
    """All that is known of a generation.

    ``images`` have ``file``, ``sha256`` and ``bytes``, the lowest first; one that is a layer also
    has its ``parent``, the sha256 of what it was made to lie on; ``base`` has ``name``, ``id``
    and ``digest``; ``recipe`` has ``file`` and ``digest``; ``launch`` says how it is
    entered (see :mod:`tykky.build.entering`); ``shown`` is what the modulefile tells and sets;
    ``by`` has ``user``, ``host``, ``tykky`` (its version), ``kernel``, and ``commit`` of a
    Tykky used from its repository; ``repository`` has ``commit``, ``state`` (``clean`` or
    ``dirty``) and ``remote`` of what the recipe lies in, if it is one of git; ``fetched`` are
    the files that were downloaded besides those of the lock (``name``, ``url``, ``sha256``,
    ``bytes``); ``packages`` are pairs of name and version; ``asked`` are the names of those
    that the recipe asks for; ``instead`` is the digest of the lock beside the recipe in whose
    place an update's own counts; ``publish`` is the digest of what only users see; ``read`` are
    files and folders outside of the recipe's that the build has read, with a digest of each;
    ``needed`` is the ``build`` of each of the ``needs``; ``files`` counts files and folders;
    ``notes`` are of what lies beside the record (see :mod:`tykky.store.written`).
    """

    spec: str = ""
    publish: str = ""
    asked: tuple[str, ...] = ()
    homepage: str = ""
    license: str = ""
    maintainers: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    lock: str = ""
    instead: str = ""
    loads: tuple[str, ...] = ()
    has_module: bool = True
    shown: Mapping[str, Any] = field(default_factory=dict)
    read: Mapping[str, str] = field(default_factory=dict)
    fetched: tuple[Mapping[str, Any], ...] = ()
    repository: Mapping[str, str] = field(default_factory=dict)
    needed: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, str] = field(default_factory=dict)
    images: tuple[Mapping[str, Any], ...] = ()
    by: Mapping[str, str] = field(default_factory=dict)
    launch: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    files: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def files_of_images(self) -> set[str]:
        """The names of the files that it has among the images of its place."""
        root = str(self.launch.get("root", ""))
        own = {root.rpartition("/")[2]} if "/.tykky/images/" in root else set()
        return own | {image["file"] for image in self.images}

    @property
    def originals(self) -> tuple[Mapping[str, Any], ...]:
        """Its images without the layer that lets them work elsewhere than where they were made."""
        return self.images[:-1] if self.images and PATHS in self.images[-1] else self.images

    @property
    def made_with(self) -> Mapping[str, str]:
        """What its paths are in these images, where they name others."""
        paths = self.images[-1].get(PATHS, {}) if self.images else {}
        return {new: old for old, new in paths.items()}

    @property
    def mpi(self) -> Mapping[str, str]:
        """What is known of the MPI of its programs (see :mod:`tykky.build.mpi`)."""
        return dict(self.launch.get("mpi", ()))

    @property
    def names_of_images(self) -> str:
        """The files of its own images, the lowest first, as what needs it tells the launcher."""
        return ",".join(image["file"] for image in self.images)

    @property
    def bytes(self) -> int:
        """The size of its images, in bytes."""
        return sum(image["bytes"] for image in self.images)

    def entry(self) -> Entry:
        """The part of the record that goes into the database."""
        return Entry(**{item.name: getattr(self, item.name) for item in fields(Entry)})


class NewerFormat(StoreError):
    """Something that a newer Tykky has written: it is unknown, and so it is left alone."""

    code = Exit.NEWER

    def __init__(self, path: Path, found: object) -> None:
        super().__init__(
            f"{path} was written by a newer Tykky (format {found}), and is left alone",
            remedy="use that Tykky: 'tykky --version' tells which one this is",
        )


#: How the text of each begins, as this Tykky writes it.
START = b'{\n "format": %d,\n' % (len(_LADDER) + 1)

AnyEntry = TypeVar("AnyEntry", bound=Entry)

_FIELDS = {kind: {f.name: str(f.type) for f in fields(kind)} for kind in (Entry, Record)}
_OF_IMAGES, _IMAGE = ("file", "sha256", "bytes"), [str, str, int]
_PLAIN: dict[str, type] = {"str": str, "int": int, "bool": bool}
#: What a name or a version can be, which are parts of paths.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def render(entry: Entry) -> bytes:
    """The JSON of a record or of an entry."""
    data = {"format": len(_LADDER) + 1, **asdict(entry)}
    return (json.dumps(data, indent=1) + "\n").encode()


def read(folder: Path, missing: str = "", text: bytes | None = None) -> Record:
    """The record in the folder of a generation, or its ``text`` if there is one already.

    Raises ``StoreError``.
    """
    return _read(folder / NAME, Record, missing, text)


def read_entry(path: Path) -> Entry:
    """One entry of the database. Raises ``StoreError``."""
    return _read(path, Entry)


def name_of(prefix: Path) -> str:
    """What an install without a module is called: as far as a recipe may have its prefix's name."""
    name = re.sub(r"[^a-z0-9]+", "-", prefix.name.lower()).strip("-")
    return name if name[:1].isalpha() else f"env-{name}".strip("-")


def _read(
    path: Path, kind: type[AnyEntry], missing: str = "", text: bytes | None = None
) -> AnyEntry:
    try:
        data = read_json(path) if text is None else parse_json(text)
        found = data.pop("format")
        if type(found) is not int or found < 1:
            raise ValueError(f"{found!r} is no format")
        if found > len(_LADDER) + 1:
            raise NewerFormat(path, found)
        for step in _LADDER[found - 1 :]:
            data = step(data)
        return parse(data, kind)
    except FileNotFoundError:
        remedy = "'tykky doctor --store' tells what is lost and can be mended" if missing else ""
        raise StoreError(missing or f"there is no {path}", remedy=remedy) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            remedy="install it again, or go back: 'tykky rollback'; 'tykky reindex' mends entries",
            code=Exit.DAMAGED,
        ) from None


def parse(data: Mapping[str, Any], kind: type[AnyEntry]) -> AnyEntry:
    """A record or an entry from its JSON.

    Raises ``TypeError`` for values that are missing or of another kind, ``ValueError`` for those
    that cannot be part of a path.
    """
    fields_of = _FIELDS[kind]
    values = {key: frozen(value) for key, value in data.items() if key in fields_of}
    for key, value in values.items():
        if not is_a(fields_of[key], value):
            raise TypeError(f"'{key}' is {json.dumps(data[key])[:40]}")
    if "steps" in values:
        values["steps"] = tuple(Step(**step) for step in values["steps"])
    for image in values.get("images", ()):
        if not (
            is_a("Mapping[str, Any]", image) and [*map(type, map(image.get, _OF_IMAGES))] == _IMAGE
        ):
            raise TypeError(f"an image is {json.dumps(image)[:40]}")
        if not is_a("Mapping[str, str]", image.get(PATHS, {})):
            raise TypeError(f"an image has changed {json.dumps(image[PATHS])[:40]}")
    images = values.get("images", ())
    for below, layer in itertools.pairwise(images):
        if layer.get("parent") != below["sha256"]:
            raise ValueError(f"{layer['file']} is no layer that lies on {below['file']}")
    found = kind(**values)
    for word in (found.name, f"{found.version}{found.suffix}"):
        if not _WORD.fullmatch(word):
            raise ValueError(f"{word!r} cannot be part of a module's name")
    return found


def is_a(kind: str, value: Any) -> bool:
    """Whether a value is what the annotation of its field says."""
    outer, _, inner = kind.partition("[")
    if outer == "Mapping":
        kinds = inner[:-1].partition(", ")[2]
        return isinstance(value, dict) and all(is_a(kinds, each) for each in value.values())
    if outer == "tuple":
        each = inner.removesuffix(", ...]")
        if each == "Step":
            each = "Mapping[str, Any]"
        elif each == inner:  # of a certain length
            wanted = [_PLAIN[each] for each in inner[:-1].split(", ")]
            return isinstance(value, tuple) and [*map(type, value)] == wanted
        return isinstance(value, tuple) and all(is_a(each, item) for item in value)
    return kind == "Any" or type(value) is _PLAIN[kind]


def frozen(value: Any) -> Any:
    """A value of JSON with tuples for its lists."""
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value

"""The record of an install: the JSON that says what it is.

``<prefix>/.tykky/record.json`` is written last, so its existence is the commit. The
database has a short entry for each, so that listing thousands of installs reads little.

Public names: ``Record``, ``Entry``, ``Step``, ``HIDDEN``, ``read``, ``read_entry``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tykky.errors import Exit, StoreError

FORMAT = 1
#: The folder of an install that is Tykky's own; everything else is the user's view.
HIDDEN = ".tykky"


@dataclass(frozen=True)
class Step:
    """One step of the pipeline and how long it took, in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Entry:
    """An install in the database: enough to list it, choose it, and find its record."""

    name: str
    version: str
    suffix: str
    module: str
    hash: str
    prefix: str
    kind: str
    description: str
    installed: str  # ISO 8601, UTC
    choices: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # hashes of other installs

    @property
    def short_hash(self) -> str:
        """The first eight digits, which are in the prefix and the file names."""
        return self.hash[:8]

    @property
    def file_name(self) -> str:
        """The entry's name in the database folder."""
        return f"{self.name}-{self.version}{self.suffix}-{self.short_hash}.json"


@dataclass(frozen=True)
class Record(Entry):
    """All that is known of an install.

    ``image`` has ``file``, ``sha256`` and ``bytes``; ``base`` has ``name``, ``id`` and
    ``digest``; ``recipe`` has ``file`` and ``digest``; ``launch`` says how the install is
    entered (see :mod:`tykky.build.entering`); ``by`` has ``user``, ``host`` and ``tykky`` (its
    version); ``packages`` are pairs of name and version; ``files`` counts
    the files and folders of the prefix.
    """

    spec: str = ""
    arch: str = ""
    homepage: str = ""
    license: str = ""
    maintainers: tuple[str, ...] = ()
    module_file: str = ""
    commands: tuple[str, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    lock: str = ""
    loads: tuple[str, ...] = ()
    base: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, str] = field(default_factory=dict)
    image: Mapping[str, Any] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)
    launch: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    files: int = 0

    @property
    def hidden(self) -> Path:
        """The folder with the image, the launcher and this record."""
        return Path(self.prefix) / HIDDEN

    def entry(self) -> Entry:
        """The part of the record that goes into the database."""
        return Entry(**{item.name: getattr(self, item.name) for item in fields(Entry)})


AnyEntry = TypeVar("AnyEntry", bound=Entry)

_FIELDS = {kind: {item.name for item in fields(kind)} for kind in (Entry, Record)}


def render(entry: Entry) -> bytes:
    """The JSON of a record or of an entry."""
    return (json.dumps({"format": FORMAT, **asdict(entry)}, indent=1) + "\n").encode()


def read(prefix: Path) -> Record:
    """The record of the install at ``prefix``. Raises ``StoreError``."""
    return _read(prefix / HIDDEN / "record.json", Record)


def read_entry(path: Path) -> Entry:
    """One entry of the database. Raises ``StoreError``."""
    return _read(path, Entry)


def parse_entry(data: Mapping[str, Any]) -> Entry:
    """An entry from the values of its JSON. Raises ``TypeError`` if some are missing."""
    return _parse(data, Entry)


def _read(path: Path, kind: type[AnyEntry]) -> AnyEntry:
    try:
        data = json.loads(path.read_bytes())
        if data.pop("format") != FORMAT:
            raise ValueError("it was written by another version of Tykky")
        return _parse(data, kind)
    except FileNotFoundError:
        raise StoreError(f"there is no install at {path.parent.parent}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            remedy="'tykky reindex' sets it aside; then install it again",
            code=Exit.DAMAGED,
        ) from None


def _parse(data: Mapping[str, Any], kind: type[AnyEntry]) -> AnyEntry:
    known = _FIELDS[kind]
    values = {
        key: _frozen(value) if isinstance(value, list) else value
        for key, value in data.items()
        if key in known
    }
    if "steps" in values:
        values["steps"] = tuple(Step(**step) for step in values["steps"])
    return kind(**values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
